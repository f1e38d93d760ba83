"""tools/inspect_log.py: a door to `kvstore inspect` that needs nothing but the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from storage.samples import commands, led, make_node

CHECKOUT = Path(__file__).resolve().parent.parent
TOOL = CHECKOUT / "tools" / "inspect_log.py"


def inspect(*arguments: object, tool: Path = TOOL, python: tuple[str, ...] = (sys.executable,)):
    return subprocess.run(
        [*python, str(tool), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_it_shows_what_the_command_shows(tmp_path):
    path = make_node(tmp_path / "n1", led(1, 6, 1, 1), applied=5)
    by_tool = inspect(path, "--entries")
    command = [sys.executable, "-m", "kvstore", "inspect", str(path), "--entries"]
    by_command = subprocess.run(command, capture_output=True, text=True, check=False)
    assert by_tool.returncode == by_command.returncode == 0
    assert by_tool.stdout == by_command.stdout
    assert inspect("nowhere").returncode == 2


@pytest.fixture
def checkout(tmp_path):
    """A checkout of its own, and a python beside it that lacks every dependency."""
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOL, tmp_path / "tools")
    (tmp_path / "kvstore").symlink_to(CHECKOUT / "kvstore")
    return tmp_path


BARE = (sys.executable, "-S")


def test_without_dependencies_it_runs_in_the_environment_that_make_built(checkout, tmp_path):
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    path = make_node(tmp_path / "n1", commands(1, 3, 1))
    result = inspect(path, tool=checkout / "tools" / "inspect_log.py", python=BARE)
    assert result.returncode == 1
    assert "term 1 begins at 1 without naming its leader" in result.stdout


def test_without_an_environment_it_says_how_to_make_one(checkout, tmp_path):
    path = make_node(tmp_path / "n1", [])
    result = inspect(path, tool=checkout / "tools" / "inspect_log.py", python=BARE)
    assert result.returncode == 2
    assert "run `make test`" in result.stderr
    assert str(checkout / ".venv") in result.stderr


def test_an_environment_that_is_incomplete_is_not_tried_for_ever(checkout, tmp_path):
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    path = make_node(tmp_path / "n1", [])
    result = inspect(path, tool=checkout / "tools" / "inspect_log.py", python=BARE)
    assert result.returncode == 2
    assert "run `make test`" in result.stderr
