"""A wrong version of the product: a named edit of its source, and who must notice.

Law: the edit is made in a copy, and must fit exactly once: a mutant that no longer
fits the code is an error, never a pass.
"""

from __future__ import annotations

import compileall
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .places import ROOT, place_of

HUNT = Path(__file__).with_name("hunt.py")
NURSERY = Path(__file__).with_name("nursery.py")
SEEDS = 400
"""Budget of the simulator for one mutant."""
HINTS_FILE = Path(__file__).with_name("hints.json")
HINTS: dict[str, int] = json.loads(HINTS_FILE.read_text())
"""The seed that found a mutant last. It is tried first and spares the search, nothing else:
with the next kind of fault it means another run, and all seeds follow."""


@dataclass(frozen=True)
class Mutant:
    """Replace `old` by `new` in the definition that is called `place`, wherever that stands.

    * `test`: the scripted test that must fail; without one, the simulator must find it.
    """

    name: str
    place: str
    old: str
    new: str
    test: str | None = None


@dataclass(frozen=True)
class Kill:
    """Who noticed, and after how long."""

    by: str
    seconds: float


def hunt(mutant: Mutant, original: Path, seeds: int = SEEDS) -> Kill | None:
    """Let loose on a mutant of `original` what must kill it; None if it survives."""
    with _copied(mutant, original) as directory:
        began = time.monotonic()
        if mutant.test is None:
            hint = HINTS.get(mutant.name, 0)
            (code, said), killed = _run(directory, str(HUNT), str(seeds), str(hint)), 42
            by = said.strip()
        else:
            (code, said), killed = _run(directory, *_PYTEST, mutant.test), 1
            by = mutant.test.removeprefix("tests/")
        seconds = time.monotonic() - began
    assert code in (0, killed), f"the hunt itself failed, by {code}:\n{said}"
    return Kill(by, seconds) if code == killed else None


_PYTEST = (
    *("-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"),
    "--hypothesis-profile=hunt",
)
"""Nobody reads why the test failed, so nothing is done for that."""


def make_original(directory: Path) -> None:
    """A copy of the product and its tests to take mutants from, compiled once for all."""
    ignored = shutil.ignore_patterns("__pycache__", "mutants", "chaos")
    for part in ("kvstore", "tests", "tools"):
        shutil.copytree(ROOT / part, directory / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", directory)
    assert compileall.compile_dir(directory, quiet=1)


@contextmanager
def _copied(mutant: Mutant, original: Path) -> Iterator[Path]:
    """The mutant: a directory that shares every file with the original but one."""
    place = place_of(mutant.place)
    file = place.file
    with tempfile.TemporaryDirectory(dir=original.parent) as name:
        directory = Path(name)
        # What the one file was compiled to stays behind, so that no trace of it is left.
        ignored = shutil.ignore_patterns(f"{file.stem}.*.pyc")
        shutil.copytree(
            original, directory, copy_function=os.link, ignore=ignored, dirs_exist_ok=True
        )
        edited = place.edited((directory / file).read_text(), mutant.old, mutant.new)
        (directory / file).unlink()
        (directory / file).write_text(edited)
        yield directory


@functools.cache
def _nursery() -> subprocess.Popen[str]:
    """One for all hunts of this process, with which it ends."""
    return subprocess.Popen(
        [sys.executable, NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _run(directory: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a hunt, and what it says."""
    nursery, output = _nursery(), directory / "output"
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    order = {"directory": str(directory), "arguments": arguments, "output": str(output)}
    nursery.stdin.write(json.dumps(order) + "\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline()), output.read_text(errors="replace")
