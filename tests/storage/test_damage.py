"""What a node's disk lost is named; the rest is kept; nothing is taken for absent."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import DamagedError, DamagedStateError, StorageError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import DurableUpdate, HardState, LogStart, Recovered, TermRange
from kvstore.storage import records
from kvstore.storage.directory import RAFT, STATE, STATE_ASIDE, give_up_state
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_salvage import DAMAGED_FILE
from kvstore.storage.outline import Outline, recovered
from storage.samples import (
    MAP_BYTES,
    LogInMemory,
    LogOnDisk,
    command,
    commands,
    flip,
    flip_text,
    led,
    make_node,
    open_node,
    remove_record,
)

ALL = 1 << 30
PAGE = 4096
ENTRIES = [*led(1, 4, 1, 1), command(4, 1, b"precious"), *led(5, 9, 3, 2)]
RANGES = (TermRange(1, 1), TermRange(5, 3))


class InMemory(LogInMemory):
    def damage(self):
        key, value = self.log.pairs[3]
        self.log.pairs[3] = (key, value[:-1] + b"?")


class OnDisk(LogOnDisk):
    def damage(self):
        self.log.close()
        flip_text(self.path / "data.mdb", b"precious")
        self.log = LmdbLog(self.path, MAP_BYTES)

    def lose(self, index):
        remove_record(self.log, index)


@pytest.fixture(params=[InMemory, OnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    yield store
    store.log.close()


# --- Single records -----------------------------------------------------------------------


def test_a_damaged_record_is_known_by_its_name(store):
    store.damage()
    log = store.restart()
    assert log.recover() == Recovered(HardState(3, 2), RANGES, 8, (4,))
    assert log.entries(5, 9, ALL) == ENTRIES[4:]


def test_a_damaged_record_is_never_given_out(store):
    store.damage()
    with pytest.raises(DamagedError, match="log record 4: its crc32c"):
        store.restart().entries(3, 6, ALL)


@pytest.mark.parametrize("index", [1, 4, 5, 8])
def test_a_missing_record_is_known_by_its_name(tmp_path, index):
    """Also the first of a term, and the last of all, by which nothing else would miss it."""
    store = OnDisk(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    store.lose(index)
    log = store.restart()
    assert log.recover() == Recovered(HardState(3, 2), RANGES, 8, (index,))
    with pytest.raises(DamagedError, match=f"log record {index} is missing"):
        log.entries(1, 9, ALL)
    log.close()


@given(st.lists(st.integers(1, 6), max_size=12).map(sorted), st.sets(st.integers(1, 12)))
def test_whichever_records_are_lost_are_named_and_no_others(terms, lost):
    """Also all of a term, or of some terms in a row: the outline still tells that they were."""
    entries = [command(index, term) for index, term in enumerate(terms, 1)]
    outline = Outline().after(DurableUpdate(entries=entries))
    pairs = [records.encode_entry(entry) for entry in entries if entry.index not in lost]
    found = recovered(HardState(6), outline, pairs, Configuration())
    assert found.damaged == tuple(sorted(index for index in lost if index <= len(entries)))


def test_a_repaired_record_is_whole_after_a_restart(store):
    store.damage()
    store.log.write(DurableUpdate(repairs=[ENTRIES[3]]))
    log = store.restart()
    assert log.recover() == Recovered(HardState(3, 2), RANGES, 8)
    assert log.entries(1, 9, ALL) == ENTRIES


def test_missing_records_are_repaired_while_others_are_added(tmp_path):
    store = OnDisk(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    for index in (1, 2, 8):
        store.lose(index)
    log = store.restart()
    repairs = [ENTRIES[index - 1] for index in (1, 2, 8)]
    log.write(DurableUpdate(entries=commands(9, 11, 3), repairs=repairs))
    log = store.restart()
    assert log.recover() == Recovered(HardState(3, 2), RANGES, 10)
    assert log.entries(1, 11, ALL) == [*ENTRIES, *commands(9, 11, 3)]
    log.close()


@pytest.mark.parametrize("stranger", [command(4, 2), command(9, 3), command(0, 1)])
def test_an_entry_that_the_log_never_held_repairs_nothing(store, stranger):
    """Raft §5.3: (index, term) is one entry; another term is another entry."""
    with pytest.raises(ValueError, match="to be repaired"):
        store.log.write(DurableUpdate(repairs=[stranger]))
    assert store.restart().entries(1, 9, ALL) == ENTRIES


def test_damaged_records_can_be_truncated(store):
    store.damage()
    log = store.restart()
    log.write(DurableUpdate(HardState(4, None), 3, commands(3, 5, 4)))
    ranges = (TermRange(1, 1), TermRange(3, 4))
    assert store.restart().recover() == Recovered(HardState(4, None), ranges, 4)


# --- Damage to the structure of the file --------------------------------------------------


@pytest.fixture
def node(tmp_path):
    """A directory whose log has some pages, and state behind it."""
    return make_node(tmp_path / "n1", led(1, 400, 1, 1), applied=8, keys=60)


def leaf_of(data, text):
    """Where the page begins that holds `text`."""
    position = data.read_bytes().rindex(text)
    return position // PAGE * PAGE


def test_a_lost_page_of_the_log_costs_its_entries_and_no_others(node):
    data = node / RAFT / "data.mdb"
    damaged = data.read_bytes()
    at = leaf_of(data, b"command 200 of")
    data.write_bytes(damaged[:at] + bytes(PAGE) + damaged[at + PAGE :])
    directory = open_node(node)
    found = directory.log.recover()
    assert found.last_index == 399
    assert 200 in found.damaged
    assert len(found.damaged) < 120
    sound = sorted(set(range(1, 400)) - set(found.damaged))
    for index in sound:
        assert directory.log.entries(index, index + 1, ALL) == [led(1, 400, 1, 1)[index - 1]]
    [note] = directory.notes
    assert f"page {at // PAGE} is damaged" in note
    assert str(node / RAFT / DAMAGED_FILE) in note
    directory.log.write(
        DurableUpdate(repairs=[led(1, 400, 1, 1)[index - 1] for index in found.damaged])
    )
    directory.close()
    directory = open_node(node)
    assert directory.log.entries(1, 400, ALL) == led(1, 400, 1, 1)
    assert directory.notes == ()
    directory.close()


@pytest.mark.parametrize("start", [LogStart(1, 1), LogStart(999_999_999, 1)], ids=str)
def test_a_salvaged_log_begins_where_it_began(tmp_path, start):
    entries = led(start.index + 1, start.index + 400, 2, 1)
    node = make_node(tmp_path / "n1", entries, start=start)
    lost = start.index + 200
    flip(node / RAFT / "data.mdb", leaf_of(node / RAFT / "data.mdb", b"command %d of" % lost))
    directory = open_node(node)
    found = directory.log.recover()
    assert (found.start, found.last_index) == (start, start.index + 399)
    assert lost in found.damaged
    assert len(found.damaged) < 120
    assert min(found.damaged) > start.index
    directory.log.write(
        DurableUpdate(repairs=[entries[index - start.index - 1] for index in found.damaged])
    )
    directory.close()
    directory = open_node(node)
    assert directory.log.entries(start.index + 1, start.index + 400, ALL) == entries
    directory.close()


def test_the_damaged_file_stays_beside_the_mended_one(node):
    data = node / RAFT / "data.mdb"
    at = leaf_of(data, b"command 200 of")
    flip(data, at)
    damaged = data.read_bytes()
    open_node(node).close()
    assert (node / RAFT / DAMAGED_FILE).read_bytes() == damaged
    assert not (node / "raft.saved").exists()


def test_a_salvage_that_was_interrupted_begins_again(node):
    flip(node / RAFT / "data.mdb", leaf_of(node / RAFT / "data.mdb", b"command 200 of"))
    (node / "raft.saved").mkdir()
    (node / "raft.saved" / "data.mdb").write_bytes(b"half")
    directory = open_node(node)
    assert 200 in directory.log.recover().damaged
    directory.close()


@pytest.mark.parametrize("text", [b"current_term", b"last_index"])
def test_a_log_whose_vote_or_outline_is_lost_is_refused_untouched(node, text):
    """What this node promised cannot be told: it must not take part."""
    flip_text(node / RAFT / "data.mdb", text)
    before = (node / RAFT / "data.mdb").read_bytes()
    with pytest.raises(
        DamagedError, match="What this node voted for and held cannot be told"
    ) as found:
        open_node(node)
    told = str(found.value)
    assert told.endswith(f": move {node} away and start with --join")
    assert told.count("does not match") <= 1, "the same words twice"
    assert (node / RAFT / "data.mdb").read_bytes() == before
    assert not (node / RAFT / DAMAGED_FILE).exists()


def test_a_node_without_others_is_not_told_to_fetch_from_them(tmp_path):
    alone = make_node(tmp_path / "n1", led(1, 6, 1, 1), members=(1,))
    flip_text(alone / RAFT / "data.mdb", b"current_term")
    with pytest.raises(DamagedError, match="no other node holds what was in it"):
        open_node(alone, members=(1,))


def test_a_flipped_byte_anywhere_loses_nothing_but_what_it_hit(tmp_path):
    """Either the node refuses to start, or it knows its log, and reads the right entries."""
    entries = led(1, 60, 1, 1)
    make_node(tmp_path, entries, applied=8, keys=60)
    sound = {part: (tmp_path / part / "data.mdb").read_bytes() for part in (RAFT, STATE)}
    refused = dict.fromkeys(sound, 0)
    mended = dict.fromkeys(sound, 0)
    for part, content in sound.items():
        for offset in range(5, len(content.rstrip(b"\0")), 157):
            restore(tmp_path, sound)
            flip(tmp_path / part / "data.mdb", offset)
            try:
                mended[part] += use(tmp_path, entries)
            except DamagedStateError:
                assert part == STATE
            except StorageError:
                refused[part] += 1
    assert refused[STATE] == 0, "the log tells the state anew"
    assert mended[RAFT] > 10
    # Only the meta pages and the page of single records must be whole, of each commit.
    assert refused[RAFT] < 4 * PAGE / 157


def restore(data_dir, sound):
    for name in (STATE_ASIDE, "raft.saved"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    for part, content in sound.items():
        (data_dir / part).mkdir(exist_ok=True)
        (data_dir / part / "data.mdb").write_bytes(content)


def use(data_dir, entries):
    """Start, repair, read and write as a server does; whether anything was damaged."""
    directory = open_node(data_dir)
    try:
        found = directory.log.recover()
        assert (found.hard_state, found.last_index) == (HardState(1, 1), len(entries))
        assert found.term_ranges == (TermRange(1, 1),)
        repairs = [entries[index - 1] for index in found.damaged]
        directory.log.write(DurableUpdate(repairs=repairs))
        assert directory.log.entries(1, len(entries) + 1, ALL) == entries
        keys = directory.state.count()
        assert (keys, directory.state.applied()) in ((60, Applied(8, 8)), (0, Applied()))
        assert len(list(directory.state.scan(b""))) == keys
        directory.log.write(DurableUpdate(HardState(2, 1), 30, commands(30, 90, 2)))
        for number in range(0, 90, 2):
            directory.state.put(b"key %d" % number, b"x" * 500)
        directory.state.commit(Applied(20, 20))
    finally:
        directory.close()
    return bool(repairs or directory.notes)


# --- The applied data ---------------------------------------------------------------------


def damage_of_key_33(data_dir):
    """What a server says that ends because it cannot read this key."""
    directory = open_node(data_dir)
    with pytest.raises(DamagedStateError, match="key 33") as caught:
        directory.state.get(b"key 33")
    said = give_up_state(data_dir, directory.log, caught.value)
    assert isinstance(said, DamagedStateError)
    directory.close()
    return str(said)


def test_damaged_data_is_set_aside_and_built_anew(node):
    os.truncate(node / STATE / "data.mdb", 5000)
    directory = open_node(node)
    assert (directory.state.applied(), directory.state.count()) == (Applied(), 0)
    assert [str(node / STATE) in note for note in directory.notes] == [True, True]
    assert (node / STATE_ASIDE / "data.mdb").stat().st_size == 5000
    directory.close()
    directory = open_node(node)
    assert directory.notes == ()
    directory.close()


def test_missing_data_is_built_anew(node):
    shutil.rmtree(node / STATE)
    directory = open_node(node)
    assert directory.state.applied() == Applied()
    assert "building the data anew" in directory.notes[0]
    directory.close()


def test_a_key_that_is_damaged_says_what_to_do_and_the_next_start_does_it(node):
    flip_text(node / STATE / "data.mdb", b"record 33")
    assert re.search(r"key 33.*start again.*built anew from the log$", damage_of_key_33(node))
    directory = open_node(node)
    assert directory.state.count() == 0
    directory.close()
