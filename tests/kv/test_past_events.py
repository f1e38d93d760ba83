"""Changes told from history against a list of all versions that there ever were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.kv import history as history_module
from kvstore.kv.events import Events, events

from .pasts import KEYS, Pasts, entries

Told = list[tuple[int, bytes, bytes | None, bytes | None]]


def told(slices: list[Events]) -> Told:
    return [
        (revision.revision, key, record, old)
        for one in slices
        for revision in one.revisions
        for key, record, old in revision.changes
    ]


def all_slices(pasts: Pasts, start: int, steps: int, wanted: frozenset[bytes]) -> list[Events]:
    slices, position = [], (start, 0)
    while not slices or not slices[-1].is_at_end:
        slices.append(
            events(pasts.history, position, pasts.revision, steps, lambda key: key in wanted)
        )
        assert slices[-1].is_at_end or slices[-1].position > position
        position = slices[-1].position
    return slices


@given(
    entries,
    st.integers(0, 60),
    st.frozensets(st.sampled_from(KEYS)) | st.just(frozenset(KEYS)),
    st.data(),
)
def test_the_slices_are_all_changes_in_their_order(
    written: list, steps: int, wanted: frozenset[bytes], data: st.DataObject
) -> None:
    pasts = Pasts()
    for writes in written:
        pasts.write(writes)
    start = data.draw(st.integers(1, pasts.revision + 1))
    slices = all_slices(pasts, start, steps, wanted)
    right = [one for one in pasts.changes(start) if one[1] in wanted]
    found = told(slices)
    assert sorted(found, key=lambda one: one[:2]) == right
    assert [one[0] for one in found] == [one[0] for one in right]
    assert slices[-1].position == (max(pasts.revision, start - 1) + 1, 0)


@given(entries, st.integers(40, 90))
def test_a_slice_splits_no_revision_that_it_could_hold(written: list, steps: int) -> None:
    """One of four keys, each found in at most 2 + 2 * 8 steps beside those of its row."""
    pasts = Pasts()
    for writes in written:
        pasts.write(writes)
    for one in all_slices(pasts, 1, 4 * steps, frozenset(KEYS)):
        assert one.position[1] == 0


def test_a_revision_that_exceeds_a_slice_is_told_in_parts() -> None:
    pasts = Pasts()
    pasts.write([(b"a", b"before")])
    pasts.write([(key, b"x") for key in KEYS])
    pasts.write([(b"a", b"behind")])
    slices = all_slices(pasts, 2, 4, frozenset(KEYS))
    assert len(slices) > 4
    assert slices[0].position == (3, 0)
    assert slices[1].position == (3, 1)
    assert sorted(told(slices), key=lambda one: one[:2]) == pasts.changes(2)


def test_a_slice_may_begin_at_each_change() -> None:
    pasts = Pasts()
    pasts.write([(key, b"x") for key in KEYS])
    [revision] = events(pasts.history, (2, 0), pasts.revision, 1_000).revisions
    assert list(revision.places) == list(range(len(KEYS)))
    for count, place in enumerate(revision.places):
        [rest] = events(pasts.history, (2, place), pasts.revision, 1_000).revisions
        assert rest.changes == revision.changes[count:]


def test_a_slice_is_as_long_as_its_steps_allow() -> None:
    pasts = Pasts()
    for number in range(2000):
        pasts.write([(b"key %d" % (number % 300), b"x")])
    began = pasts.history.steps
    found = events(pasts.history, (2, 0), pasts.revision, 400)
    assert 100 <= pasts.history.steps - began <= 440
    assert 10 <= len(found.revisions) < 50, "each is seven versions back"
    began = pasts.history.steps
    found = events(pasts.history, (2, 0), pasts.revision, 400, lambda _key: False)
    assert found.revisions == ()
    assert found.position[0] >= 90, "what nobody wants takes its row alone"


def test_a_large_record_is_a_slice_of_its_own() -> None:
    pasts = Pasts()
    for _ in range(4):
        pasts.write([(b"a", b"x" * (1 << 20))])
    assert [len(one.revisions) for one in all_slices(pasts, 2, 1000, frozenset(KEYS))] == [1] * 4


def test_what_was_too_much_to_be_kept_is_told_as_if_nothing_had_been(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "OLD_BYTES_MAX", 20)
    pasts = Pasts()
    pasts.write([(b"a", b"1"), (b"b", b"1")])
    pasts.write([(b"a", b"2"), (b"b", b"2")])
    pasts.write([(b"b", b"3")])
    right = pasts.changes(3)
    assert right[1][:2] == (3, b"b")
    right[1] = (*right[1][:3], None)
    assert told(all_slices(pasts, 3, 100, frozenset(KEYS))) == right
