"""What is free inside a file counts as room, as far as the engine can use it, and no farther."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.kv.view import Applied, Footprint, TableFootprint
from kvstore.raft.room import SHORT_BYTES
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.storage import cost, lmdb_room
from kvstore.storage.lmdb_files import DATA_FILE, read_metas
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_pages import PageReader
from kvstore.storage.lmdb_state import LmdbState
from storage.samples import IDENTITY, command

MAP_BYTES = 24 << 20
LEFT_BYTES = 8 << 20
"""What was left when writers were refused, beyond the last page."""
BATCH = 2_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LmdbLog]:
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    store = LmdbLog(tmp_path / "raft", MAP_BYTES)
    yield store
    store.close()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[LmdbState]:
    LmdbState.create(tmp_path / "state", MAP_BYTES, IDENTITY)
    store = LmdbState(tmp_path / "state", MAP_BYTES)
    yield store
    store.close()


def append(log: LmdbLog, count: int, data_bytes: int = 256) -> None:
    first = log.last_index + 1
    entries = [command(first + i, 1, bytes(data_bytes)) for i in range(count)]
    log.write(DurableUpdate(hard_state=HardState(1), entries=entries))


def fill(log: LmdbLog) -> None:
    while log.growth_bytes() > LEFT_BYTES:
        append(log, BATCH)


def drop(log: LmdbLog, kept: int = BATCH) -> None:
    while log.start.index < log.last_index - kept:
        index = min(log.start.index + BATCH, log.last_index - kept)
        log.write(DurableUpdate(start=LogStart(index, 1)))


def free_list(path: Path) -> int:
    """How many pages the free list names."""
    fd = os.open(path / DATA_FILE, os.O_RDONLY)
    try:
        _, newest = read_metas(fd)
        reader = PageReader(fd, newest)
        leaves = reader._leaves(newest.free, b"", lambda why: pytest.fail(why))
        return sum(len(reader._free_pages(node)) for leaf in leaves for node in leaf)
    finally:
        os.close(fd)


def test_a_log_that_once_was_long_has_the_room_of_its_free_pages(log: LmdbLog) -> None:
    fill(log)
    before = log.room_bytes()
    drop(log)
    append(log, 1)
    assert log.growth_bytes() <= LEFT_BYTES
    assert log.room_bytes() > before + (MAP_BYTES - LEFT_BYTES) // 2


def test_what_is_told_to_be_left_can_be_written_again_and_again(log: LmdbLog) -> None:
    """Each round takes all that is left but for the last mark, and no write fails."""
    fill(log)
    for _ in range(4):
        drop(log)
        append(log, 1)
        each = log.entry_bytes(256)
        while (count := min(BATCH, (log.room_bytes() - log.truncation_bytes) // each)) > 1:
            append(log, count)
    assert log.growth_bytes() >= lmdb_room.GROWTH_BYTES_MIN


def test_the_free_pages_are_those_of_the_free_list(log: LmdbLog, tmp_path: Path) -> None:
    fill(log)
    drop(log)
    append(log, 1)
    fd = os.open(tmp_path / "raft" / DATA_FILE, os.O_RDONLY)
    try:
        _, newest = read_metas(fd)
        reader = PageReader(fd, newest)
        listed = free_list(tmp_path / "raft")
        assert reader.free_pages(newest.transaction + 1, 100_000) == listed > 1_000
        assert 0 < reader.free_pages(newest.transaction, 100_000) < listed
        older = newest.transaction - 3
        assert reader.free_pages(older, 1) == 0 < reader.free_pages(older, 100)
    finally:
        os.close(fd)


def test_what_was_freed_since_somebody_began_to_read_does_not_count(log: LmdbLog) -> None:
    fill(log)
    before = log.room_bytes()
    with log._env.begin():
        drop(log)
        append(log, 1)
        assert log.room_bytes() <= before
    assert log.room_bytes() > 2 * before, "nobody reads any more, and nothing need be written"


_READ = """
import sys, lmdb
env = lmdb.open(sys.argv[1], readonly=True, max_dbs=8)
with env.begin():
    print("reads", flush=True)
    sys.stdin.read()
