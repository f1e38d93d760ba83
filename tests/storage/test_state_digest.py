"""Digests of states: equal where the states are, on any medium."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import DamagedError
from kvstore.kv.view import Applied
from kvstore.storage.state_digest import Digesting
from storage.samples import StateInMemory, StateOnDisk, flip_text

PLENTY = 1 << 20
APPLIED = Applied(9, 5, 77)
RECORDS = {b"a": b"1", b"ab": b"22", b"b": b""}
SESSIONS = {b"1": b"one"}


def digest_of(state, bytes_max=PLENTY):
    digesting = Digesting(state.reading())
    while (digest := digesting.go_on(bytes_max)) is None:
        pass
    return digest


def filled(state, records, sessions=SESSIONS, applied=APPLIED):
    for key, record in records.items():
        state.put(key, record)
    for number, session in sessions.items():
        state.sessions.put(number, session)
    state.commit(applied)
    return state


def in_memory(records, sessions=SESSIONS, applied=APPLIED):
    return filled(StateInMemory(None).state, records, sessions, applied)


def test_equal_states_have_equal_digests_whatever_the_medium_and_the_way_there(tmp_path):
    on_disk = StateOnDisk(tmp_path).state
    on_disk.put(b"gone", b"x")
    on_disk.put(b"b", b"an earlier record")
    on_disk.commit(Applied(8, 4, 70))
    on_disk.delete(b"gone")
    filled(on_disk, dict(reversed(RECORDS.items())))
    assert digest_of(on_disk) == digest_of(in_memory(RECORDS))
    on_disk.close()


@settings(deadline=None)
@given(
    st.dictionaries(st.binary(max_size=3), st.binary(max_size=5), max_size=6),
    st.integers(1, 200),
)
def test_slices_of_any_size_make_the_same_digest(records, bytes_max):
    state = in_memory(records)
    assert digest_of(state, bytes_max) == digest_of(state)


def test_a_slice_takes_no_more_than_it_may_and_the_last_one_closes_the_reading():
    state = in_memory({b"%d" % number: bytes(100) for number in range(10)})
    reading = state.reading()
    digesting = Digesting(reading)
    slices = 0
    while digesting.go_on(1) is None:
        slices += 1
        assert reading.is_open
    assert slices == 11  # ten keys, and a session
    assert not reading.is_open
    assert digesting.go_on(1) is digesting.digest


@pytest.mark.parametrize(
    ("records", "sessions", "applied"),
    [
        ({**RECORDS, b"b": b"x"}, SESSIONS, APPLIED),
        ({**RECORDS, b"c": b""}, SESSIONS, APPLIED),
        ({b"a": b"1", b"ab": b"22"}, SESSIONS, APPLIED),
        ({b"a": b"1a", b"b": b"22", b"bb": b""}, SESSIONS, APPLIED),
        (RECORDS, {b"1": b"two"}, APPLIED),
        (RECORDS, {}, APPLIED),
        (RECORDS, SESSIONS, Applied(9, 6, 77)),
        (RECORDS, SESSIONS, Applied(9, 5, 78)),
    ],
)
def test_whatever_differs_makes_another_digest(records, sessions, applied):
    assert digest_of(in_memory(records, sessions, applied)) != digest_of(in_memory(RECORDS))


def test_where_a_key_ends_is_a_part_of_it():
    """Whoever writes keys and values in a row takes these two for the same."""
    digesting = [
        Digesting(FakeReading([(b"ka", b"bc")])),
        Digesting(FakeReading([(b"kab", b"c")])),
    ]
    one, two = [finished(each).digest for each in digesting]
    assert one != two


class FakeReading:
    """Records as no honest state has them, without their crc32c."""

    applied, counts = APPLIED, (1, 0)

    def __init__(self, pairs):
        self.pairs = pairs

    def read(self, bytes_max, pair_bytes):
        pairs, self.pairs = self.pairs, []
        return pairs

    def close(self):
        pass


def finished(digesting):
    while (digest := digesting.go_on(PLENTY)) is None:
        pass
    return digest


def test_a_record_that_is_damaged_makes_no_digest(tmp_path):
    store = StateOnDisk(tmp_path)
    filled(store.state, {b"k": b"precious"})
    store.state.close()
    flip_text(store.path / "data.mdb", b"precious")
    state = store.restart()
    reading = state.reading()
    with pytest.raises(DamagedError, match="crc32c"):
        finished(Digesting(reading))
    assert not reading.is_open
    state.close()


def test_what_nodes_tell_each_other_is_short_and_tells_all_of_it():
    long = digest_of(in_memory(RECORDS))
    odd = digest_of(in_memory(RECORDS, applied=Applied(9, 6, 77)))
    assert len(long.short) == 32
    assert long.short == digest_of(in_memory(RECORDS)).short
    assert long.digest == odd.digest
    assert long.short != odd.short
