"""How much room the disks and maps have left, and what a node may still take.

Law: nothing is begun that might not fit. A write is refused before it is proposed, by
what its entry takes of the log and what applying it changes in the state, together with
all that was taken and is not written, or not applied, yet. A committed entry waits until
its changes fit. What is long, and may need pages in a row, fits only where files can
grow; for all else their free pages are room as well. Four marks share the last of either:

    headroom          writes of clients leave it
    3/4 of it         deletions of clients leave that
    1/2 of it         what a leader took, and repairs, leave that
    truncation bytes  no-ops and admissions leave that, for votes and truncations
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.footprint import RECORD_BYTES_MAX
from kvstore.kv.history import OLD_BYTES_MAX
from kvstore.kv.view import NO_FOOTPRINT, Footprint
from kvstore.raft.events import ApplyingAgain, Event, RoomIsBack, ShortOfRoom, WaitsForRoom
from kvstore.raft.room import SHORT_BYTES, EntryRoom
from kvstore.raft.types import COMMAND, Entry
from kvstore.storage.base import LogStore, StateStore

_PLENTY_BYTES: Final = 256 << 20
"""With less left than that, somebody looks in every turn, and not once a heartbeat."""
_LARGE_BYTES: Final = 1 << 20
"""Before an entry with more data, somebody looks again."""
_CHANGE_BYTES: Final = 512 << 10
"""One change costs no more than that, and its bytes twice, whatever it meets."""
_ENTRY_BYTES: Final = 1 << 10
"""An entry takes no more of the log than that, and its data thrice."""
_SMALLEST_CHANGE_BYTES: Final = 2
"""Of an entry's data, those that can stand for one change; but sessions change as well."""
_SESSION_CHANGES: Final = 32
_PAST_BYTES: Final = 3 << 20
"""What a change adds to history costs no more than that, with what is dropped for it, but for the
value that it replaces."""
_DROPPED_BYTES: Final = 16 << 20
"""An entry drops some of history however little it adds; that costs no more."""
_REPLACED_BYTES: Final = 2 * (OLD_BYTES_MAX + RECORD_BYTES_MAX)
"""What the values take that an entry replaces, and which are kept."""
_ENTRY_PAST_BYTES: Final = _DROPPED_BYTES + _REPLACED_BYTES
_ONE_KEY_BYTES: Final = _CHANGE_BYTES + _PAST_BYTES + _DROPPED_BYTES + 2 * RECORD_BYTES_MAX


class Refusal(msgspec.Struct, frozen=True):
    """Why a write is not taken."""

    needed_bytes: int
    left_bytes: int
    floor_bytes: int
    """What must be left behind a write of its kind."""
    waiting_index: int = 0
    """The entry that must be applied before, and waits for room itself; 0 for none."""


