"""What a server counts or keeps in stages is what is there, whatever comes in whatever order."""

from __future__ import annotations

from collections import deque

from founding import founders
from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.kv.view import NO_FOOTPRINT, Footprint, TableFootprint
from kvstore.raft.room import EntryRoom
from kvstore.raft.types import Entry, EntryKind
from kvstore.server import refusals
from kvstore.server.room import Room, _bound_of_data
from kvstore.server.sync_times import SyncTimes
from kvstore.server.waiting.reads import Read, WaitingReads
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLog, MemoryState
from kvstore.storage.records import FORMAT_VERSION

from .cluster import Claim

IDENTITY = Identity(FORMAT_VERSION, "local", 1, "0" * 32)

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
        elif act == "c" and reads.arrived:
            batches.append(reads.new_batch())
        elif act == "d":
            reads.is_ready(batches[-1 - one % len(batches)], two)
        elif act == "e":
            left += len(list(reads.take_due(one)))
            assert all(index > one for index, _ in reads.ready), "who is due has left"
        elif act == "f":
            now_ms += one
            left += len(reads.take_overdue(now_ms))
        elif act == "g" and one < 4:
            left += len(reads.refuse_all(refusals.STOPPED))
        reads.check()
        assert len(reads.waiting) == added - left


def test_who_is_due_leaves_although_one_that_was_due_before_gave_up():
    reads = WaitingReads(first_number=100)
    for after, deadline_ms in ((1, 5.0), (5, 10.0), (2, 10.0)):
        reads.add(Read(Claim(), api.Count(), after, deadline_ms))
    reads.is_ready(reads.new_batch(), 0)
    assert [read.after for read in reads.take_overdue(5.0)] == [1]
    assert [read.after for read in reads.take_due(2)] == [2]
    assert [read.after for read in reads.take_due(5)] == [5]


@given(acts)
def test_room_is_held_back_for_the_writes_that_are_not_applied_yet(story):
    log = MemoryLog(IDENTITY, configuration=founders((1,)))
    footprints: dict[bytes, Footprint] = {}
    proposed: list[Entry] = []

    def proposed_from(index: int) -> list[Entry]:
        return [entry for entry in proposed if entry.index >= index]

    state = MemoryState(IDENTITY)
    room = Room(
        log, state, EntryRoom(log), footprints.__getitem__, never_wide, proposed_from, 20, 3.0
    )
    pending: dict[int, Footprint] = {}
    term = index = last_applied = 0
    for act, one, two in story:
        if act in "abc":
            index += 1
            # A no-op changes nothing, whatever its data says.
            kind = EntryKind.NOOP if two == 0 else EntryKind.COMMAND
            data = b"%d %d" % (term, index)
            footprints[data] = Footprint(
                keys=TableFootprint(one, two, 0), sessions=TableFootprint(0, 0, one)
            )
            pending[index] = footprints[data] if kind is EntryKind.COMMAND else NO_FOOTPRINT
            proposed.append(Entry(index, term, kind, data))
        elif act == "d":
            # Another leader rolls back some, and this node leads again.
            term += 1
            index = max(last_applied, index - one)
            pending.clear()
            proposed.clear()
            room.wake(0.0, term, last_applied)
        else:
            last_applied = max(last_applied, index - one)
            room.look(last_applied)
            pending = {place: one for place, one in pending.items() if place > last_applied}
        if act not in "bc":
            # Adding up waits until somebody asks, and some are applied before that.
            assert room._pending.sum() == sum(pending.values(), NO_FOOTPRINT)


def never_wide(_data: bytes) -> bool:
    return False


def no_footprint(_data: bytes) -> Footprint:
    return NO_FOOTPRINT


def nothing(_index: int) -> tuple[Entry, ...]:
    return ()


class SharedDisk:
    """What is left of it, and what the state owes it."""

    left_bytes = 0
    owed_bytes = 0


class LogOnIt(MemoryLog):
    def __init__(self, disk: SharedDisk) -> None:
        super().__init__(IDENTITY)
        self._disk = disk

    def room_bytes(self, beside_bytes: int = 0) -> int:
        return self._disk.left_bytes - beside_bytes


