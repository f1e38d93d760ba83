"""What is left of LMDB stores by a crash, and what they say when the disk refuses."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.errors import DamagedError, DiskWriteError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from storage.crashing_child import ADDED, REMOVED, start_after
from storage.samples import (
    IDENTITY,
    MAP_BYTES,
    command,
    commands,
    copy_of,
    flip_text,
    open_node,
)

CHILD = Path(__file__).with_name("crashing_child.py")


@pytest.fixture
def raft(tmp_path):
    path = tmp_path / "raft"
    LmdbLog.create(path, MAP_BYTES, IDENTITY)
    return path


def test_a_killed_writer_leaves_whole_updates_and_all_that_returned(raft):
    log = LmdbLog(raft, MAP_BYTES)
    log.write(DurableUpdate(HardState(1, 1), None, commands(1, 11, 1)))
    log.close()
    for lines in (1, 2, 3, 5, 8, 20, 40, 80):
        returned = kill_after(lines, raft, "truncates")
        log = LmdbLog(raft, MAP_BYTES)
        found = log.recover()
        log.close()
        number = found.hard_state.current_term
        assert number in (returned, returned + 1)
        assert found.hard_state.voted_for == number
        assert found.last_index == 10 + (number - 1) * (ADDED - REMOVED)
        assert found.term_ranges[-1].term == number
        assert found.term_ranges[-1].first_index == found.last_index - ADDED + 1


def test_a_killed_writer_that_drops_the_front_leaves_whole_updates(raft):
    """A start, the outline of the log, and its records are of one update."""
    for lines in (1, 2, 3, 5, 8, 20, 40, 80):
        returned = kill_after(lines, raft, "drops")
        log = LmdbLog(raft, MAP_BYTES)
        found = log.recover()
        number = found.hard_state.current_term
        assert number in (returned, returned + 1)
        assert (found.start, found.last_index) == (start_after(number), number * ADDED)
        first = found.start.index + 1
        entries = log.entries(first, found.last_index + 1, 1 << 30)
        assert [one.term for one in entries] == [-(-one.index // ADDED) for one in entries]
        assert log.sizes.total_bytes == sum(8 + 13 + len(one.data) for one in entries)
        log.close()


def kill_after(lines: int, raft: Path, what: str) -> int:
    """Kill the child in the midst of its work; the last update that it said had returned."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(raft), str(MAP_BYTES), what],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        returned = [int(child.stdout.readline()) for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        # Each line is one write to the pipe, so the last one may be cut off, but not broken.
        returned += [int(line) for line in child.stdout.read().splitlines()]
    return returned[-1]


def test_a_copy_taken_between_writes_opens_as_of_the_last_one(raft, tmp_path):
    log = LmdbLog(raft, MAP_BYTES)
    log.write(DurableUpdate(HardState(1, 1), None, commands(1, 100, 1)))
    copy = copy_of(raft, tmp_path / "copy")
    log.write(DurableUpdate(HardState(2, None), 50, commands(50, 60, 2)))
    log.close()
    log = LmdbLog(copy, MAP_BYTES)
    assert (log.recover().hard_state, log.recover().last_index) == (HardState(1, 1), 99)
    log.close()


def test_uncommitted_state_never_reaches_the_disk(tmp_path):
    path = tmp_path / "state"
    LmdbState.create(path, MAP_BYTES, IDENTITY)
    state = LmdbState(path, MAP_BYTES)
    state.put(b"a", b"1")
    state.commit(Applied(1, 1))
    for number in range(1000):
        state.put(b"%d" % number, b"x" * 1000)
    copy = copy_of(path, tmp_path / "copy")
    state.close()
    state = LmdbState(copy, MAP_BYTES)
    assert (list(state.scan(b"")), state.applied()) == ([(b"a", b"1")], Applied(1, 1))
    state.close()


# --- Damage -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"hard_state", b"identity", b"current_term", b"incarnation"])
def test_a_damaged_hard_state_or_identity_is_noticed(raft, text):
    flip_text(raft / "data.mdb", text)
    with pytest.raises(DamagedError):
        recover_and_close(raft)


def recover_and_close(raft):
    log = LmdbLog(raft, MAP_BYTES)
    try:
        log.recover()
    finally:
        log.close()


