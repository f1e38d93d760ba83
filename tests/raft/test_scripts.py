"""Golden scripts: the films in `scripts/`, played again and compared word by word.

Run with `RAFT_SCRIPTS=rewrite` to write what the core does now into the files;
the difference is then for a person to read.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvstore.raft.types import LogStart

from .film import played

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 7)]


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 4


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"begins at {start.index + 1}")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_film_is_as_written(script: Path, start: LogStart) -> None:
    found = played(script, start)
    if not start.index and os.environ.get("RAFT_SCRIPTS") == "rewrite":
        script.write_text(found)
    assert found == script.read_text()
