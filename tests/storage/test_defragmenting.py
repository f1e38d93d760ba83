"""Directories whose files are written anew: the same data in less room, or as they were."""

from __future__ import annotations

import resource
import signal
import tempfile
from pathlib import Path

import pytest
from process.trace import why_strace_cannot_run

from kvstore.errors import DamagedError, DirectoryRefusedError, DiskWriteError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.defragmenting import defragment_directory
from kvstore.storage.lmdb_files import check_data_file
from storage import defragmenting_child
from storage.defragmenting_child import made
from storage.filesystem_calls import Said, record
from storage.power_cut import Disk, Tree, make
from storage.samples import commands, content, flip_text, open_node


def held_by(data_dir: Path) -> list[object]:
    """All that a node finds in its directory."""
    node = open_node(data_dir)
    try:
        found = node.log.recover()
        return [
            found,
            node.log.entries(1, found.last_index + 1, 1 << 20),
            node.log.identity,
            list(node.state.scan(b"")),
            list(node.state.sessions.scan(b"")),
            node.state.applied(),
        ]
    finally:
        node.close()


def test_a_defragmented_directory_holds_the_same_in_less_room(tmp_path):
    data_dir = made(tmp_path / "n1")
    before = held_by(data_dir)
    state, raft = defragment_directory(data_dir)
    assert (state.name, raft.name) == ("state", "raft")
    assert state.before_bytes > 1_000_000 > 100_000 > state.after_bytes
    assert (data_dir / "state" / "data.mdb").stat().st_size == state.after_bytes
    assert raft.after_bytes <= raft.before_bytes
    for name in ("state", "raft"):
        path = data_dir / name / "data.mdb"
        assert path.stat().st_mode & 0o777 == 0o600
        pages = check_data_file(data_dir / name)
        assert (pages.last_page + 1) * pages.page_bytes == path.stat().st_size
    assert sorted(path.name for path in data_dir.iterdir()) == ["lock", "raft", "state"]
    assert held_by(data_dir) == before


def test_a_node_goes_on_where_it_was(tmp_path):
    data_dir = made(tmp_path / "n1")
    defragment_directory(data_dir)
    node = open_node(data_dir)
    node.log.write(DurableUpdate(HardState(3, 1), None, commands(30, 300, 3)))
    for number in range(300):
        node.state.put(b"%04d" % number, b"y" * 2_000)
    node.state.commit(Applied(30, 30))
    node.close()
    node = open_node(data_dir)
    assert (node.log.last_index, node.state.count()) == (299, 300)
    node.close()
    defragment_directory(data_dir)
    defragment_directory(data_dir)
    assert held_by(data_dir)[5] == Applied(30, 30)


def test_a_directory_in_use_is_refused(tmp_path):
    data_dir = made(tmp_path / "n1")
    node = open_node(data_dir)
    before = content(data_dir)
    with pytest.raises(DirectoryRefusedError, match="in use"):
        defragment_directory(data_dir)
    assert content(data_dir) == before
    node.close()


def test_where_there_is_no_directory_none_is_made(tmp_path):
    with pytest.raises(DirectoryRefusedError, match="no node has this directory"):
        defragment_directory(tmp_path / "n1")
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_refused_and_stays_as_it_is(tmp_path):
    data_dir = made(tmp_path / "n1")
    flip_text(data_dir / "state" / "data.mdb", b"last_applied")
    path = data_dir / "raft" / "data.mdb"
    path.write_bytes(path.read_bytes()[:9_000])
    before = content(data_dir / "raft")
    with pytest.raises(DamagedError, match="truncated"):
        defragment_directory(data_dir)
    assert content(data_dir / "raft") == before
    assert not [path for path in data_dir.iterdir() if "defragmented" in path.name]


def test_what_a_killed_one_left_is_removed(tmp_path):
    data_dir = made(tmp_path / "n1")
    left = data_dir / "state.defragmented"
    left.mkdir()
    (left / "data.mdb").write_bytes(b"half of a copy")
    defragment_directory(data_dir)
    assert not left.exists()


@pytest.mark.parametrize("name", ["state", "raft"])
def test_what_a_killed_one_left_is_removed_by_a_start_that_says_so(tmp_path, name):
    data_dir = made(tmp_path / "n1")
    before = held_by(data_dir)
    left = data_dir / f"{name}.defragmented"
    left.mkdir()
    (left / "data.mdb").write_bytes(b"half of a copy")
    node = open_node(data_dir)
    node.close()
    assert node.notes == (f"{left}: removed what an interrupted `kvstore defrag` left",)
    assert not left.exists()
    assert held_by(data_dir) == before


def test_a_disk_without_room_for_the_copy_changes_nothing(tmp_path):
    data_dir = made(tmp_path / "n1")
    before = held_by(data_dir)
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, old_limits[1]))
    try:
        with pytest.raises(DiskWriteError):
            defragment_directory(data_dir)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert held_by(data_dir) == before
    assert sorted(path.name for path in data_dir.iterdir()) == ["lock", "raft", "state"]


@pytest.mark.skipif(why_strace_cannot_run() is not None, reason=str(why_strace_cannot_run()))
@pytest.mark.timeout(300)
def test_a_kill_or_a_power_cut_at_any_step_leaves_all_that_was_there(tmp_path):
    """After each call to the file system, all that the disk may hold is looked at."""
    work = tmp_path / "work"
    work.mkdir()
    program = Path(defragmenting_child.__file__)
    calls = record(program, "defrag", str(work), trace=tmp_path / "trace")
    wanted = held_by(made(tmp_path / "n1"))
    disk = Disk(work)
    seen: set[int] = set()
    is_made = False
    for call in calls:
        disk.apply(call)
        is_made = is_made or isinstance(call, Said)
        if not is_made:
            continue
        for tree in (disk.now(), *disk.after_a_cut()):
            if hash(tree) in seen:
                continue
            seen.add(hash(tree))
            with tempfile.TemporaryDirectory(dir=tmp_path) as place:
                make(tree, Path(place) / "cut")
                assert held_by(Path(place) / "cut" / "n1") == wanted
    assert len(seen) > 10
    # A server writes to the new files, which must not be the old ones again after the next cut.
    assert all(files_of(tree) == files_of(disk.now()) for tree in disk.after_a_cut())


def files_of(tree: Tree) -> list[object]:
    """What is in the files of both stores."""
    data_dir = dict(dict(tree)["n1"])
    return [dict(data_dir[name])["data.mdb"] for name in ("state", "raft")]
