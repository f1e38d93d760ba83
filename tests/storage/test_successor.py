"""A state is built beside the one in use, and takes its place: whole, or not at all."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from kvstore.errors import DamagedError, DiskWriteError, MapFullError, StorageUnavailableError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.storage import records
from kvstore.storage.inspect import inspect_directory
from kvstore.storage.leftover import STEP_BYTES, remove_some
from kvstore.storage.spool import SpoolFile
from storage.samples import StateInMemory, StateOnDisk, begin_after, make_node, open_node

APPLIED = Applied(50, 40, 3_000)
START = LogStart(50, 3)


def pair(stored: bytes, record: bytes) -> tuple[bytes, bytes]:
    return stored, records.encode_value(stored, record)


PAIRS = [pair(b"ka", b"1"), pair(b"kb", b"2"), pair(b"s" + bytes(8), b"session")]


@pytest.fixture(params=[StateInMemory, StateOnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    store.state.put(b"old", b"0")
    store.state.sessions.put(b"\1" * 8, b"old session")
    store.state.commit(Applied(9, 9))
    yield store
    store.state.close()


def finished(state, pairs=PAIRS):
    successor = state.begin_successor()
    for one in pairs:
        successor.put([one])
    successor.finish(APPLIED)
    return successor


def test_what_is_finished_is_the_state_from_then_on(store):
    successor = finished(store.state)
    store.state.put(b"not committed", b"x")
    assert store.state.get(b"a") is None
    store.state.change_over(successor)
    assert store.state.applied() == APPLIED
    assert list(store.state.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    assert list(store.state.sessions.scan(b"")) == [(bytes(8), b"session")]
    store.state.put(b"c", b"3")
    store.state.delete(b"a")
    store.state.commit(Applied(51, 42))
    state = store.restart()
    assert state.applied() == Applied(51, 42)
    assert list(state.scan(b"")) == [(b"b", b"2"), (b"c", b"3")]


def test_one_state_follows_another(store):
    store.state.change_over(finished(store.state))
    store.state.change_over(finished(store.state, [pair(b"kz", b"9")]))
    assert list(store.state.scan(b"")) == [(b"z", b"9")]
    assert store.state.data_bytes() > 0


def test_what_is_abandoned_leaves_the_state_as_it_was(store):
    successor = store.state.begin_successor()
    successor.put(PAIRS)
    successor.abandon()
    store.state.change_over(finished(store.state, []))
    assert store.state.count() == 0


def test_one_is_abandoned_after_the_other(store):
    """Whatever of the one before still lies there."""
    for _ in range(2):
        successor = store.state.begin_successor()
        successor.put(PAIRS)
        successor.abandon()
    assert store.state.count() == 1


def test_a_reading_ends_with_what_it_reads(store):
    reading = store.state.reading()
    store.state.change_over(finished(store.state))
    assert not reading.is_open


def test_a_spool_gives_back_what_was_written(store):
    spool = store.state.new_spool()
    spool.write(b"01234")
    spool.write(b"56789")
    assert spool.read(3, 4) == b"3456"
    assert spool.read(8, 100) == b"89"
    spool.close()


def test_a_spool_has_no_name_and_a_write_that_fails_is_told(tmp_path):
    spool = SpoolFile(tmp_path / "spool")
    assert os.listdir(tmp_path) == []
    spool.close()
    with pytest.raises(DiskWriteError):
        spool.write(b"x")
    with pytest.raises(DamagedError):
        spool.read(0, 1)


def test_a_spool_of_which_the_disk_takes_only_a_part_is_told(tmp_path):
    """A write to a disk that fills up says how far it came, and nothing else."""
    spool = SpoolFile(tmp_path / "spool")
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, old_limits[1]))
    try:
        with pytest.raises(DiskWriteError):
            spool.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
        signal.signal(signal.SIGXFSZ, old_handler)
    spool.close()


def test_records_that_are_out_of_order_are_not_taken(tmp_path):
    state = StateOnDisk(tmp_path).state
    successor = state.begin_successor()
    successor.put([PAIRS[1]])
    with pytest.raises(DiskWriteError):
        successor.put([PAIRS[0]])
    state.close()


def test_what_does_not_fit_into_the_map_leaves_the_state_as_it_was(tmp_path):
    """Nothing rests on what was written, so it goes, and the state is written to as ever."""
    store = StateOnDisk(tmp_path)
    store.state.put(b"old", b"0")
    successor = store.state.begin_successor()
    count = store.state.capacity_bytes >> 20
    with pytest.raises(MapFullError, match="larger --state-map-bytes"):
        successor.put(pair(b"k%08d" % number, bytes(1 << 20)) for number in range(count))
    successor.abandon()
    assert not (tmp_path / "state.new").exists()
    store.state.commit(Applied(9, 9))
    assert store.restart().get(b"old") == b"0"


def test_a_spool_that_cannot_be_made_is_told_with_what_to_do(tmp_path):
    """The name of a file with as long a path, or too many open ones: nothing is damaged."""
    with pytest.raises(StorageUnavailableError, match="Nothing is known to be wrong"):
        SpoolFile(tmp_path / "missing" / "spool")
    assert os.listdir(tmp_path) == []


# --- What is not wanted any more ------------------------------------------------------------------


def test_a_large_file_goes_a_step_at_a_time(tmp_path):
    """To free it at once takes as long as it is large, and that would be one turn."""
    (tmp_path / "old").mkdir()
    file = tmp_path / "old" / "data.mdb"
    (tmp_path / "old" / "lock.mdb").write_bytes(b"x")
    file.touch()
    os.truncate(file, 3 * STEP_BYTES + 1)
    for left in (2 * STEP_BYTES + 1, STEP_BYTES + 1, 1):
        assert remove_some(tmp_path / "old")
        assert file.stat().st_size == left
    assert not remove_some(tmp_path / "old")
    assert os.listdir(tmp_path) == []
    assert not remove_some(tmp_path / "old")


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_what_is_not_wanted_goes_in_steps_or_with_the_next_start(node, tmp_path, is_abandoned):
    data_dir = tmp_path / "n1"
    successor = finished(node.state)
    if is_abandoned:
        successor.abandon()
    else:
        node.log.write(DurableUpdate(HardState(3), start=START))
        node.state.change_over(successor)
    assert not (data_dir / "state.new").exists()
    os.truncate(data_dir / "state.old" / "data.mdb", 2 * STEP_BYTES)
    assert node.state.tidy()
    killed(node)
    expected = (Applied(10, 10), 3, LogStart(10, 2)) if is_abandoned else (APPLIED, 2, START)
    assert open_state(data_dir) == expected
    assert not (data_dir / "state.old").exists()


READER = """
import sys
from pathlib import Path
from kvstore.storage import records
from kvstore.storage.lmdb_reader import snapshot
with snapshot(Path(sys.argv[1])) as pages:
    print("reads", flush=True)
    sys.stdin.readline()
    print(records.APPLIED in pages.main_values())
