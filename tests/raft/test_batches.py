"""Entries that come as a batch are what they would be one by one."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft.log import RaftLog
from kvstore.raft.types import Entry, EntryKind

from .disk import Disk, admission
from .harness import UNBOUNDED

small = st.integers(0, 12)
written = st.tuples(st.sampled_from(EntryKind), st.integers(0, 2), small)
"""What an entry is, how many terms after the one before it, and how long."""
some = st.lists(written, max_size=8)


def entries_after(last_index: int, last_term: int, story: list) -> list[Entry]:
    entries, term = [], max(1, last_term)
    for index, (kind, terms, size) in enumerate(story, last_index + 1):
        term += terms
        data = bytes(size)
        if kind is EntryKind.CONFIGURE:
            data = admission(index, term, 1 + size % 3, f"{index:032x}").data
        entries.append(Entry(index, term, kind, data))
    return entries


def log_of(entries: list[Entry]) -> RaftLog:
    """One by one, and nothing on the disk."""
    disk = Disk()
    log = RaftLog(disk, disk.recovered(), UNBOUNDED)
    for entry in entries:
        log.add(entry.term, entry.kind, entry.data)
    return log


def account_of(log: RaftLog) -> tuple[object, ...]:
    return (
        *(log.last_index, log.term_ranges, log.configurations.held, log.cached_bytes),
        *(log.room.taken_bytes, log.submit(None, 0.0).entries),
    )


@given(some, small, some)
def test_a_batch_leaves_the_log_as_its_entries_one_by_one(before, cut, story):
    """Of several terms and kinds, also where others were truncated."""
    held = entries_after(0, 0, before)
    log, other = log_of(held), log_of(held)
    if cut and held:
        for one in (log, other):
            one.truncate(min(cut, len(held)))
    batch = entries_after(log.last_index, log.last_term, story)
    log.append(batch)
    for entry in batch:
        other.add(entry.term, entry.kind, entry.data)
    log.check()
    assert account_of(log) == account_of(other)


@given(some, some, small, small, small)
def test_a_batch_is_taken_up_to_the_first_entry_that_does_not_fit(before, story, back, left, more):
    """Those that are here already take no room again; and the next one's room is waited for."""
    held = entries_after(0, 0, before)
    log = log_of(held)
    back = min(back, len(held))
    batch = [*held[len(held) - back :], *entries_after(log.last_index, log.last_term, story)]
    taken = log.room.taken_bytes
    bounds = taken + 4 * left, taken + 4 * (left + more)
    log.room.offer(*bounds, has_headroom=True)
    expected, missed = len(batch), 0
    for position, entry in enumerate(batch[back:], back):
        taken += len(entry.data)
        if taken >= bounds[entry.kind is not EntryKind.COMMAND]:
            expected, missed = position, len(entry.data)
            break
    assert log.part_that_fits(batch) == batch[:expected]
    log.room.offer(log.room.taken_bytes + missed, math.inf, has_headroom=True)
    assert not log.room.has_room
    log.room.offer(log.room.taken_bytes + missed + 1, math.inf, has_headroom=True)
    assert log.room.has_room
    log.room.offer(math.inf, math.inf, has_headroom=True)
    assert log.part_that_fits(batch) == batch
    log.room.offer(log.room.taken_bytes + 1, math.inf, has_headroom=True)
    assert log.room.has_room, "nothing is missed any more"


@given(st.lists(written, min_size=1, max_size=12), small, small, st.integers(0, 90))
def test_a_slice_is_the_longest_that_has_no_more_bytes(story, start, length, bytes_max):
    entries = entries_after(0, 0, story)
    start = 1 + start % len(entries)
    stop = min(len(entries), start + length) + 1
    taken = log_of(entries).slice(start, stop, bytes_max)
    asked = entries[start - 1 : stop - 1]
    assert taken == asked[: len(taken)]
    assert len(taken) == 1 or sum(len(one.data) for one in taken) <= bytes_max
    if len(taken) < len(asked):
        assert sum(len(one.data) for one in asked[: len(taken) + 1]) > bytes_max