class Room:
    """What is left, as it was when somebody looked last, less what was taken since.

    * `entries`: the core's part, which counts the entries that are not on the disk yet.
    * `waiting_index`: the entry that waits to be applied until there is room; 0 for none.
    """

    def __init__(
        self,
        log_store: LogStore,
        state_store: StateStore,
        entries: EntryRoom,
        footprint_of: Callable[[bytes], Footprint],
        is_wide: Callable[[bytes], bool],
        proposed_from: Callable[[int], Sequence[Entry]],
        headroom_bytes: int,
        interval_ms: float,
    ) -> None:
        """`footprint_of` says how much the command in an entry's data changes, at most, and
        `is_wide` whether that may be more keys than it names; `proposed_from` which entries a
        leader has proposed in its term, from an index on.
        """
        self._log_store = log_store
        self._state_store = state_store
        self._entries = entries
        self._footprint_of = footprint_of
        self._is_wide = is_wide
        self._headroom_bytes = headroom_bytes
        self._interval_ms = interval_ms
        self._next_ms = 0.0
        self._was_short = False
        self._pending = _Pending(footprint_of, proposed_from)
        self._unseen_bytes = 0
        """Taken since somebody looked, as a simple bound has it."""
        self._seen_bytes: tuple[int, int] | None = None
        """What was taken when somebody looked as this turn began, if somebody did."""
        self._state_left_bytes = 0
        self.waiting_index = 0
        self._waiting_footprint = NO_FOOTPRINT
        self._was_waiting = False
        self.changed_ms = 0.0
        """When it became short, or had enough again."""
        self.left_bytes = self._growth_bytes = 0
        """For short writes, and for long ones."""
        self.look(0)

    # --- Looking --------------------------------------------------------------------------

    def wake(self, now_ms: float, term: int, last_applied: int) -> None:
        """A turn begins: look again if it is time, before anything is taken."""
        self._pending.begin(term)
        self._pending.forget(last_applied)
        self._seen_bytes = None
        if self._is_due(now_ms):
            self.look(last_applied)
            self._seen_bytes = self._taken_bytes

    def tick(self, now_ms: float, term: int, last_applied: int) -> list[Event]:
        """All was taken that the turn takes: look again if it is time; what to say of changes."""
        if not self._is_due(now_ms):
            return []
        self._next_ms = now_ms + self._interval_ms
        if self._seen_bytes != self._taken_bytes:
            self.look(last_applied)
        self._seen_bytes = None
        said: list[Event] = []
        if self.is_short != self._was_short:
            self._was_short, self.changed_ms = self.is_short, now_ms
            said.append(
                ShortOfRoom(term, self.left_bytes, self._headroom_bytes)
                if self.is_short
                else RoomIsBack(term, self.left_bytes)
            )
        if bool(self.waiting_index) != self._was_waiting:
            self._was_waiting = bool(self.waiting_index)
            said.append(
                WaitsForRoom(term, self.waiting_index)
                if self._was_waiting
                else ApplyingAgain(term, last_applied + 1)
            )
        return said

    @property
    def due_ms(self) -> float:
        """When to look again though nothing is taken: there must be little left."""
        return self._next_ms if self.is_scarce or self.is_short else math.inf

    def _is_due(self, now_ms: float) -> bool:
        """Once an interval, and in every turn with little left."""
        return now_ms >= self._next_ms or self.is_scarce

    @property
    def _taken_bytes(self) -> tuple[int, int]:
        """Of the log, and since somebody looked: whatever is taken makes one of them more."""
        return self._entries.taken_bytes, self._unseen_bytes

    def look(self, last_applied: int) -> None:
        """See what the disk and the maps have left."""
        self._pending.forget(last_applied)
        self._unseen_bytes = 0
        log, owed_bytes = self._log_store, self._state_store.owed_bytes()
        half = self._headroom_bytes // 2
        self._see()
        self._look_at_state()
        self._entries.offer(
            log.room_bytes(owed_bytes) - half,
            log.room_bytes() - log.truncation_bytes,
            has_headroom=not self.is_short,
            long_bytes=log.growth_bytes(owed_bytes) - half,
        )

    def _see(self) -> None:
        self.left_bytes = max(0, self._left_after(NO_FOOTPRINT, 0, is_long=False))
        self._growth_bytes = max(0, self._left_after(NO_FOOTPRINT, 0, is_long=True))

    def _look_at_state(self) -> None:
        """As if what is applied next were long."""
        state = self._state_store
        left_bytes = min(state.room_bytes(), state.growth_bytes())
        self._state_left_bytes = left_bytes - self._entries.taken_bytes

    def _left_after(self, footprint: Footprint, entry_bytes: int, *, is_long: bool) -> int:
        """Both stores may be on one disk, and the one may need what the other leaves."""
        log, state, all_of_it = self._log_store, self._state_store, self._pending.sum() + footprint
        owed_bytes = state.owed_bytes()
        log_bytes = log.growth_bytes(owed_bytes) if is_long else log.room_bytes(owed_bytes)
        state_bytes = state.growth_bytes(all_of_it) if is_long else state.room_bytes(all_of_it)
        return min(log_bytes, state_bytes) - self._entries.taken_bytes - entry_bytes

    @property
    def _quick_bytes(self) -> int:
        """What is left for whatever it is, as a simple bound has it."""
        return min(self.left_bytes, self._growth_bytes) - self._unseen_bytes

    @property
    def is_scarce(self) -> bool:
        """Whether all that was taken must be counted before more is."""
        return self._quick_bytes <= _PLENTY_BYTES

    @property
    def is_short(self) -> bool:
        """Whether clients' writes must be refused."""
        return self.left_bytes < self._headroom_bytes or self.waiting_index > 0

    # --- Writes of clients ----------------------------------------------------------------

    def refuse(
        self, row: api.CommandRow, command: api.Command | api.Internal, data: bytes
    ) -> Refusal | None:
        """Why a write is not proposed, which would be an entry with `data`; None if it may be."""
        if self.waiting_index:
            return Refusal(0, self.left_bytes, 0, self.waiting_index)
        size = len(data)
        changes_bytes = _ONE_KEY_BYTES if row.is_of_one_key else _bound_of_changes(row, command)
        more_bytes = changes_bytes + _ENTRY_BYTES + 5 * size
        if size > _LARGE_BYTES or self._quick_bytes - more_bytes < self._headroom_bytes:
            return self._refuse_exactly(row.extent(command), data)
        self._unseen_bytes += more_bytes
        return None

    def _refuse_exactly(self, extent: api.Extent, data: bytes) -> Refusal | None:
        floor_bytes = self._headroom_bytes
        if not extent.puts:
            # Deletions free room, in the state; so do sessions, without which clients send none.
            floor_bytes = floor_bytes * 3 // 4
        entry_bytes, is_long = self._log_store.entry_bytes(len(data)), len(data) > SHORT_BYTES
        left_bytes = self._left_after(NO_FOOTPRINT, 0, is_long=is_long)
        after_bytes = self._left_after(self._footprint_of(data), entry_bytes, is_long=is_long)
        needed_bytes = left_bytes - after_bytes
        if after_bytes < floor_bytes:
            return Refusal(needed_bytes, max(0, left_bytes), floor_bytes)
        self._see()
        self._unseen_bytes = needed_bytes
        return None

    # --- Applying -------------------------------------------------------------------------

    def fitting(self, entries: Sequence[Entry], checkpoint: Callable[[], None]) -> Iterable[Entry]:
        """The first of these committed entries, each to be applied before the next is asked for.

        A checkpoint settles how much the changes so far really take.
        """
        bound = self._bound_of(entries)
        if bound > self._state_left_bytes:
            self._look_at_state()
        if bound <= self._state_left_bytes:
            self._state_left_bytes -= bound
            self.waiting_index = 0
            return entries
        return self._fitting_exactly(entries, checkpoint)

    def _fitting_exactly(
        self, entries: Sequence[Entry], checkpoint: Callable[[], None]
    ) -> Iterator[Entry]:
        for entry in entries:
            if entry.kind is COMMAND and not self._lets_apply(entry):
                checkpoint()
                if not self._lets_apply(entry):
                    return
            yield entry

    def _lets_apply(self, entry: Entry) -> bool:
        bound = self._bound_of((entry,))
        if bound <= self._state_left_bytes:
            self._state_left_bytes -= bound
            self.waiting_index = 0
            return True
        if self.waiting_index != entry.index:
            self._waiting_footprint = self._footprint_of(entry.data)
        state, taken_bytes = self._state_store, self._entries.taken_bytes
        growth = state.growth_bytes(self._waiting_footprint) - taken_bytes
        is_long = len(entry.data) > SHORT_BYTES
        left = growth if is_long else state.room_bytes(self._waiting_footprint) - taken_bytes
        self._state_left_bytes = max(0, min(left, growth))
        fits = left >= 0 or self._state_store.can_hold(self._waiting_footprint)
        self.waiting_index = 0 if fits else entry.index
        return fits

    def _bound_of(self, entries: Sequence[Entry]) -> int:
        """What applying these may change, whatever they are."""
        data_bytes = sum([len(entry.data) for entry in entries])
        wide = sum([self._is_wide(entry.data) for entry in entries])
        return _bound_of_data(len(entries), data_bytes, wide)

    def forget_what_waits(self, last_applied: int) -> None:
        """All up to there came by a snapshot."""
        self.waiting_index = 0
        self.look(last_applied)

    @property
    def allows_checkpoint(self) -> bool:
        """Whether the state can be made durable; it can wait, as the log has it."""
        return self._state_store.room_bytes() > 0


