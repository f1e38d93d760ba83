"""A data directory: made once, held once, and refused to everybody but its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from founding import founders

from kvstore.errors import DamagedError, DirectoryRefusedError, StorageUnavailableError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.storage import records
from kvstore.storage.directory import RAFT, STATE, UNFINISHED
from kvstore.storage.filesystem import filesystem_type, lock_holder
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.records import FORMAT_VERSION
from storage.samples import (
    IDENTITY,
    MAP_BYTES,
    commands,
    content,
    copy_of,
    make_node,
    noop,
    open_node,
)

HOLDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from storage.samples import open_node
node = open_node(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_directory_is_made_on_first_use_with_what_is_missing_above_it(tmp_path):
    node = open_node(tmp_path / "deep" / "n1")
    assert node.log.recover().last_index == 0
    assert node.state.applied() == Applied()
    assert node.log.identity.incarnation == f"{1:032x}"
    node.close()


def test_a_directory_keeps_its_data_and_its_incarnation(tmp_path):
    make_node(tmp_path, commands(1, 6, 2), applied=4, keys=3)
    node = open_node(tmp_path, incarnation="f" * 32)
    assert node.log.recover().last_index == 5
    assert node.state.applied() == Applied(4, 4)
    assert node.state.count() == 3
    assert node.log.identity.incarnation == f"{1:032x}"
    node.close()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"node_id": 2}, r"belongs to node 1, not 2"),
        ({"cluster_id": "other"}, r"belongs to cluster 'local', not 'other'"),
    ],
)
def test_a_directory_is_refused_untouched_to_another(tmp_path, changed, message):
    make_node(tmp_path, commands(1, 6, 2), applied=4, keys=3)
    before = content(tmp_path)
    for _ in range(2):
        with pytest.raises(DirectoryRefusedError, match=message):
            open_node(tmp_path, **changed)
        assert content(tmp_path) == before
    open_node(tmp_path).close()


def test_who_founded_a_cluster_is_not_asked_twice(tmp_path):
    """Its log tells who is in it; what a supervisor repeats may be of years ago."""
    make_node(tmp_path, [], members=[3, 1, 2])
    node = open_node(tmp_path, members=[1])
    assert node.log.recover().configuration == founders((1, 2, 3))
    node.close()


def test_who_joins_knows_no_configuration(tmp_path):
    """Thesis §4.1: it has that of its log, and none before."""
    node = open_node(tmp_path, joins=True)
    assert node.log.recover().configuration == Configuration()
    node.close()


@pytest.mark.parametrize(("step", "advice"), [(1, "--join, one node"), (-1, "or a later one")])
def test_another_format_version_is_refused_untouched(tmp_path, monkeypatch, step, advice):
    make_node(tmp_path, [])
    before = content(tmp_path)
    monkeypatch.setattr("kvstore.storage.records.FORMAT_VERSION", FORMAT_VERSION + step)
    with pytest.raises(
        DirectoryRefusedError,
        match=rf"format version {FORMAT_VERSION}.*writes {FORMAT_VERSION + step};.*{advice}",
    ):
        open_node(tmp_path)
    assert content(tmp_path) == before


def test_an_entry_of_a_later_version_is_refused_and_never_mended(tmp_path, monkeypatch):
    """Downgraded, a program would take for damage what it does not know, and ask others for it."""
    make_node(tmp_path, [noop(1, 1, 1), Entry(2, 1, EntryKind.VERSION, b"3")])
    before = content(tmp_path)
    monkeypatch.delitem(records._KINDS, EntryKind.VERSION)
    with pytest.raises(DirectoryRefusedError, match=r"record 2 is whole.*not know \(3\): use"):
        open_node(tmp_path)
    assert content(tmp_path) == before


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path):
    tests = str(Path(__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), tests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert lock_holder(tmp_path / "lock") == holder.pid
        with pytest.raises(DirectoryRefusedError, match=f"in use by process {holder.pid};"):
            open_node(tmp_path)
        holder.kill()
    # The lock dies with its process, however that ended.
    assert lock_holder(tmp_path / "lock") is None
    open_node(tmp_path).close()


def test_a_second_opening_in_the_same_process_is_refused_too(tmp_path):
    node = open_node(tmp_path)
    with pytest.raises(DirectoryRefusedError, match=f"in use by process {os.getpid()}"):
        open_node(tmp_path)
    node.close()
    open_node(tmp_path).close()


def test_a_refused_directory_is_let_go(tmp_path):
    make_node(tmp_path, [])
    with pytest.raises(DirectoryRefusedError):
        open_node(tmp_path, cluster_id="other")
    assert lock_holder(tmp_path / "lock") is None


def test_a_directory_that_lost_its_log_is_damaged_and_not_new(tmp_path):
    make_node(tmp_path, commands(1, 6, 2))
    shutil.rmtree(tmp_path / RAFT)
    with pytest.raises(DamagedError, match="raft/ is missing while state/ is there"):
        open_node(tmp_path)
    assert not (tmp_path / RAFT).exists()


def test_a_log_without_its_file_is_damaged_and_not_new(tmp_path):
    make_node(tmp_path, commands(1, 6, 2))
    (tmp_path / RAFT / "data.mdb").unlink()
    with pytest.raises(DamagedError, match=r"raft/data\.mdb is missing"):
        open_node(tmp_path)


def test_a_state_ahead_of_the_log_is_damage(tmp_path):
    make_node(tmp_path, commands(1, 6, 2), applied=5)
    node = open_node(tmp_path)
    node.log.write(DurableUpdate(truncate_from=5))
    node.close()
    with pytest.raises(DamagedError, match=r"applied entry 5.*ends at 4"):
        open_node(tmp_path)


def test_parts_of_two_directories_do_not_fit_together(tmp_path):
    one = make_node(tmp_path / "n1", [], incarnation="1" * 32)
    two = make_node(tmp_path / "n2", [], incarnation="2" * 32)
    shutil.rmtree(one / STATE)
    shutil.copytree(two / STATE, one / STATE)
    with pytest.raises(DirectoryRefusedError, match="different nodes or at different times"):
        open_node(one)


def interrupted_at_once(path):
    (path / UNFINISHED).mkdir(parents=True)


def interrupted_in_the_log(path):
    interrupted_at_once(path)
    (path / UNFINISHED / "data.mdb").write_bytes(b"\0" * 100)


def interrupted_after_the_log(path):
    path.mkdir()
    LmdbLog.create(path / UNFINISHED, MAP_BYTES, IDENTITY)


def interrupted_in_the_state(path):
    interrupted_after_the_log(path)
    (path / STATE).mkdir()
    (path / STATE / "data.mdb").write_bytes(b"")


def interrupted_before_the_rename(path):
    interrupted_after_the_log(path)
    LmdbState.create(path / STATE, MAP_BYTES, IDENTITY)


@pytest.mark.parametrize(
    "interrupted",
    [
        interrupted_at_once,
        interrupted_in_the_log,
        interrupted_after_the_log,
        interrupted_in_the_state,
        interrupted_before_the_rename,
    ],
)
def test_a_creation_that_was_interrupted_starts_over(tmp_path, interrupted):
    interrupted(tmp_path / "n1")
    node = open_node(tmp_path / "n1")
    node.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 3, 1)))
    node.close()
    node = open_node(tmp_path / "n1")
    assert node.log.recover().last_index == 2
    node.close()
    assert sorted(os.listdir(tmp_path / "n1")) == ["lock", RAFT, STATE]


def test_a_copy_of_a_directory_in_use_opens_elsewhere(tmp_path):
    node = open_node(tmp_path / "n1")
    node.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 30, 1)))
    node.state.put(b"a", b"1")
    node.state.commit(Applied(9, 9))
    copy = copy_of(tmp_path / "n1", tmp_path / "copy")
    node.close()
    node = open_node(copy)
    assert node.log.recover().last_index == 29
    assert node.state.get(b"a") == b"1"
    node.close()


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "n1"):
        with pytest.raises(StorageUnavailableError, match=r"cannot be used: .*--data"):
            open_node(path)


UNPRIVILEGED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from storage.samples import open_node
if os.geteuid() == 0:
    os.setuid(65534)
open_node(Path(sys.argv[1])).close()
"""