"""


def test_nor_since_another_process_did(log: LmdbLog, tmp_path: Path) -> None:
    fill(log)
    before = log.room_bytes()
    reader = subprocess.Popen(
        [sys.executable, "-c", _READ, str(tmp_path / "raft")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"reads\n"
    drop(log)
    append(log, 1)
    assert log.room_bytes() <= before
    reader.communicate()
    append(log, 1)
    assert log.room_bytes() > 2 * before


def test_where_a_file_can_hardly_grow_nothing_inside_counts(
    log: LmdbLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists of free pages need pages in a row."""
    fill(log)
    drop(log)
    append(log, 1)
    monkeypatch.setattr(lmdb_room, "GROWTH_BYTES_MIN", log.growth_bytes() + 1)
    assert log.room_bytes() == log.growth_bytes()


def test_on_a_disk_that_is_full_a_file_has_what_is_free_inside(
    log: LmdbLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    drop(log)
    append(log, 1)
    log._file._copies = False
    monkeypatch.setattr(log._file, "free_bytes", lambda: 0)
    assert log.growth_bytes() <= cost.RESERVE_BYTES
    assert log.room_bytes() > (MAP_BYTES - LEFT_BYTES) // 2
    log._file._copies = True
    assert log.room_bytes() == log.growth_bytes()


def test_what_is_short_needs_no_pages_in_a_row(log: LmdbLog, state: LmdbState) -> None:
    append(log, 100, SHORT_BYTES)
    with log._env.begin() as txn:
        assert txn.stat(log._log)["overflow_pages"] == 0
    for number in range(100):
        state.put(b"%0480d" % number, bytes(cost.SHORT_RECORD_BYTES))
    assert not state.has_long
    state.commit(Applied(1, 1))
    assert state._tree.overflow_pages == 0
    state.put(b"long", bytes(cost.SHORT_RECORD_BYTES + 1))
    assert state.has_long


def test_data_that_once_were_many_leave_their_room_to_others(state: LmdbState) -> None:
    """And what is told to be left can be written, and made durable."""
    index, number = 0, 0

    def commit() -> None:
        nonlocal index
        index += 1
        state.commit(Applied(index, index))

    one = Footprint(keys=TableFootprint(1, 300))
    for _ in range(3):
        while state.room_bytes(one) > 2 << 20:
            for _ in range(200):
                if state.room_bytes(one) <= 2 << 20:
                    break
                number += 1
                state.put(b"%040d" % number, bytes(250))
            commit()
        before = state.room_bytes()
        for position, (key, _) in enumerate(list(state.scan(b""))):
            state.delete(key)
            if position % 500 == 0:
                commit()
        for _ in range(3):
            state.put(b"one", b"")
            commit()
        assert state.growth_bytes() < 8 << 20
        assert state.room_bytes() > before + (8 << 20)


def test_of_what_is_long_only_what_the_file_can_grow_by_is_left(state: LmdbState) -> None:
    state.put(b"short", b"")
    state._file.room_bytes = lambda: 1 << 30  # type: ignore[method-assign]
    assert state.room_bytes() > state.growth_bytes() + (512 << 20)
    state.put(b"long", bytes(5_000))
    assert state.room_bytes() == state.growth_bytes()


def change_all(state: LmdbState, index: int, value: bytes = b"") -> None:
    for number in range(4_000):
        state.put(b"%040d" % number, value or bytes([index % 256]) * 250)
    state.commit(Applied(index, index))


def test_what_a_reading_keeps_from_being_used_again_is_known(state: LmdbState) -> None:
    """Not what is added meanwhile, nor what a file without a reading grows by."""
    change_all(state, 1)
    for index in range(2, 6):
        change_all(state, index)
    reading = state.reading()
    assert reading.pinned_bytes == 0
    before = state.data_bytes()
    for number in range(10_000):
        state.put(b"more %040d" % number, bytes(250))
    state.commit(Applied(6, 6))
    added_bytes = state.data_bytes() - before
    assert reading.pinned_bytes < added_bytes // 4
    for index in range(7, 11):
        change_all(state, index)
    pinned_bytes = reading.pinned_bytes
    assert pinned_bytes > 2 * 4_000 * 250
    reading.close()
    assert reading.pinned_bytes == 0
    other = state.reading()
    change_all(state, 12)
    assert other.pinned_bytes < pinned_bytes // 2
