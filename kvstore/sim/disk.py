"""One machine's disk: the two stores of a node, and all that may become of them.

Law: a write is certain only once its fsync has returned. Who crashes before that
finds the whole update or nothing of it, as chance has it; what the key space did
not commit is gone. Nothing else is lost, unless a fault says so.

It outlives the node that uses it.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kvstore.errors import DiskWriteError
from kvstore.kv.view import NO_FOOTPRINT, NONE, Applied, Footprint
from kvstore.raft.configuration import NOT_ADMITTED, Configuration
from kvstore.raft.types import CHECK, DurableUpdate, HardState, LogStart
from kvstore.sim.changed_record import flipped, with_changed_record
from kvstore.sim.counted_table import CountedTable
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST, state_as_of
from kvstore.storage.base import Divergence, Identity
from kvstore.storage.memory import (
    MemoryLineage,
    MemoryLog,
    MemoryState,
    MemorySuccessor,
)
from kvstore.storage.outline import Outline
from kvstore.storage.reading import Pair, Reading
from kvstore.storage.successor import Successor
from kvstore.storage.tables import KEYS, counts_of

BOUNDLESS = 1 << 62
PLENTY_BYTES = 1 << 40
TRUNCATION_BYTES = 32 << 10
"""Of the room of a disk, for votes and truncations: they take nothing else."""
COMMIT_BYTES = 16 << 10
"""What a commit of the state takes in any case."""


class NoRoomError(DiskWriteError):
    """A node wrote what does not fit."""


class PowerCutError(Exception):
    """The machine ends in the middle of what it was doing."""


class Fate(enum.Enum):
    """What becomes of the next operation that asks; each strikes once."""

    CUT_BEFORE_WRITE = "killed before a write to the log"
    CUT_AFTER_WRITE = "killed after an fsync of the log, before it spoke"
    CUT_IN_APPLY = "killed while it applied an entry"
    CUT_AT_CHECKPOINT = "killed at a checkpoint of the key space"
    CUT_IN_SNAPSHOT = "killed while it installed a snapshot"
    ERROR = "fsync of the log fails"
    CHANGED_RECORD = "a record is another one when its state is compared"


class Disk:
    """A directory, with both stores and what tells directories apart, and the faults in wait.

    * `sync_ms` is about how long one fsync takes, `usual_sync_ms` where no fault slows it;
      `take_spent_ms` says how long the node was kept waiting since it was last asked.
    * `on_synced` hears of each update that is certain.
    * `room_bytes` is what is left. Writes use it up, as much as they are said to take at
      most, and who writes more than there is ends.
    """

    def __init__(
        self,
        identity: Identity,
        rng: random.Random,
        on_synced: Callable[[DurableUpdate], None],
        configuration: Configuration,
        start: LogStart = FIRST,
        sync_ms: float = 0.2,
    ) -> None:
        """`configuration`: as of `start`; an empty one if the directory takes the place of another.

        It begins with the state that `start` left.
        """
        self.rng = rng
        self.on_synced = on_synced
        self.sync_ms = self.usual_sync_ms = sync_ms
        self.room_bytes = BOUNDLESS
        self.fates: set[Fate] = set()
        self._spent_ms = 0.0
        admitted_at = 0 if identity.is_founder else NOT_ADMITTED
        hard_state = HardState(start.term, admitted_at=admitted_at)
        self.replace(identity, hard_state, start, configuration, state_as_of(start))

    def replace(
        self,
        identity: Identity,
        hard_state: HardState,
        start: LogStart,
        configuration: Configuration,
        applied: Applied,
        records: Sequence[Pair] = (),
    ) -> None:
        """From now on it is this directory, which nobody has started on yet."""
        self.log = SimulatedLog(identity, self, hard_state, start, configuration)
        self.state = SimulatedState(identity, self, applied)
        self.state.hold(records)
        self.lineage = MemoryLineage()

    def strikes(self, fate: Fate) -> bool:
        """Whether this was in wait; it is no longer."""
        if not self.fates or fate not in self.fates:
            return False
        self.fates.discard(fate)
        return True

    def draw_sync_ms(self) -> float:
        """How long one fsync takes."""
        return self.sync_ms * (0.5 + self.rng.random())

    def spend(self, sync_ms: float) -> None:
        """The node waits for an fsync."""
        self._spent_ms += sync_ms

    def require_room(self, needed_bytes: int) -> None:
        """Raises `NoRoomError` if there is less."""
        if needed_bytes > self.room_bytes:
            raise NoRoomError(f"{needed_bytes} bytes are written where {self.room_bytes} are left")

    def take_spent_ms(self) -> float:
        """How long the fsyncs since the last call took."""
        spent, self._spent_ms = self._spent_ms, 0.0
        return spent

    def crash(self) -> bool:
        """The node ended without notice; whether a write that was not synced is lost."""
        self._spent_ms = 0.0
        self.state.crash()
        is_lost = self.log.lose_unsynced()
        self.state.finish_change_over(self.log.outline.start.index)
        return is_lost

    @property
    def certain_index(self) -> int:
        """Up to which entry a start would find the data."""
        return self.state.certain_index

    def mend(self) -> None:
        """Nothing is in wait any more, and there is room."""
        self.fates.clear()
        self.sync_ms = self.usual_sync_ms
        self.room_bytes = BOUNDLESS


class _Before(NamedTuple):
    """What one write replaced: records behind `kept`, dropped ones, repaired ones, and the rest."""

    kept: int
    dropped: list[tuple[bytes, bytes]]
    removed: list[tuple[bytes, bytes]]
    repaired: dict[int, tuple[bytes, bytes]]
    outline: Outline
    configuration: Configuration
    hard_state: bytes
    unreadable: frozenset[int]


class SimulatedLog(MemoryLog):
    """A `LogStore`; `synced` makes the last write certain.

    * `_before` is what the last write replaced, until it is certain.
    * `unreadable`: indexes of records that were damaged, and not repaired since.
    * `is_lost`: so was the hard state, which nobody can give back.
    """

    def __init__(
        self,
        identity: Identity,
        disk: Disk,
        hard_state: HardState,
        start: LogStart,
        configuration: Configuration,
    ) -> None:
        super().__init__(identity, hard_state, start, configuration)
        self._disk = disk
        self._before: _Before | None = None
        self.hard_state = hard_state
        """The vote and term that a crash would leave for certain."""
        self.terms = Indexed[int](start.index)
        """Term of each entry that a crash would leave for certain."""
        self.start = start
        """After what the log would then begin."""
        self._update: DurableUpdate | None = None
        self.unreadable: set[int] = set()
        self.is_lost = False
        self.compared_at: set[int] = set()
        """Indexes of the entries as of which states are compared."""

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, unless a fault strikes; the node waits for it."""
        self._disk.spend(self.begin(update))

    def begin(self, update: DurableUpdate) -> float:
        """Write the update, unless a fault strikes; in how many ms its fsync returns."""
        disk = self._disk
        if disk.strikes(Fate.CUT_BEFORE_WRITE):
            raise PowerCutError(Fate.CUT_BEFORE_WRITE.value)
        if taken_bytes := self._taken_bytes(update):
            disk.require_room(taken_bytes + TRUNCATION_BYTES)
            disk.room_bytes -= taken_bytes
        kept = self.last_index if update.truncate_from is None else update.truncate_from - 1
        began = update.start.index if update.start is not None else self.outline.start.index
        self._before = _Before(
            kept,
            self.pairs[: max(0, self.before(min(began, kept) + 1))],
            self.pairs[self.before(kept + 1) :],
            {entry.index: self.pairs[self.before(entry.index)] for entry in update.repairs},
            self.outline,
            self.configuration,
            self._hard_state,
            frozenset(self.unreadable),
        )
        self._update = update
        super().write(update)
        self.compared_at |= {entry.index for entry in update.entries if entry.kind is CHECK}
        if self.unreadable:
            repaired = {entry.index for entry in update.repairs}
            self.unreadable = {i for i in self.unreadable - repaired if began < i <= kept}
        sync_ms = disk.draw_sync_ms()
        if disk.strikes(Fate.ERROR):
            raise DiskWriteError(Fate.ERROR.value)
        if disk.strikes(Fate.CUT_AFTER_WRITE):
            self.synced()
            raise PowerCutError(Fate.CUT_AFTER_WRITE.value)
        return sync_ms

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """What the disk says is left."""
        return self._disk.room_bytes - beside_bytes

    @property
    def truncation_bytes(self) -> int:
        """What of that is for votes and truncations, and for nothing else."""
        return TRUNCATION_BYTES

    def _taken_bytes(self, update: DurableUpdate) -> int:
        taken = [self.entry_bytes(len(entry.data)) for entry in update.entries]
        taken += [self.repair_bytes(len(entry.data)) for entry in update.repairs]
        return sum(taken)

    def synced(self) -> None:
        """The fsync of the last write has returned."""
        update, self._update, self._before = self._update, None, None
        if update is None:
            return
        if update.truncate_from is not None:
            self.terms.truncate(update.truncate_from)
        if update.start is not None:
            self.start = update.start
            self.terms.drop(update.start.index)
        self.terms.extend([entry.term for entry in update.entries])
        self.hard_state = update.hard_state or self.hard_state
        self._disk.on_synced(update)

    def lose_unsynced(self) -> bool:
        """A crash: a write under way is on the disk, or (True) it is not."""
        if self._before is None:
            return False
        if self._disk.rng.random() < 0.5:
            self.synced()
            return False
        before = self._before
        left = self.pairs[: max(0, self.before(before.kept + 1))]
        self.pairs = [*before.dropped, *left, *before.removed]
        self.outline, self._hard_state = before.outline, before.hard_state
        self.configuration = before.configuration
        for index, pair in before.repaired.items():
            self.pairs[self.before(index)] = pair
        # What was damaged meanwhile is so whatever becomes of the write.
        self.unreadable = {i for i in self.unreadable if i <= before.kept} | before.unreadable
        self._before = self._update = None
        return True

    def damage(self, rng: random.Random) -> str:
        """Flip a bit of one record, or lose a page of the log; what, in words."""
        first, certain = self.outline.start.index + 1, min(self.terms.last, self.last_index)
        if certain < first or rng.random() < 0.1:
            self.is_lost = True
            self._hard_state = flipped(self._hard_state, rng)
            return "a bit of the hard state flips"
        index = rng.randint(first, certain)
        if rng.random() < 0.7 and index not in self.unreadable:
            key, value = self.pairs[self.before(index)]
            self.pairs[self.before(index)] = (key, flipped(value, rng))
            self.unreadable.add(index)
            return f"a bit of log record {index} flips"
        return self._lose(index, min(index + rng.randint(1, 40), certain + 1))

    def lose_term(self, rng: random.Random) -> str:
        """Lose all entries of one term; what, in words."""
        certain = [
            (index, term) for index, term in self.terms.numbered() if self.outline.holds(index)
        ]
        if not certain:
            return "nothing is lost of an empty log"
        lost = rng.choice(sorted({term for _, term in certain}))
        indexes = [index for index, term in certain if term == lost]
        return self._lose(indexes[0], indexes[-1] + 1)

    def _lose(self, first: int, stop: int) -> str:
        for lost in range(self.before(first), self.before(stop)):
            self.pairs[lost] = (self.pairs[lost][0], b"")
        self.unreadable.update(range(first, stop))
        return f"log records {first} to {stop - 1} are lost"

    @property
    def is_sound(self) -> bool:
        """Whether no damage is left, and what it holds counts."""
        return not self.is_lost and not self.unreadable and self.hard_state.is_voter