class StateOnIt(MemoryState):
    def __init__(self, disk: SharedDisk) -> None:
        super().__init__(IDENTITY)
        self._disk = disk

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        return self._disk.left_bytes - self._disk.owed_bytes

    def owed_bytes(self) -> int:
        return self._disk.owed_bytes


@given(st.lists(st.tuples(st.booleans(), small, small, small), min_size=1, max_size=20))
def test_entries_leave_of_a_shared_disk_what_the_state_owes_it(story):
    """Whoever brings them: a client, or a leader; and what was taken is durable, or is not."""
    disk, waiting, headroom = SharedDisk(), 0, 400
    log = LogOnIt(disk)
    entries = EntryRoom(log)
    room = Room(log, StateOnIt(disk), entries, no_footprint, never_wide, nothing, headroom, 3.0)
    for is_written, one, two, size in story:
        if is_written:
            entries.durable(entries.submit())
            waiting = 0
        disk.left_bytes, disk.owed_bytes = 150 * one, 50 * two
        room.look(0)
        needed = waiting + log.entry_bytes(10 * size)
        left = disk.left_bytes - disk.owed_bytes - needed
        entry = Entry(1, 1, EntryKind.COMMAND, bytes(10 * size))
        row = api.COMMAND_ROW_OF[api.Put]
        assert room.refuse(row, api.Put(b"", b""), entry.data) is None or left < headroom
        assert bool(entries.fitting([entry])) == (left > headroom // 2)
        if left > headroom // 2:
            entries.take(len(entry.data))
            waiting = needed


class StateThatPays(MemoryState):
    """What was changed is gone from it at once, and nothing is held in memory."""

    left_bytes = 0

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        return self.left_bytes - footprint.of("keys").put_bytes

    def can_hold(self, footprint: Footprint) -> bool:
        return False


@given(
    st.integers(0, 3),
    st.lists(st.tuples(small, st.lists(st.integers(1, 3), min_size=1, max_size=5)), max_size=12),
)
def test_entries_are_applied_as_far_as_their_changes_fit_and_decoded_only_near_the_end(
    taken, story
):
    """Whatever was applied since somebody looked, and was freed without being seen."""
    decoded: list[bytes] = []

    def footprint_of(data: bytes) -> Footprint:
        decoded.append(data)
        return Footprint(keys=TableFootprint(0, real_bytes(data), 0))

    def real_bytes(data: bytes) -> int:
        return _bound_of_data(1, len(data), 0)

    log, state = MemoryLog(IDENTITY, configuration=founders((1,))), StateThatPays(IDENTITY)
    entries = EntryRoom(log)
    for _ in range(taken):
        entries.take(40 << 20)
    room = Room(log, state, entries, footprint_of, never_wide, nothing, 0, 3.0)
    index = 0
    for freed, sizes in story:
        state.left_bytes += freed * (10 << 20)
        batch = [Entry(index + n, 1, EntryKind.COMMAND, bytes(n)) for n in sizes]
        whole = sum(real_bytes(entry.data) for entry in batch)
        has_plenty = whole <= state.left_bytes - entries.taken_bytes
        decoded.clear()
        count = 0
        for entry in room.fitting(batch, lambda: None):
            assert real_bytes(entry.data) <= state.left_bytes - entries.taken_bytes
            state.left_bytes -= real_bytes(entry.data)
            count += 1
        if has_plenty:
            assert (count, decoded) == (len(batch), [])
        elif count < len(batch):
            assert real_bytes(batch[count].data) > state.left_bytes - entries.taken_bytes


@given(st.lists(st.integers(0, 50), max_size=30))
def test_times_of_writes_are_those_of_the_last_ones(times):
    kept = SyncTimes()
    last: deque[float] = deque(maxlen=1_000)
    for time_ms in times * 40:
        kept.note(time_ms)
        last.append(time_ms)
    assert len(kept._times_ms) == len(last), "it keeps more than it tells of"
    assert kept.last_ms == (last[-1] if last else None)
    if last:
        assert sum(one <= kept.p99_ms for one in last) >= len(last) * 0.99
        assert kept.p99_ms in last
