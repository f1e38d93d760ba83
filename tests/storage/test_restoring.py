"""Directories made from a snapshot: whole or not at all, and alike for all members."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import msgspec
import pytest
from founding import founders
from process.trace import why_strace_cannot_run

from kvstore.errors import (
    ConfigError,
    DamagedSnapshotError,
    DirectoryRefusedError,
)
from kvstore.kv.view import Applied, Past
from kvstore.raft.types import HardState, LogStart
from kvstore.storage.directory import RAFT
from kvstore.storage.inspect import inspect_directories
from kvstore.storage.memory import MemoryState
from kvstore.storage.restoring import restore_snapshot
from kvstore.storage.snapshot_file import SnapshotReader
from kvstore.storage.snapshot_stream import SnapshotStream
from kvstore.storage.tables import counts_of
from storage import restoring_child
from storage.filesystem_calls import record
from storage.power_cut import Disk, make
from storage.restoring_child import MAP_BYTES, identity_of, snapshot
from storage.samples import open_node

BUMP = 1 << 40


def restored(data_dir: Path, data: bytes, node_id: int = 1, bump: int = BUMP):
    reader = SnapshotReader(io.BytesIO(data), "the file")
    return restore_snapshot(
        reader,
        data_dir,
        identity_of(node_id),
        founders((1, 2, 3)),
        revision_bump=bump,
        log_map_bytes=MAP_BYTES,
        state_map_bytes=MAP_BYTES,
    )


def opened(data_dir: Path, node_id: int = 1):
    return open_node(
        data_dir, node_id, cluster_id="new", log_map_bytes=MAP_BYTES, state_map_bytes=MAP_BYTES
    )


def contents(node):
    return list(node.state.scan(b"")), list(node.state.sessions.scan(b""))


@pytest.mark.parametrize("keys", [0, 3, 500])
def test_a_directory_holds_what_the_snapshot_does_but_for_sessions(tmp_path, keys):
    said = restored(tmp_path / "n1", snapshot(keys))
    node = opened(tmp_path / "n1")
    assert contents(node) == ([(b"%04d" % n, b"record %d" % n) for n in range(keys)], [])
    assert node.state.applied() == Applied(70, 50 + BUMP, 900, 2, Past(floor=50 + BUMP))
    found = node.log.recover()
    assert (found.start, found.last_index) == (LogStart(70, 4), 70)
    assert found.hard_state == HardState(4, None, 0)
    assert found.configuration == founders((1, 2, 3))
    assert node.lineage.known == {}
    assert (said.revision, counts_of(said.header.counts)["keys"]) == (50 + BUMP, keys)
    node.close()


def test_all_members_begin_alike_but_for_their_names(tmp_path):
    nodes = []
    for node_id in (1, 2, 3):
        restored(tmp_path / f"n{node_id}", snapshot(20), node_id)
        nodes.append(opened(tmp_path / f"n{node_id}", node_id))
    states = [(contents(node), node.state.applied(), node.log.recover()) for node in nodes]
    assert states[0] == states[1] == states[2]
    assert len({node.log.identity.incarnation for node in nodes}) == 3
    for node in nodes:
        node.close()
    reports = inspect_directories([tmp_path / f"n{node_id}" for node_id in (1, 2, 3)])
    assert not [report.findings for report in reports if report.findings]


def test_more_than_one_commit_holds_is_restored_with_little_memory(tmp_path):
    state = MemoryState(identity_of(1))
    for number in range(40):
        state.put(b"%02d" % number, b"x" * (1 << 20))
    state.commit(Applied(40, 40))
    stream = SnapshotStream(state.reading(), "old", 1, founders((1,)))
    data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    restore_snapshot(
        SnapshotReader(io.BytesIO(data), "the file"),
        tmp_path / "n1",
        identity_of(1),
        founders((1,)),
        revision_bump=1,
        log_map_bytes=MAP_BYTES,
        state_map_bytes=64 << 20,
    )
    node = open_node(tmp_path / "n1", cluster_id="new", state_map_bytes=64 << 20)
    assert node.state.count() == 40
    node.close()


# --- Whole or not at all ------------------------------------------------------------------


@pytest.mark.parametrize("was_there", [False, True])
def test_a_damaged_snapshot_leaves_nothing(tmp_path, was_there):
    whole = snapshot(2_000)
    data_dir = tmp_path / "n1"
    if was_there:
        data_dir.mkdir()
    flipped = whole[:-9] + bytes((whole[-9] ^ 1,)) + whole[-8:]
    for data in (whole[: len(whole) // 2], whole[:-1], whole + b"x", flipped):
        with pytest.raises(DamagedSnapshotError, match="the file"):
            restored(data_dir, data)
        left = [path.name for path in data_dir.iterdir()] if data_dir.exists() else []
        assert left == (["lock"] if was_there else [])
        assert data_dir.exists() == was_there


def test_a_directory_that_a_node_has_is_refused_untouched(tmp_path):
    data_dir = tmp_path / "n1"
    open_node(data_dir).close()
    before = {path: path.read_bytes() for path in data_dir.rglob("*.mdb")}
    with pytest.raises(DirectoryRefusedError, match="a node has this directory already"):
        restored(data_dir, snapshot(3))
    assert {path: path.read_bytes() for path in data_dir.rglob("*.mdb")} == before


def test_a_directory_without_its_log_is_refused_too(tmp_path):
    data_dir = tmp_path / "n1"
    open_node(data_dir).close()
    (data_dir / RAFT).rename(tmp_path / "elsewhere")
    with pytest.raises(DirectoryRefusedError, match=r"state/ is there"):
        restored(data_dir, snapshot(3))


def test_a_directory_in_use_is_refused(tmp_path):
    node = open_node(tmp_path / "n1")
    with pytest.raises(DirectoryRefusedError, match="in use"):
        restored(tmp_path / "n1", snapshot(3))
    node.close()


def test_a_revision_that_leaves_too_few_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match="raise it by less"):
        restored(tmp_path / "n1", snapshot(3), bump=1 << 62)
    assert not (tmp_path / "n1").exists()


@pytest.mark.skipif(why_strace_cannot_run() is not None, reason=str(why_strace_cannot_run()))
@pytest.mark.timeout(300)
def test_a_kill_or_a_power_cut_at_any_step_leaves_the_whole_directory_or_none(tmp_path):
    """After each call to the file system, all that the disk may hold is looked at."""
    (tmp_path / "work").mkdir()
    program = Path(restoring_child.__file__)
    calls = record(program, "restore", str(tmp_path / "work"), trace=tmp_path / "trace")
    disk = Disk(tmp_path / "work")
    seen: set[int] = set()
    whole = 0
    for call in calls:
        disk.apply(call)
        for tree in (disk.now(), *disk.after_a_cut()):
            if hash(tree) in seen:
                continue
            seen.add(hash(tree))
            with tempfile.TemporaryDirectory(dir=tmp_path) as place:
                make(tree, Path(place) / "cut")
                whole += look_at(Path(place) / "cut" / "n1")
    assert len(seen) > 20
    assert whole
    assert look_at(tmp_path / "work" / "n1")


def look_at(data_dir: Path) -> bool:
    """Whether the directory is whole; else it is none, and can be made again."""
    if not (data_dir / RAFT).exists():
        restored(data_dir, snapshot(3))
        is_whole = False
    else:
        is_whole = True
    node = opened(data_dir)
    assert len(contents(node)[0]) == 3
    assert node.state.applied() == Applied(70, 50 + BUMP, 900, 2, Past(floor=50 + BUMP))
    assert node.log.recover().start == LogStart(70, 4)
    node.close()
    return is_whole


def test_the_incarnation_is_of_the_directory(tmp_path):
    restored(tmp_path / "n1", snapshot(1))
    node = opened(tmp_path / "n1")
    assert node.log.identity == node.state.identity == identity_of(1)
    assert msgspec.structs.replace(node.log.identity, node_id=2) != identity_of(2)
    node.close()