class SimulatedState(CountedTable, MemoryState):
    """A `StateStore` that needs room, and in which a crash may strike between two changes."""

    def __init__(self, identity: Identity, disk: Disk, applied: Applied) -> None:
        super().__init__(identity, applied)
        self.attached: CountedTable = CountedTable(self.attached.row)
        self.ends: CountedTable = CountedTable(self.ends.row)
        self.history: CountedTable = CountedTable(self.history.row)
        self.index: CountedTable = CountedTable(self.index.row)
        self.leases: CountedTable = CountedTable(self.leases.row)
        self.sessions: CountedTable = CountedTable(self.sessions.row)
        self.disk = disk
        for table in self.tables:
            table.check = self._require_room
        self.changed_at: set[int] = set()  # The last reading as of these was not what it is.
        self._is_fresh = False  # Committed as of an entry for that, and not read since.

    @property
    def tables(self) -> tuple[CountedTable, ...]:
        """All of them, in the order of `TABLES`."""
        return (
            *(self.attached, self.ends, self.history, self.index),
            *(self, self.leases, self.sessions),
        )

    def _require_room(self) -> None:
        if self.disk.room_bytes < PLENTY_BYTES:
            self.disk.require_room(self.owed_bytes())

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`, and perhaps end."""
        super().put(key, record)
        if self.disk.strikes(Fate.CUT_IN_APPLY):
            raise PowerCutError(Fate.CUT_IN_APPLY.value)

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, unless the machine ends first."""
        disk = self.disk
        if disk.strikes(Fate.CUT_AT_CHECKPOINT):
            raise PowerCutError(Fate.CUT_AT_CHECKPOINT.value)
        disk.require_room(self.owed_bytes())
        # Pages that are given up serve again: only what is new stays.
        disk.room_bytes -= sum(table.put_bytes for table in self.tables)
        super().commit(applied)
        disk.spend(disk.draw_sync_ms())
        self._is_fresh = applied.last_applied in disk.log.compared_at

    def reading(self) -> Reading:
        """All that the last `commit` made durable, unless a fault changes a record of it."""
        reading = super().reading()
        index, is_fresh, self._is_fresh = reading.applied.last_applied, self._is_fresh, False
        if is_fresh:
            self.changed_at.discard(index)
        if not (
            is_fresh
            and counts_of(reading.counts)[KEYS.name]
            and self.disk.strikes(Fate.CHANGED_RECORD)
        ):
            return reading
        self.changed_at.add(index)
        return with_changed_record(reading, self.identity.node_id, self._readings)

    def record_divergence(self, divergence: Divergence) -> None:
        """Make durable that this state is not to be trusted, unless the machine ends first."""
        disk = self.disk
        if disk.strikes(Fate.CUT_AT_CHECKPOINT):
            raise PowerCutError(Fate.CUT_AT_CHECKPOINT.value)
        disk.require_room(COMMIT_BYTES)
        super().record_divergence(divergence)
        disk.spend(disk.draw_sync_ms())

    def begin_successor(self) -> SimulatedSuccessor:
        """Build a state to take this one's place, and perhaps end."""
        self.successor = SimulatedSuccessor(self)
        return self.successor

    def change_over(self, successor: Successor) -> None:
        """From now on this is `successor`, unless the machine ends first."""
        self.may_end()
        super().change_over(successor)
        self.disk.spend(self.disk.draw_sync_ms())

    def may_end(self) -> None:
        """Any step of an installation may be the last one."""
        disk = self.disk
        if Fate.CUT_IN_SNAPSHOT in disk.fates and disk.rng.random() < 0.4:
            disk.strikes(Fate.CUT_IN_SNAPSHOT)
            raise PowerCutError(Fate.CUT_IN_SNAPSHOT.value)

    def free_bytes(self) -> int:
        """What the disk has left."""
        return self.disk.room_bytes

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """What is left once what was changed so far, and what has this footprint, is durable."""
        if footprint == NO_FOOTPRINT:
            return self.disk.room_bytes - self.owed_bytes()
        changed = sum([one.changed_bytes(footprint.of(one.row.name)) for one in self.tables])
        return self.disk.room_bytes - changed - COMMIT_BYTES

    def can_hold(self, footprint: Footprint) -> bool:
        """Not a byte: what is full here may be the map as well."""
        return False

    def owed_bytes(self) -> int:
        """What a commit of the changes so far takes of the disk, at most."""
        owed_bytes = COMMIT_BYTES
        for table in self.tables:
            if table.owed is None:
                table.owed = table.changed_bytes(NONE)
            owed_bytes += table.owed
        return owed_bytes


class SimulatedSuccessor(MemorySuccessor):
    """A `Successor` that needs room, and amid which a crash may strike."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__(state)
        self._disk = state.disk
        self._may_end = state.may_end

    def put(self, pairs: Sequence[Pair]) -> None:
        """Take the next records, and perhaps end."""
        needed_bytes = sum(len(stored) + len(value) for stored, value in pairs)
        self._disk.require_room(needed_bytes)
        self._disk.room_bytes -= needed_bytes
        super().put(pairs)
        self._disk.spend(self._disk.draw_sync_ms())
        self._may_end()

    def finish(self, applied: Applied) -> None:
        """That was all of them, unless the machine ends before or behind that."""
        self._may_end()
        super().finish(applied)
        self._disk.spend(self._disk.draw_sync_ms())
        self._may_end()
