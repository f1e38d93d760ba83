"""History against a list of all versions that there ever were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.kv import history as history_module
from kvstore.kv.history import SPACING, History
from kvstore.kv.view import Past

from .pasts import BOUNDS, KEYS, Pasts, entries

MANY = 3 * SPACING + 2


def filled(written: list[list[tuple[bytes, bytes | None]]], keep_bytes: int = 1 << 30) -> Pasts:
    pasts = Pasts(keep_bytes)
    for writes in written:
        pasts.write(writes)
    return pasts


@given(entries)
def test_each_key_is_found_as_it_was_at_each_revision(written: list) -> None:
    pasts = filled(written)
    for revision in range(1, pasts.revision + 2):
        for key in KEYS:
            found = pasts.history.version_at(key, revision)
            assert found == pasts.record_at(key, revision), (key, revision)


@given(entries, st.sampled_from(BOUNDS), st.sampled_from(BOUNDS), st.data())
def test_a_range_is_found_as_it_was_either_way_round(
    written: list, start: bytes | None, end: bytes | None, data: st.DataObject
) -> None:
    pasts = filled(written)
    revision = data.draw(st.integers(1, pasts.revision))
    right = pasts.range_at(start or b"", end, revision)
    found = [one for one in pasts.history.range_at(start or b"", end, revision) if one[1]]
    assert found == list(right.items())
    found = [one for one in pasts.history.range_back_at(start or b"", end, revision) if one[1]]
    assert found == list(reversed(right.items()))


def test_a_range_tells_each_key_once_and_ends_where_it_shall() -> None:
    """Here a key lives and stands in the index, and the keys at the bounds are gone."""
    keys = (b"a", b"b", b"c")
    pasts = filled([[(key, b"1") for key in keys], [(key, None) for key in keys], [(b"b", b"2")]])
    for found in (
        pasts.history.range_at(b"a", b"c", 2),
        reversed([*pasts.history.range_back_at(b"a", b"c", 2)]),
    ):
        assert [key for key, _ in found] == [b"a", b"b"]


@given(entries, st.sampled_from(KEYS), st.data())
def test_all_versions_of_a_key_are_told_the_last_one_first(
    written: list, key: bytes, data: st.DataObject
) -> None:
    pasts = filled(written)
    before = data.draw(st.integers(1, pasts.revision + 1))
    right = [one for one in pasts.versions.get(key, {}).items() if one[0] < before]
    assert list(pasts.history.versions(key, before - 1)) == right[::-1]


@given(entries, st.integers(0, 2000), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9))))
def test_what_is_dropped_is_below_the_floor_and_all_else_is_found(
    written: list, keep_bytes: int, drops: list[tuple[int, int]]
) -> None:
    """Whatever the floor, however little is dropped at once, and whatever comes between."""
    pasts = Pasts(keep_bytes)
    drops = [*drops, (0, 10_000)]
    for number, (floor, count) in enumerate(drops):
        for writes in written[number :: len(drops)]:
            pasts.write(writes)
        was = pasts.history.floor
        pasts.history.drop(floor, pasts.revision, count, keep_bytes)
        pasts.history.check_state(pasts.revision)
        assert pasts.history.floor >= max(was, min(floor, pasts.revision))
        check_all_from_the_floor(pasts)
    rows = [at for (at, _), _ in pasts.history.rows((0, 0))]
    assert not rows or rows[0] >= pasts.history.floor
    assert pasts.history.bytes <= keep_bytes or set(rows) == {pasts.revision}


def check_all_from_the_floor(pasts: Pasts) -> None:
    floor = pasts.history.floor
    for revision in range(max(1, floor), pasts.revision + 1):
        right = pasts.range_at(b"", None, revision)
        found = [one for one in pasts.history.range_at(b"", None, revision) if one[1]]
        assert found == list(right.items()), revision
    for key in KEYS:
        told = list(pasts.history.versions(key, pasts.revision))
        those = pasts.versions.get(key, {})
        upto = [at for at in those if at <= floor]
        is_there = upto and (those[upto[-1]] is not None or upto[-1] == floor)
        right = [*upto[-1:][: bool(is_there)], *(at for at in those if at > floor)]
        assert told == [(at, those[at]) for at in reversed(right)]


def test_the_newest_revision_stays_however_little_is_kept() -> None:
    pasts = filled([[(b"a", b"1")], [(b"a", b"2"), (b"b", b"2")]], keep_bytes=0)
    pasts.history.drop(1 << 60, pasts.revision, 1000, 0)
    assert pasts.history.floor == pasts.revision == 3
    assert [at for at, _ in pasts.history.rows((0, 0))] == [(3, 0), (3, 1)]


def test_a_revision_is_dropped_whole_before_the_floor_rises_again() -> None:
    """By bytes the floor rises behind what is dropped, and not a revision further than it must."""
    pasts = filled([[(b"a", b"x"), (b"b", b"x")]] * 4)
    bytes_max = pasts.history.bytes - 1
    pasts.history.drop(0, pasts.revision, 1, bytes_max)
    assert pasts.history.floor == 3
    pasts.history.drop(0, pasts.revision, 1000, bytes_max)
    assert pasts.history.floor == 3
    assert next(pasts.history.rows((0, 0)))[0] == (3, 0)


@pytest.mark.parametrize("deletes", [False, True])
def test_an_earlier_version_takes_few_steps_however_often_a_key_changed(deletes: bool) -> None:
    pasts = Pasts()
    for number in range(40 * SPACING):
        is_deleted = deletes and number % 3 == 2
        pasts.write([(b"hot", None if is_deleted else b"%d" % number)])
    for revision in range(2, pasts.revision + 1):
        began = pasts.history.steps
        pasts.history.version_at(b"hot", revision)
        assert pasts.history.steps - began <= 2 * (2 + SPACING)


def test_what_begins_anew_under_one_revision_again_and_again_takes_few_steps_too() -> None:
    """Each time version 1, so no write of it is an eighth one."""
    pasts = Pasts()
    for number in range(40 * SPACING):
        pasts.write([(b"hot", None), (b"hot", b"%d" % number)])
    began = pasts.history.steps
    assert pasts.history.version_at(b"hot", 3) == pasts.record_at(b"hot", 3)
    assert pasts.history.steps - began <= 2 * (2 + SPACING)


def test_hot_keys_are_passed_in_one_step_each() -> None:
    """A range costs its keys, not their changes."""
    pasts = Pasts()
    for number in range(400):
        pasts.write([(b"hot", b"%d" % number), (b"gone", None if number % 2 else b"x")])
    began = pasts.history.steps
    list(pasts.history.range_at(b"", None, pasts.revision))
    assert pasts.history.steps - began < 20


def test_what_one_revision_replaces_is_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the floor rises to that revision: whoever asks before it is not told half of it."""
    monkeypatch.setattr(history_module, "OLD_BYTES_MAX", 100)
    large = b"x" * 30  # and a head of 34 bytes
    pasts = filled([[(key, large) for key in (b"a", b"b", b"c")]])
    pasts.write([(b"a", None), (b"b", None)])
    assert pasts.history.floor == 0, "the one that reaches the bound is kept"
    pasts.write([(key, large) for key in (b"a", b"b", b"c")])
    pasts.write([(b"a", None), (b"b", b"2"), (b"c", None)])
    assert pasts.history.floor == pasts.revision == 5
    check_all_from_the_floor(pasts)
    pasts.write([(b"b", b"3")])
    check_all_from_the_floor(pasts)
    assert pasts.history.floor == 5, "each revision has room of its own"


def test_history_goes_on_where_it_was_after_a_restart() -> None:
    pasts = filled([[(b"a", b"%d" % number)] for number in range(MANY)])
    pasts.history.drop(5, pasts.revision, 2, 1 << 30)
    again = History(pasts.state, pasts.history.past)
    assert again.past == Past(5, pasts.history.bytes, keep_bytes=1 << 30)
    assert again.version_at(b"a", 5) == pasts.record_at(b"a", 5)
    again.check_state(pasts.revision)
