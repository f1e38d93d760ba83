"""What is found wrong with a data file before the engine maps it."""

from __future__ import annotations

import os
import struct

import pytest

from kvstore.errors import DamagedError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.lmdb_files import check_data_file, is_allocated
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_pages import META_BYTES
from kvstore.storage.lmdb_state import LmdbState
from storage.samples import IDENTITY, MAP_BYTES, commands, flip

PAGE = 4096
TRANSACTION_AT = META_BYTES - 8


@pytest.fixture
def raft(tmp_path):
    """A log of some pages, closed."""
    path = tmp_path / "raft"
    LmdbLog.create(path, MAP_BYTES, IDENTITY)
    log = LmdbLog(path, MAP_BYTES)
    log.write(DurableUpdate(HardState(1, 1)))
    for first in range(1, 400, 40):
        log.write(DurableUpdate(entries=commands(first, first + 40, 1)))
    for _ in range(6):  # transactions that need no new pages
        log.write(DurableUpdate(HardState(1, 1)))
    log.close()
    return path


def read_all(path):
    log = LmdbLog(path, MAP_BYTES)
    try:
        found = log.recover()
        return found, log.entries(1, found.last_index + 1, 1 << 30) if found.last_index else []
    finally:
        log.close()


def used_bytes(environment):
    """Length of the data file without what is allocated ahead."""
    return (check_data_file(environment).last_page + 1) * PAGE


def test_a_sound_file_passes(raft):
    assert check_data_file(raft).transaction == 18
    assert read_all(raft)[0].last_index == 400


def test_a_missing_or_empty_file_is_damage(raft):
    (raft / "data.mdb").write_bytes(b"")
    with pytest.raises(DamagedError, match=r"data\.mdb: meta page 0 is cut short"):
        LmdbLog(raft, MAP_BYTES)
    (raft / "data.mdb").unlink()
    with pytest.raises(DamagedError, match=r"data\.mdb is missing"):
        LmdbLog(raft, MAP_BYTES)


def test_an_environment_without_any_commit_is_damage(tmp_path, raft):
    content = bytearray((raft / "data.mdb").read_bytes())
    for page in (0, PAGE):
        struct.pack_into("=Q", content, page + TRANSACTION_AT, 0)
    (raft / "data.mdb").write_bytes(content)
    with pytest.raises(DamagedError, match="never written"):
        check_data_file(raft)


@pytest.mark.parametrize("with_zeros", [False, True])
def test_lost_pages_are_noticed_wherever_the_file_was_cut(raft, with_zeros):
    """With zeros: the file system kept the length, and lost what was written last."""
    data = raft / "data.mdb"
    whole, content = read_all(raft), data.read_bytes()
    size = used_bytes(raft)
    unnoticed, messages = [], []
    for kept in {1, 100, PAGE - 1, 2 * PAGE - 1, size - 1, *range(0, size, PAGE)}:
        data.write_bytes(content[:kept])
        os.truncate(data, len(content) if with_zeros else kept)
        try:
            assert read_all(raft) == whole
            unnoticed.append(kept)
        except DamagedError as error:
            messages.append(str(error))
    assert all(str(raft) in message for message in messages)
    # Only what nothing refers to may be lost: free pages at the very end.
    assert all(kept > size - 6 * PAGE for kept in unnoticed)


@pytest.mark.parametrize("meta", [0, 1])
def test_a_flipped_byte_in_a_meta_page_is_noticed_or_harmless(raft, meta):
    """Harmless: the engine ignores or only counts with it, and the log reads as before."""
    whole = read_all(raft)
    data = raft / "data.mdb"
    content = data.read_bytes()
    harmless = set()
    for offset in range(META_BYTES):
        for mask in (0x02, 0x80):
            data.write_bytes(content)
            flip(data, meta * PAGE + offset, mask)
            try:
                assert read_all(raft) == whole
                harmless.add(offset)
            except DamagedError:
                pass
    data.write_bytes(content)
    page_number, magic_and_version = set(range(8)), set(range(16, 24))
    last_page_and_transaction = set(range(META_BYTES - 16 + 2, META_BYTES))
    assert not harmless & (page_number | magic_and_version | last_page_and_transaction)


def test_the_commit_before_is_never_taken_for_the_newest(raft):
    """The newest meta page, its transaction number lowered, would silently open the older."""
    data = raft / "data.mdb"
    newest = check_data_file(raft)
    content = bytearray(data.read_bytes())
    at = newest.number * PAGE + TRANSACTION_AT
    struct.pack_into("=Q", content, at, newest.transaction - 2)
    data.write_bytes(content)
    with pytest.raises(DamagedError, match="leads to the records of transaction"):
        check_data_file(raft)