def test_a_directory_below_one_that_may_not_be_read_can_be_used():
    """Its name can only be synced with everything else."""
    with tempfile.TemporaryDirectory() as above:
        data_dir = Path(above) / "n1"
        data_dir.mkdir()
        data_dir.chmod(0o777)
        Path(above).chmod(0o311)
        tests = str(Path(__file__).parent.parent)
        command = [sys.executable, "-c", UNPRIVILEGED, str(data_dir), tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (data_dir / RAFT).exists()
        Path(above).chmod(0o700)


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /srv rw,relatime - nfs4 server:/export rw
31 30 0:41 / /srv/local\\040disk rw - xfs /dev/sdb rw
32 22 0:42 / /mnt/over rw - ext4 /dev/sdc rw
33 32 0:43 / /mnt/over rw - cifs //server/share rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/data", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/data/n1", "nfs4"),
        ("/srvother", "ext4"),
        ("/srv/local disk/n1", "xfs"),
        ("/mnt/over/n1", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(path, kind):
    assert filesystem_type(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:1 / / rw - nfs4 server:/export rw\n")
    monkeypatch.setattr("kvstore.storage.filesystem._MOUNTS", mounts)
    with pytest.raises(DirectoryRefusedError, match=r"network file system \(nfs4\)"):
        open_node(tmp_path / "n1")


@pytest.mark.parametrize("derived", ["local-1a2b3c4d", "local-1a2b3c4d-00ff00ff"])
def test_a_name_that_was_derived_from_the_one_that_is_asked_for_is_good(tmp_path, derived):
    open_node(tmp_path / "n1", cluster_id=derived).close()
    for asked in ("local", "local-1a2b3c4d"):
        node = open_node(tmp_path / "n1", cluster_id=asked)
        assert node.log.identity.cluster_id == derived
        node.close()
    for asked in ("loca", "other", "local-00ff00ff", "loc.l"):
        with pytest.raises(DirectoryRefusedError, match=f"belongs to cluster '{derived}'"):
            open_node(tmp_path / "n1", cluster_id=asked)


@pytest.mark.parametrize("name", ["local-2", "local-1a2b3c4", "local-1a2b3c4d-x", "local-1A2B3C4D"])
def test_a_name_that_only_begins_alike_is_another_one(tmp_path, name):
    open_node(tmp_path / "n1", cluster_id=name).close()
    with pytest.raises(DirectoryRefusedError, match="belongs to cluster"):
        open_node(tmp_path / "n1", cluster_id="local")
