"""A wrong version of the product: a named edit of its source, and who must notice.

Law: the edit is made in a copy, and must fit exactly once: a mutant that no longer
fits the code is an error, never a pass.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HUNT = Path(__file__).with_name("hunt.py")
SEEDS = 400
"""Budget of the simulator for one mutant."""
DEADLINE_S = 240.0
"""Only against a mutant that never ends; far above what any needs."""


@dataclass(frozen=True)
class Mutant:
    """Replace `old` by `new` in `file`.

    * `test`: the scripted test that must fail; without one, the simulator must find it.
    """

    name: str
    file: str
    old: str
    new: str
    test: str | None = None


@dataclass(frozen=True)
class Kill:
    """Who noticed, and after how long."""

    by: str
    seconds: float


def hunt(mutant: Mutant, directory: Path) -> Kill | None:
    """Let loose on a mutant what must kill it; None if it survives."""
    _make_copy(mutant, directory)
    began = time.monotonic()
    if mutant.test is None:
        done, killed = _run(directory, str(HUNT), str(SEEDS)), 42
        by = done.stdout.strip()
    else:
        command = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test)
        done, killed = _run(directory, *command), 1
        by = mutant.test.removeprefix("tests/")
    seconds = time.monotonic() - began
    assert done.returncode in (0, killed), f"the hunt itself failed:\n{done.stdout}{done.stderr}"
    return Kill(by, seconds) if done.returncode == killed else None


def _make_copy(mutant: Mutant, directory: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "mutants", "chaos")
    for part in ("kvstore", "tests", "tools"):
        shutil.copytree(ROOT / part, directory / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", directory)
    file = directory / mutant.file
    source = file.read_text()
    found = source.count(mutant.old)
    assert found == 1, f"{mutant.name} fits {found} places of {mutant.file}; bring it up to date"
    file.write_text(source.replace(mutant.old, mutant.new))


def _run(directory: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
