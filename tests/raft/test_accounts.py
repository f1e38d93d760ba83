"""What the core counts beside what it keeps is its sum, whatever happens in whatever order."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import Configurations
from kvstore.raft.log import RaftLog
from kvstore.raft.progress import Progress
from kvstore.raft.reads import PendingReads, ReadReady
from kvstore.raft.room import EntryRoom
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import Entry, EntryKind

from .disk import THREE, Disk, admission, entries_of_terms, entry

CACHED_BYTES_MAX = 12
INFLIGHT_MAX = 3
NOOP_BYTES = 256
PEERS = (2, 3)

small = st.integers(0, 12)
one_act = st.tuples(st.sampled_from("abcdefg"), small, small)
acts = st.lists(one_act, min_size=20, max_size=60)
short = st.lists(one_act, min_size=1, max_size=12)


@example(2, {2}, [("f", 2, 0), ("c", 0, 0), ("d", 0, 0)])
@given(st.integers(0, 6), st.sets(st.integers(1, 6)), acts)
def test_the_log_s_cache_is_counted_byte_by_byte(held, lost, story):
    disk = Disk(log=entries_of_terms([1] * held))
    disk.damaged = {index for index in lost if index <= held}
    log = RaftLog(disk, disk.recovered(), CACHED_BYTES_MAX)
    for act, one, two in story:
        if act in "ab":
            add(log, count=one % 4, term=log.last_term + two % 2)
        elif act == "c" and log.last_index:
            log.truncate(max(1, log.last_index - one % 3))
        elif act == "d":
            disk.write(log.submit(None, 0.0))
        elif act == "g":
            # The core hears of it later, and some of it only.
            log.mark_durable(min(one, log.submitted_number))
        elif act == "e":
            log.shrink_cache(one)
        elif act == "f" and (index := log.damaged.first_from(one % 4)):
            log.repair(entry(index, log.term(index)))
        log.check()


@given(st.integers(0, 4), st.sets(st.integers(1, 4)), short)
def test_the_log_s_configurations_are_those_of_its_entries(held, lost, story):
    """Durable or not, cached or not, once they can be read, and until they are truncated."""
    disk = Disk(log=[numbered(index, index % 2) for index in range(1, held + 1)])
    disk.damaged = {index for index in lost if index <= held}
    log = RaftLog(disk, disk.recovered(), CACHED_BYTES_MAX)
    now = {one.index: one for one in disk.log if one.index not in disk.damaged}
    for act, one, two in story:
        index = log.last_index + 1
        if act == "a":
            now[index] = numbered(index, one)
            log.append([now[index]])
        elif act == "b":
            add(log, count=1, term=1)
        elif act == "c" and log.last_index:
            from_index = max(1, log.last_index - one % 4)
            log.truncate(from_index)
            now = {at: entry for at, entry in now.items() if at < from_index}
        elif act == "d":
            disk.write(log.submit(None, 0.0))
        elif act == "g":
            log.mark_durable(min(one, log.submitted_number))
        elif act == "e":
            log.shrink_cache(one)
        elif act == "f" and (damaged := log.damaged.first_from(1 + one % 4)):
            now[damaged] = disk.log[damaged - 1]
            log.repair(now[damaged])
        log.check()
        held_now = Configurations(0, Configuration(), now.values())
        assert log.configurations.held == held_now.held
        assert log.configuration == held_now.in_force
        for node in (1, 2, 3):
            assert log.configurations.ended_at(node, two) == held_now.ended_at(node, two)


def numbered(index: int, number: int) -> Entry:
    """One of a few nodes votes with one of a few directories."""
    return admission(index, 1, 1 + number % 3, f"{number:032x}")


def add(log: RaftLog, count: int, term: int) -> None:
    log.append(entries_of_terms([max(1, term)] * count, log.last_index + 1))


@given(acts)
def test_requests_that_are_out_are_those_that_nobody_answered(story):
    """A leader whose log grows; replies come late, twice, and in any order."""
    last_index = 4
    progress = Progress(last_index + 1, INFLIGHT_MAX, heard_ms=0.0)
    sent = [0]
    for act, one, two in story:
        if act == "a":
            last_index += one
        elif act == "b" and progress.can_send_entries and progress.next_index <= last_index:
            sent.append(min(last_index, progress.next_index + two % 3))
            progress.sent_entries(sent[-1])
        elif act == "c":
            progress.accepted(sent[-1 - one % min(3, len(sent))])
        elif act == "d":
            progress.rejected(min(one, last_index), two)
        elif act == "e":
            progress.accepted(sent[-1 - one % min(4, len(sent))])
            progress.told_room(two % 2 == 0, has_headroom=two % 3 == 0)
        elif act == "f":
            progress.heartbeat_due()
        progress.check(last_index)


@given(acts)
def test_a_read_waits_for_a_round_and_leaves_once(story):
    reads = PendingReads(leader=1)
    added, released = 0, 0
    for act, one, two in story:
        if act in "ab":
            added += 1
            reads.add(ReadReady(1, added, one))
        elif act in "cd":
            reads.open_round()
        elif act == "e":
            reads.confirmed(PEERS[one % 2], two)
        else:
            released += len(reads.release(THREE))
        reads.check()
        assert len(reads) == added - released


@given(acts)
def test_room_for_entries_is_what_was_offered_less_what_was_taken(story):
    """Whoever offers cannot see what waits for the disk; and what is on it stays gone."""
    room = EntryRoom(Disk())
    left, last, waiting = math.inf, math.inf, 0
    written: list[int] = []
    for act, one, two in story:
        size = 50 * one
        if act == "a":
            left, last = 100 * one, 100 * (one + two)
            room.offer(left, last, has_headroom=True)
        elif act in "bc":
            room.take(size)
            waiting += size
        elif act == "d":
            fits = waiting + size < left
            assert room.take_repair(Entry(1, 1, EntryKind.COMMAND, bytes(size))) == fits
            waiting += size * fits
        elif act == "e":
            submitted = waiting - sum(written)
            assert room.submit() == submitted
            written.append(submitted)
        elif written:
            done = written.pop(0)
            room.durable(done)
            left, last, waiting = left - done, last - done, waiting - done
        for kind, bound in ((EntryKind.COMMAND, left), (EntryKind.NOOP, last)):
            fits = waiting + size < bound
            assert room.fitting([Entry(1, 1, kind, bytes(size))]) == fits
        assert room.takes_noops == (last - waiting > NOOP_BYTES)


def test_an_account_that_does_not_hold_is_noticed():
    log = RaftLog(Disk(), Disk().recovered(), CACHED_BYTES_MAX)
    add(log, count=3, term=1)
    log.cached_bytes += 1
    with pytest.raises(SafetyViolationError, match="bytes are not those of its entries"):
        log.check()
