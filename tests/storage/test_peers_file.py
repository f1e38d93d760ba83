"""What is known of peers: in two copies, beside the log, and never half."""

from __future__ import annotations

import os
import shutil

import pytest

from kvstore.config.limits import MEMBERS_MAX
from kvstore.errors import DamagedError, DirectoryRefusedError, DiskWriteError
from kvstore.storage import peers_file, records
from kvstore.storage.base import Acquaintance
from kvstore.storage.directory import PEERS, RAFT
from kvstore.storage.inspect import inspect_directory
from kvstore.storage.lmdb_files import is_allocated
from kvstore.storage.peers_file import PeersFile
from kvstore.storage.records import COPY_BYTES, Peers
from storage.samples import flip, flip_text, led, make_node, open_node

FIRST = Acquaintance(b"start 1.", 0, "cd" * 16)
SECOND = Acquaintance(b"start 2.", 7, "ab" * 16)
OWN = "0" * 32


@pytest.fixture
def path(tmp_path):
    """A file that knows the first start of node 2."""
    PeersFile.create(tmp_path / PEERS, OWN)
    remember(tmp_path / PEERS, FIRST)
    return tmp_path / PEERS


def remember(path, acquaintance):
    peers = PeersFile(path, OWN)
    peers.remember(2, acquaintance)
    peers.close()


def known(path):
    peers = PeersFile(path, OWN)
    peers.close()
    return peers.known


def after_first_half(path):
    """The file as a crash leaves it while `SECOND` is written: before, half, and whole."""
    before = path.read_bytes()
    remember(path, SECOND)
    after = path.read_bytes()
    for stop in (0, 10, 60, 100, COPY_BYTES):
        yield after[:stop] + before[stop:]


def test_nobody_is_known_in_the_beginning(tmp_path):
    PeersFile.create(tmp_path / PEERS, OWN)
    assert known(tmp_path / PEERS) == {}


def test_what_is_remembered_outlasts_a_restart(path):
    remember(path, SECOND)
    peers = PeersFile(path, OWN)
    peers.remember(3, FIRST)
    peers.close()
    assert known(path) == {2: SECOND, 3: FIRST}


def test_who_is_to_be_forgotten_is_so_in_the_same_step(path):
    peers = PeersFile(path, OWN)
    peers.remember(3, FIRST, forget={2, 9})
    peers.close()
    assert known(path) == {3: FIRST}


def test_a_crash_in_the_midst_leaves_the_one_or_the_other(path):
    for content in after_first_half(path):
        path.write_bytes(content)
        assert known(path)[2] in (FIRST, SECOND)


def test_what_a_start_found_after_a_crash_is_in_both_copies(path):
    """It goes by it, and does not write it again; so one copy alone must not be all there is."""
    for content in after_first_half(path):
        for lost in (0, COPY_BYTES):
            path.write_bytes(content)
            found = known(path)
            flip(path, lost + 50)
            assert known(path) == found


def test_where_both_copies_are_whole_the_first_counts(path):
    before = path.read_bytes()
    remember(path, SECOND)
    path.write_bytes(path.read_bytes()[:COPY_BYTES] + before[COPY_BYTES:])
    assert known(path) == {2: SECOND}


def test_a_flipped_byte_anywhere_costs_nothing_and_is_told(path):
    sound = path.read_bytes()
    for offset in range(3, 2 * COPY_BYTES, 101):
        flip(path, offset)
        peers = PeersFile(path, OWN)
        assert peers.known == {2: FIRST}
        assert "crc32c" in peers.mended
        peers.close()
        assert path.read_bytes() == sound


@pytest.mark.parametrize("size", [0, 3, 100, COPY_BYTES - 1])
def test_a_file_without_a_whole_copy_is_damaged_and_never_empty(path, size):
    content = path.read_bytes()[:size]
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"peers: record 'peers'"):
        PeersFile(path, OWN)
    assert path.read_bytes() == content


def test_whatever_passes_the_checksum_is_checked_all_the_same():
    for body in (b"", b"\0\0\0\1", b"\0\0\0\1\xc0", b"\xff\xff\xff\xff\x90"):
        copy = records.encode_value(b"peers", body)
        with pytest.raises(DamagedError, match="record 'peers'"):
            records.decode_peers(copy)


def test_all_that_a_cluster_has_fits_into_a_copy():
    largest = Acquaintance(b"s" * 8, (1 << 64) - 1, "f" * 32)
    peers = Peers("f" * 32, {(1 << 64) - 1 - number: largest for number in range(MEMBERS_MAX)})
    copy = records.encode_peers(peers)
    assert len(copy) == COPY_BYTES
    assert records.decode_peers(copy) == peers


