"""Readers that are killed pin the pages of their commit, until somebody looks for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from storage.samples import IDENTITY, MAP_BYTES

READER = """
import sys
from pathlib import Path
from kvstore.storage.lmdb_reader import snapshot
with snapshot(Path(sys.argv[1])):
    print("pins", flush=True)
    sys.stdin.read()
"""


def kill_a_reader(environment: Path) -> None:
    """A process looks at the newest commit, and ends before it has finished."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(environment)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"pins\n"
        reader.kill()


def pages(store: LmdbLog | LmdbState) -> int:
    return int(store._env.info()["last_pgno"])


def check_that_it_stops_growing(
    store: LmdbLog | LmdbState, environment: Path, write: Callable[[int], None], writes: int
) -> None:
    for number in range(1, 9):
        write(number)
    before = pages(store)
    for round_ in (1, 2):
        kill_a_reader(environment)
        first = round_ * 1_000
        for number in range(first, first + writes):
            write(number)
        assert pages(store) <= before + 12 * round_
    store.close()


def test_a_log_goes_on_without_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.storage.lmdb_log._READER_CHECK_WRITES", 4)
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    log = LmdbLog(tmp_path / "raft", MAP_BYTES)

    def vote(number: int) -> None:
        log.write(DurableUpdate(HardState(number)))

    check_that_it_stops_growing(log, tmp_path / "raft", vote, 60)


def test_a_key_space_goes_on_without_growing(tmp_path: Path) -> None:
    LmdbState.create(tmp_path / "state", MAP_BYTES, IDENTITY)
    state = LmdbState(tmp_path / "state", MAP_BYTES)

    def put(number: int) -> None:
        state.put(b"key", b"%d" % number)
        state.commit(Applied(number))

    check_that_it_stops_growing(state, tmp_path / "state", put, 60)
