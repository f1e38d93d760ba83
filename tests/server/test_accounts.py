"""What a server counts or keeps in stages is what is there, whatever comes in whatever order."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.server.reads import Read, WaitingReads
from kvstore.server.room import Room
from kvstore.server.sync_times import SyncTimes

from .cluster import Claim

small = st.integers(0, 12)
acts = st.lists(st.tuples(st.sampled_from("abcdefg"), small, small), min_size=20, max_size=60)


@given(acts)
def test_a_read_stands_in_one_stage_until_it_leaves_and_leaves_once(story):
    """Batches are answered late, twice, or never; some reads give up on the way."""
    reads = WaitingReads(first_number=100)
    batches = [0]
    added, left = 0, 0
    now_ms = 0.0
    for act, one, two in story:
        if act in "ab":
            added += 1
            # Deadlines do not go back: all wait equally long.
            now_ms += one % 2
            reads.add(Read(Claim(), api.Count(), after=two, deadline_ms=now_ms + 5))
        elif act == "c" and reads.has_arrivals:
            batches.append(reads.new_batch())
        elif act == "d":
            reads.is_ready(batches[-1 - one % len(batches)], two)
        elif act == "e":
            left += len(list(reads.take_due(one)))
        elif act == "f":
            now_ms += one
            left += len(list(reads.take_overdue(now_ms)))
        elif act == "g" and one < 4:
            left += len(reads.take_all())
        reads.check()
        assert len(reads) == added - left


class Medium:
    """A store with so much room left."""

    def __init__(self) -> None:
        self.left = 0

    def room_bytes(self) -> int:
        return self.left


@given(acts)
def test_room_is_what_was_left_at_the_last_look_less_what_was_spent_since(story):
    log, state = Medium(), Medium()
    room = Room(log, state, headroom_bytes=20, interval_ms=3.0)
    now_ms, spent, looked = 0.0, 0, 0
    for act, one, two in story:
        if act in "abc":
            room.spend(one)
            spent += 2 * one
        elif act in "de":
            log.left, state.left = 8 * one, 8 * two
        else:
            now_ms += one
            before = room.left_bytes
            room.tick(now_ms, term=1)
            if room.left_bytes != before or one >= 3:
                spent, looked = 0, min(log.left, state.left)
        assert room.left_bytes == looked - spent
        assert room.is_short == (room.left_bytes < 20)
        assert room.takes_entries == (room.left_bytes >= 10)


@given(st.lists(st.integers(0, 50), max_size=30))
def test_times_of_writes_are_those_of_the_last_ones(times):
    kept = SyncTimes()
    last: deque[float] = deque(maxlen=1_000)
    for time_ms in times * 40:
        kept.note(time_ms)
        last.append(time_ms)
    assert kept.last_ms == (last[-1] if last else None)
    if last:
        assert sum(one <= kept.p99_ms for one in last) >= len(last) * 0.99
        assert kept.p99_ms in last