def test_a_flipped_bit_in_the_key_space_is_noticed(tmp_path):
    path = tmp_path / "state"
    LmdbState.create(path, MAP_BYTES, IDENTITY)
    state = LmdbState(path, MAP_BYTES)
    state.put(b"a", b"1")
    state.put(b"key", b"precious")
    state.commit(Applied(1, 1))
    state.close()
    flip_text(path / "data.mdb", b"precious")
    state = LmdbState(path, MAP_BYTES)
    assert state.get(b"a") == b"1"
    with pytest.raises(DamagedError, match=r"b'key': its crc32c"):
        state.get(b"key")
    with pytest.raises(DamagedError, match=r"b'key': its crc32c"):
        list(state.scan(b""))
    state.close()


def test_a_damaged_applied_record_is_noticed(tmp_path):
    path = tmp_path / "state"
    LmdbState.create(path, MAP_BYTES, IDENTITY)
    flip_text(path / "data.mdb", b"last_applied")
    with pytest.raises(DamagedError, match="applied"):
        LmdbState(path, MAP_BYTES)


# --- A disk that refuses ------------------------------------------------------------------


def test_a_full_map_of_the_log_says_so_and_changes_nothing(tmp_path):
    path = tmp_path / "raft"
    LmdbLog.create(path, 1 << 20, IDENTITY)
    log = LmdbLog(path, 1 << 20)
    log.write(DurableUpdate(HardState(1, 1), None, commands(1, 4, 1)))
    with pytest.raises(DiskWriteError, match=r"map is full.*--log-map-bytes"):
        log.write(DurableUpdate(HardState(2, 2), 2, [command(2, 2, b"x" * (2 << 20))]))
    with pytest.raises(DiskWriteError, match="earlier write failed"):
        log.write(DurableUpdate(HardState(2, 2)))
    log.close()
    log = LmdbLog(path, 4 << 20)
    assert (log.recover().hard_state, log.recover().last_index) == (HardState(1, 1), 3)
    log.write(DurableUpdate(HardState(2, 2), 2, [command(2, 2, b"x" * (2 << 20))]))
    log.close()


def test_a_full_map_of_the_key_space_says_so_and_commits_nothing(tmp_path):
    path = tmp_path / "state"
    LmdbState.create(path, 1 << 20, IDENTITY)
    state = LmdbState(path, 1 << 20)
    state.put(b"a", b"1")
    state.commit(Applied(1, 1))
    state.put(b"b", b"2")
    with pytest.raises(DiskWriteError, match=r"map is full.*--state-map-bytes"):
        state.put(b"c", b"x" * (2 << 20))
    with pytest.raises(DiskWriteError):
        state.commit(Applied(3, 3))
    state.close()
    state = LmdbState(path, 1 << 20)
    assert (list(state.scan(b"")), state.applied()) == ([(b"a", b"1")], Applied(1, 1))
    state.close()


@pytest.fixture
def small_files():
    """The operating system refuses to let any file grow beyond 1 MiB."""
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, old_limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
    signal.signal(signal.SIGXFSZ, old_handler)


def test_a_refused_write_of_the_log_is_a_disk_write_error(raft, small_files):
    log = LmdbLog(raft, MAP_BYTES)
    log.write(DurableUpdate(HardState(1, 1), None, commands(1, 4, 1)))
    with pytest.raises(DiskWriteError, match="write failed"):
        log.write(DurableUpdate(HardState(2, 2), 2, [command(2, 2, b"x" * (2 << 20))]))
    with pytest.raises(DiskWriteError, match="earlier write failed"):
        log.write(DurableUpdate(HardState(2, 2)))
    log.close()
    log = LmdbLog(raft, MAP_BYTES)
    assert (log.recover().hard_state, log.recover().last_index) == (HardState(1, 1), 3)
    log.close()


def test_a_refused_commit_of_the_key_space_is_a_disk_write_error(tmp_path, small_files):
    path = tmp_path / "state"
    LmdbState.create(path, MAP_BYTES, IDENTITY)
    state = LmdbState(path, MAP_BYTES)
    state.put(b"a", b"x" * (2 << 20))
    with pytest.raises(DiskWriteError, match="write failed"):
        state.commit(Applied(1, 1))
    with pytest.raises(DiskWriteError, match="earlier write failed"):
        state.commit(Applied(1, 1))
    state.close()
    state = LmdbState(path, MAP_BYTES)
    assert (state.count(), state.applied()) == (0, Applied())
    state.close()


def test_a_creation_that_the_disk_refuses_can_be_repeated(tmp_path, small_files):
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, old_limits[1]))
    with pytest.raises(DiskWriteError):
        open_node(tmp_path / "n1")
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
    node = open_node(tmp_path / "n1")
    assert node.log.recover().last_index == 0
    node.close()
    assert sorted(os.listdir(tmp_path / "n1")) == ["lock", "raft", "state"]