"""


def test_who_reads_a_state_whose_place_is_taken_reads_on(tmp_path):
    """`kvstore inspect` would find damage in a file that is cut shorter beneath it."""
    store = StateOnDisk(tmp_path)
    successor = finished(store.state)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, store.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline() == "reads\n"
    store.state.change_over(successor)
    assert not (tmp_path / "state.old").exists()
    assert reader.communicate("go on\n") == ("True\n", None)
    store.state.change_over(finished(store.state))
    assert (tmp_path / "state.old").exists()
    assert not store.state.tidy()
    store.state.close()


# --- A start after each step ----------------------------------------------------------------------


def killed(node):
    """What a process leaves that is gone: nothing is committed that was not."""
    node.close()


def open_state(data_dir):
    node = open_node(data_dir)
    found = (node.state.applied(), node.state.count(), node.log.start)
    node.close()
    return found


@pytest.fixture
def node(tmp_path):
    """A directory whose log goes on far behind its state."""
    return open_node(make_node(tmp_path / "n1", [], start=LogStart(10, 2), keys=3))


def test_a_state_that_no_log_names_is_thrown_away(node, tmp_path):
    successor = finished(node.state)
    successor.env.close()
    killed(node)
    assert open_state(tmp_path / "n1") == (Applied(10, 10), 3, LogStart(10, 2))
    assert not (tmp_path / "n1" / "state.new").exists()


def test_a_state_that_is_not_finished_is_thrown_away_whatever_the_log_says(node, tmp_path):
    successor = node.state.begin_successor()
    successor.put(PAIRS)
    successor.env.close()
    node.log.write(DurableUpdate(HardState(3), start=START))
    killed(node)
    applied, count, start = open_state(tmp_path / "n1")
    assert (applied, count, start) == (Applied(10, 10), 3, START)
    assert not (tmp_path / "n1" / "state.new").exists()


@pytest.mark.parametrize("moved", [(), ("state",), ("state", "state.new")], ids=len)
def test_a_state_that_the_log_names_is_put_in_place_by_the_next_start(node, tmp_path, moved):
    data_dir = tmp_path / "n1"
    successor = finished(node.state)
    successor.env.close()
    node.log.write(DurableUpdate(HardState(3), start=START))
    killed(node)
    for name in moved:
        target = {"state": "state.old", "state.new": "state"}[name]
        (data_dir / name).rename(data_dir / target)
    assert open_state(data_dir) == (APPLIED, 2, START)
    assert not (data_dir / "state.new").exists()
    assert not (data_dir / "state.old").exists()
    assert open_state(data_dir) == (APPLIED, 2, START)


def test_a_state_of_another_directory_is_not_taken(node, tmp_path):
    data_dir = tmp_path / "n1"
    node.log.write(DurableUpdate(HardState(3), start=START))
    killed(node)
    other = open_node(make_node(tmp_path / "n2", [], start=LogStart(10, 2), node_id=2), 2)
    finished(other.state).env.close()
    other.close()
    (tmp_path / "n2" / "state.new").rename(data_dir / "state.new")
    assert open_state(data_dir)[0] == Applied(10, 10)


def test_a_name_that_a_killed_spool_left_is_removed(node, tmp_path):
    killed(node)
    (tmp_path / "n1" / "snapshot.spool").write_bytes(b"x")
    open_state(tmp_path / "n1")
    assert not (tmp_path / "n1" / "snapshot.spool").exists()


def test_a_node_whose_state_is_lost_starts_without_if_others_have_it(tmp_path):
    """Its log begins later, so a snapshot must tell what came before."""
    begin_after(LogStart(10, 2), tmp_path, applied=9)
    node = open_node(tmp_path)
    assert node.state.applied().last_applied == 9
    node.close()


def test_a_node_without_peers_does_not_start_where_nobody_can_tell_what_is_missing(tmp_path):
    begin_after(LogStart(10, 2), tmp_path, applied=9, members=(1,))
    with pytest.raises(DamagedError, match=r"only up to 9, .* begins after entry 10"):
        open_node(tmp_path, members=[1])


# --- What an inspection says of it ----------------------------------------------------------------


def test_an_inspection_tells_of_a_snapshot_that_is_being_installed(node, tmp_path):
    """A state beside the one in use is no damage; once the log names it, nothing is missing."""
    data_dir = tmp_path / "n1"
    finished(node.state).env.close()
    node.log.write(DurableUpdate(HardState(3), start=START))
    killed(node)
    report = inspect_directory(data_dir)
    assert (report.successor, report.findings) == (APPLIED, ())
    open_state(data_dir)
    report = inspect_directory(data_dir)
    assert (report.successor, report.applied, report.findings) == (None, APPLIED, ())


def test_an_inspection_finds_nothing_in_a_snapshot_that_is_not_whole(node, tmp_path):
    successor = node.state.begin_successor()
    successor.put(PAIRS)
    successor.env.close()
    killed(node)
    report = inspect_directory(tmp_path / "n1")
    assert (report.successor, report.findings) == (Applied(), ())


def test_what_is_missing_is_a_finding_whatever_is_being_installed(node, tmp_path):
    node.state.begin_successor().env.close()
    node.log.write(DurableUpdate(HardState(3), start=START))
    killed(node)
    (finding,) = inspect_directory(tmp_path / "n1").findings
    assert "what is between is not here" in finding