def _bound_of_changes(row: api.CommandRow, command: api.Command | api.Internal) -> int:
    """What applying a command may take, but for its bytes."""
    extent = row.extent(command)
    count = extent.puts + extent.deletes
    of_sessions = row.changes_sessions * _SESSION_CHANGES * _CHANGE_BYTES
    of_the_past = _DROPPED_BYTES + min(count * 2 * RECORD_BYTES_MAX, _REPLACED_BYTES)
    return of_the_past + count * (_CHANGE_BYTES + _PAST_BYTES) + of_sessions


def _bound_of_data(entries: int, data_bytes: int, wide: int) -> int:
    """What applying entries with so much data may change, so many of them keys without name."""
    changes = data_bytes // _SMALLEST_CHANGE_BYTES + wide * api.KEYS_MAX
    entry_bytes = _SESSION_CHANGES * _CHANGE_BYTES + _ENTRY_PAST_BYTES
    return changes * (_CHANGE_BYTES + _PAST_BYTES) + entries * entry_bytes + 2 * data_bytes


class _Pending:
    """What the writes change that were proposed here in this term and are not applied yet.

    * `_counted`: of each of the first ones, below `_next`, its index, and what was counted in
      this term up to it: `_total` is that of the last one, and `_applied` that of the last
      one that was applied. Most are applied before anybody asks.
    """

    def __init__(
        self,
        footprint_of: Callable[[bytes], Footprint],
        proposed_from: Callable[[int], Sequence[Entry]],
    ) -> None:
        self._footprint_of = footprint_of
        self._proposed_from = proposed_from
        self._counted: deque[tuple[int, Footprint]] = deque()
        self._total = self._applied = NO_FOOTPRINT
        self._next = 0
        self._term = 0

    def begin(self, term: int) -> None:
        """What was proposed in earlier terms may be rolled back, or is as other leaders' writes."""
        if term != self._term:
            self._term, self._next = term, 0
            self._counted.clear()
            self._total = self._applied = NO_FOOTPRINT

    def forget(self, last_applied: int) -> None:
        """What was applied is counted by the state."""
        if self._next <= last_applied:
            self._next = last_applied + 1
        while self._counted and self._counted[0][0] <= last_applied:
            self._applied = self._counted.popleft()[1]

    def sum(self) -> Footprint:
        """What they change together."""
        for entry in self._proposed_from(self._next):
            if entry.kind is COMMAND:
                self._total += self._footprint_of(entry.data)
            self._counted.append((entry.index, self._total))
            self._next = entry.index + 1
        return self._total - self._applied
