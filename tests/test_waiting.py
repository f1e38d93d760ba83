"""No test and no tool waits for ever: who waits has a deadline, or counts its steps.

Law: a loop that goes on while something has not happened is in `until` (tests/until.py), in
`eventually` (tests/process/cluster.py), or goes on until somebody tells its thread to stop.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("tools/**/*.py")])
MAY_WAIT = {"is_set", "wait"}
"""Methods of an event that a thread is stopped by."""
GROWS = {"endswith"}
"""A stream that is read in the loop ends with a timeout of its socket."""


def waits(loop: ast.While) -> bool:
    """Whether the loop goes on while something has not happened."""
    test = loop.test
    if not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        return False
    asked = test.operand
    is_allowed = isinstance(asked, ast.Call) and isinstance(asked.func, ast.Attribute)
    return not (is_allowed and asked.func.attr in MAY_WAIT | GROWS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nobody_waits_for_ever(file: Path) -> None:
    loops = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.While)]
    lines = [loop.lineno for loop in loops if waits(loop)]
    assert not lines, f"{file.name} waits without an end in lines {lines}: use `until`"