def test_a_meta_page_that_leads_to_an_old_commit_is_noticed(raft):
    """The pages of earlier commits are still in the file, whole, with an older vote."""
    data = raft / "data.mdb"
    newest = check_data_file(raft)
    older = newest.number ^ 1
    content = bytearray(data.read_bytes())
    main_root_at = 16 + 24 + 48 + 40
    (old_root,) = struct.unpack_from("=Q", content, older * PAGE + main_root_at)
    assert old_root != newest.main.root
    struct.pack_into("=Q", content, newest.number * PAGE + main_root_at, old_root)
    data.write_bytes(content)
    with pytest.raises(DamagedError, match="leads to the records of transaction"):
        check_data_file(raft)


def test_metas_that_are_not_consecutive_are_noticed(raft):
    data = raft / "data.mdb"
    newest = check_data_file(raft)
    content = bytearray(data.read_bytes())
    at = (newest.number ^ 1) * PAGE + TRANSACTION_AT
    struct.pack_into("=Q", content, at, newest.transaction - 3)
    data.write_bytes(content)
    with pytest.raises(DamagedError, match="last two transactions"):
        check_data_file(raft)


def test_a_commit_whose_meta_page_never_reached_the_disk_did_not_happen(tmp_path, raft):
    """LMDB writes the meta page last: a crash may leave all pages of a commit but this one."""
    data = raft / "data.mdb"
    metas_before = data.read_bytes()[: 2 * PAGE]
    log = LmdbLog(raft, MAP_BYTES)
    log.write(DurableUpdate(HardState(5, 2), 300, commands(300, 305, 5)))
    log.close()
    after = data.read_bytes()
    assert read_all(raft)[0].last_index == 304
    data.write_bytes(metas_before + after[2 * PAGE :])
    found, entries = read_all(raft)
    assert (found.hard_state, found.last_index) == (HardState(1, 1), 400)
    assert entries == commands(1, 401, 1)


@pytest.mark.parametrize(
    ("page", "message"), [("a page in use", "is in use twice"), (1 << 40, "outside the file")]
)
def test_a_free_list_that_gives_away_what_it_must_not_is_noticed(raft, page, message):
    """The engine would write over the page without a question."""
    data = raft / "data.mdb"
    newest = check_data_file(raft)
    content = bytearray(data.read_bytes())
    start = newest.free.root * PAGE
    (offset,) = struct.unpack_from("=H", content, start + 16)
    first_listed_at = start + offset + 8 + 8 + 8  # behind a node, its key and the count
    given = newest.main.root if isinstance(page, str) else page
    struct.pack_into("=Q", content, first_listed_at, given)
    data.write_bytes(content)
    with pytest.raises(DamagedError, match=message):
        check_data_file(raft)


@pytest.fixture
def freed_tail(tmp_path):
    """A key space whose last pages were allocated and freed in one transaction.

    The engine counts them and never writes them; `DataFile.fill_up` is undone here, as
    if the process had died right after the commit.
    """
    path = tmp_path / "state"
    LmdbState.create(path, MAP_BYTES, IDENTITY)
    state = LmdbState(path, MAP_BYTES)
    state.put(b"b", b"record")
    state.commit(Applied(1, 1))
    state.commit(Applied(2, 2))
    state.put(b"a", b"x" * 50_000)
    state.delete(b"a")
    state.commit(Applied(3, 3))
    state.close()
    return path


def written_bytes(path):
    """Length of the file up to its last page that is not all zeros."""
    content = path.read_bytes().rstrip(b"\0")
    return -(-len(content) // PAGE) * PAGE


def test_a_file_is_as_long_as_its_newest_commit_says(freed_tail):
    data = freed_tail / "data.mdb"
    assert data.stat().st_size == (check_data_file(freed_tail).last_page + 1) * PAGE


def test_a_file_has_no_holes_where_others_might_fill_the_disk(freed_tail):
    """Its free pages count as room only then."""
    assert is_allocated(freed_tail / "data.mdb")


def test_a_file_may_lack_pages_that_nothing_refers_to(freed_tail):
    data = freed_tail / "data.mdb"
    full = data.stat().st_size
    os.truncate(data, written_bytes(data))
    assert data.stat().st_size < full
    state = LmdbState(freed_tail, MAP_BYTES)
    assert list(state.scan(b"")) == [(b"b", b"record")]
    state.close()
    assert data.stat().st_size == full


def test_a_file_that_lacks_a_page_in_use_is_truncated(freed_tail):
    data = freed_tail / "data.mdb"
    os.truncate(data, written_bytes(data) - PAGE)
    with pytest.raises(DamagedError, match="truncated"):
        LmdbState(freed_tail, MAP_BYTES)


def test_syncing_is_on(raft):
    log = LmdbLog(raft, MAP_BYTES)
    flags = log._env.flags()
    log.close()
    assert (flags["sync"], flags["metasync"], flags["map_async"]) == (True, True, False)
    assert flags["writemap"] is False
