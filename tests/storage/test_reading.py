"""Reading what one commit of a state made durable, over memory and over LMDB."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import DamagedError
from kvstore.kv.view import Applied
from kvstore.storage import records
from kvstore.storage.lmdb_files import check_data_file
from storage.samples import StateInMemory, StateOnDisk, counts, flip_text

PLENTY = 1 << 20


@pytest.fixture(params=[StateInMemory, StateOnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    yield store
    store.state.close()


def all_of(reading, bytes_max=PLENTY):
    """Everything that is left of a reading, decoded, which is closed then."""
    found = []
    while pairs := reading.read(bytes_max):
        found += [(stored, records.decode_value(stored, value)) for stored, value in pairs]
    reading.close()
    return found


def test_a_new_state_has_nothing_to_read(store):
    reading = store.state.reading()
    assert (reading.applied, reading.counts) == (Applied(), counts())
    assert all_of(reading) == []


def test_keys_come_before_sessions_each_in_byte_order(store):
    for key in (b"b", b"", b"a\x00", b"a", b"\xff"):
        store.state.put(key, b"record of " + key)
    for session in (b"2", b"1"):
        store.state.sessions.put(session, b"session " + session)
    store.state.commit(Applied(9, 5, 77))
    reading = store.state.reading()
    assert (reading.applied, reading.counts) == (Applied(9, 5, 77), counts(keys=5, sessions=2))
    keys = [b"", b"a", b"a\x00", b"b", b"\xff"]
    sessions = [(b"s1", b"session 1"), (b"s2", b"session 2")]
    assert all_of(reading) == [(b"k" + key, b"record of " + key) for key in keys] + sessions


def test_what_was_not_committed_is_not_read(store):
    store.state.put(b"a", b"1")
    store.state.put(b"b", b"2")
    store.state.sessions.put(b"x", b"3")
    store.state.commit(Applied(3, 3))
    store.state.put(b"a", b"new")
    store.state.delete(b"b")
    store.state.put(b"c", b"new")
    store.state.sessions.delete(b"x")
    reading = store.state.reading()
    assert (reading.applied, reading.counts) == (Applied(3, 3), counts(keys=2, sessions=1))
    assert all_of(reading) == [(b"ka", b"1"), (b"kb", b"2"), (b"sx", b"3")]
    assert store.state.get(b"a") == b"new"


def test_later_writes_and_commits_do_not_show_in_an_open_reading(store):
    for number in range(100):
        store.state.put(b"%03d" % number, b"old")
    store.state.commit(Applied(1, 1))
    reading = store.state.reading()
    first = reading.read(1)
    for round_number in range(2, 10):
        for number in range(0, 200, 3):
            store.state.put(b"%03d" % number, b"new")
        for number in range(1, 100, 3):
            store.state.delete(b"%03d" % number)
        store.state.commit(Applied(round_number, round_number))
    assert len(first) == 1
    rest = all_of(reading)
    assert [stored for stored, _ in rest] == [b"k%03d" % number for number in range(1, 100)]
    assert {record for _, record in rest} == {b"old"}


def test_several_readings_are_apart(store):
    found = []
    for number in range(1, 4):
        store.state.put(b"n", b"%d" % number)
        store.state.commit(Applied(number, number))
        found.append(store.state.reading())
    assert [all_of(reading) for reading in found] == [[(b"kn", b"%d" % n)] for n in (1, 2, 3)]
    assert [reading.applied.last_applied for reading in found] == [1, 2, 3]


def test_a_slice_is_about_as_long_as_asked_and_never_empty(store):
    for number in range(50):
        store.state.put(b"%02d" % number, b"x" * 1000)
    store.state.put(b"large", b"x" * 50_000)
    store.state.commit(Applied(1, 1))
    reading = store.state.reading()
    lengths = []
    while pairs := reading.read(5_000):
        lengths.append([len(value) for _, value in pairs])
    reading.close()
    assert max(map(len, lengths)) == 5
    assert sum(map(len, lengths)) == 51
    assert lengths[-1] == [50_004]


def test_many_small_records_are_work_too(store):
    for number in range(1_000):
        store.state.put(b"%03d" % number, b"")
    store.state.commit(Applied(1, 1))
    reading = store.state.reading()
    assert len(reading.read(6_400)) < 100
    reading.close()


def test_a_closed_reading_gives_nothing_and_may_be_closed_again(store):
    store.state.put(b"a", b"1")
    store.state.commit(Applied(1, 1))
    reading = store.state.reading()
    reading.close()
    reading.close()
    with pytest.raises(ValueError, match="closed"):
        reading.read(PLENTY)


def test_the_end_of_the_store_closes_its_readings(store):
    store.state.put(b"a", b"1")
    store.state.commit(Applied(1, 1))
    reading = store.state.reading()
    store.restart()
    assert not reading.is_open
    reading.close()
    assert all_of(store.state.reading()) == [(b"ka", b"1")]


# --- On a disk ----------------------------------------------------------------------------


def last_page_after_writes(store):
    """The last page in use after twenty commits, each of the same keys."""
    for number in range(20):
        for key in range(20):
            store.state.put(b"%02d" % key, b"x" * 3000)
        number += store.state.applied().last_applied + 1
        store.state.commit(Applied(number, number))
    return check_data_file(store.path).last_page


def test_the_file_grows_only_while_a_reading_is_open(tmp_path):
    store = StateOnDisk(tmp_path)
    usual = last_page_after_writes(store)
    reading = store.state.reading()
    reading.read(1)
    with_reading = last_page_after_writes(store)
    assert with_reading > usual + 200
    reading.close()
    assert last_page_after_writes(store) == with_reading
    store.state.close()


def test_a_damaged_record_ends_a_reading_and_is_named(tmp_path):
    store = StateOnDisk(tmp_path)
    for key in (b"a", b"key", b"z"):
        store.state.put(key, b"precious" if key == b"key" else b"")
    store.state.commit(Applied(1, 1))
    store.state.close()
    flip_text(store.path / "data.mdb", b"precious")
    state = store.restart()
    reading = state.reading()
    with pytest.raises(DamagedError, match=r"b'key': its crc32c"):
        all_of(reading)
    assert not reading.is_open
    state.close()


# --- Memory and disk cannot be told apart -------------------------------------------------

KEYS = st.binary(max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from([b"", b"x", b"x" * 9000])),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("session"), KEYS),
        st.tuples(st.just("commit")),
        st.tuples(st.just("open")),
        st.tuples(st.just("read"), st.sampled_from([1, 200, 9000])),
        st.tuples(st.just("close")),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_memory_and_disk_read_alike(tmp_path_factory, steps):
    stores = [kind(tmp_path_factory.mktemp("state")) for kind in (StateInMemory, StateOnDisk)]
    readings: list[list] = [[], []]
    try:
        for number, step in enumerate(steps, 1):
            one, two = (
                run(store.state, opened, number, *step)
                for store, opened in zip(stores, readings, strict=True)
            )
            assert one == two
    finally:
        for store in stores:
            store.state.close()


def run(state, opened, number, action, *arguments):
    if action == "put":
        return state.put(*arguments)
    if action == "delete":
        return state.delete(*arguments)
    if action == "session":
        return state.sessions.put(*arguments, b"%d" % number)
    if action == "commit":
        return state.commit(Applied(number, number))
    if action == "open":
        opened.append(state.reading())
        return opened[-1].applied, opened[-1].counts
    if not opened:
        return None
    if action == "read":
        return opened[0].read(*arguments)
    return opened.pop(0).close()