def test_to_remember_takes_no_room_of_a_disk(path):
    before = os.stat(path)
    remember(path, SECOND)
    after = os.stat(path)
    assert (before.st_ino, before.st_size, before.st_blocks) == (
        after.st_ino,
        after.st_size,
        after.st_blocks,
    )
    assert os.listdir(path.parent) == [PEERS]


def test_a_copy_with_holes_has_none_after_a_start(path):
    content = path.read_bytes()
    path.unlink()
    with path.open("wb") as sparse:
        sparse.write(content[:200])
        sparse.truncate(2 * COPY_BYTES)
    if is_allocated(path):
        pytest.skip("this file system makes no holes")
    known(path)
    assert is_allocated(path)


def test_after_a_write_that_failed_no_other_is_tried(path):
    peers = PeersFile(path, OWN)
    descriptor = peers._fd
    peers._fd = os.open(path, os.O_RDONLY)
    with pytest.raises(DiskWriteError, match=r"peers: write failed: .*; what is on the disk is un"):
        peers.remember(2, SECOND)
    os.close(peers._fd)
    peers._fd = descriptor
    assert peers.known == {2: FIRST}
    with pytest.raises(DiskWriteError, match="an earlier write failed"):
        peers.remember(2, SECOND)
    peers.close()


# --- In a directory -----------------------------------------------------------------------


@pytest.mark.timeout(30)
def test_to_remember_waits_for_no_writer_of_the_log(tmp_path):
    node = open_node(tmp_path)
    with node.log._env.begin(write=True):
        node.lineage.remember(2, FIRST)
    node.close()
    node = open_node(tmp_path)
    assert node.lineage.known == {2: FIRST}
    node.close()


def damage(path):
    for offset in (100, COPY_BYTES + 100):
        flip(path, offset)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("lose", [damage, remove])
def test_what_is_lost_is_not_taken_for_first_meetings(tmp_path, lose):
    make_node(tmp_path, led(1, 6, 1, 1))
    lose(tmp_path / RAFT / PEERS)
    starts = (tmp_path / RAFT / "data.mdb").read_bytes()
    with pytest.raises(DamagedError, match=r"knows its peers cannot be told: move .* --join"):
        open_node(tmp_path)
    assert (tmp_path / RAFT / "data.mdb").read_bytes() == starts, "a start was added"
    assert any("peers" in finding for finding in inspect_directory(tmp_path).findings)


@pytest.mark.parametrize("lose", [damage, remove])
def test_a_node_without_peers_has_nothing_to_lose_there(tmp_path, lose):
    make_node(tmp_path, led(1, 6, 1, 1), members=(1,))
    lose(tmp_path / RAFT / PEERS)
    node = open_node(tmp_path, members=(1,))
    assert "made anew, as this node has no peers" in node.notes[0]
    assert node.log.last_index == 5
    node.close()
    assert inspect_directory(tmp_path).findings == ()


def test_one_lost_copy_is_told_and_mended(tmp_path):
    make_node(tmp_path, led(1, 6, 1, 1))
    path = tmp_path / RAFT / PEERS
    flip(path, 100)
    (finding,) = inspect_directory(tmp_path).findings
    assert finding == (
        f"{path}: record 'peers': its crc32c does not match; its other copy is whole"
    )
    node = open_node(tmp_path)
    assert node.notes == (
        f"{path}: record 'peers': its crc32c does not match: written anew from its other copy",
    )
    node.close()
    assert inspect_directory(tmp_path).findings == ()


def test_the_file_of_another_directory_is_refused(tmp_path):
    one = make_node(tmp_path / "n1", led(1, 6, 1, 1))
    two = make_node(tmp_path / "n2", led(1, 6, 1, 1), node_id=2)
    shutil.copy(two / RAFT / PEERS, one / RAFT / PEERS)
    before = (one / RAFT / PEERS).read_bytes()
    with pytest.raises(DirectoryRefusedError, match="was made for another directory than the log"):
        open_node(one)
    assert (one / RAFT / PEERS).read_bytes() == before
    (finding,) = inspect_directory(one).findings
    assert "was made for another directory than the log beside it" in finding


def test_damaged_starts_are_a_finding(tmp_path):
    open_node(tmp_path, start=b"my start").close()
    data = tmp_path / RAFT / "data.mdb"
    flip_text(data, b"my start")
    findings = inspect_directory(tmp_path).findings
    assert f"{tmp_path}: raft/: record 'starts': its crc32c does not match" in findings
    assert peers_file.read(tmp_path / RAFT / PEERS).damage is None
