"""One machine's disk: the two stores of a node, and all that may become of them.

Law: a write is certain only once its fsync has returned. Who crashes before that
finds the whole update or nothing of it, as chance has it; what the key space did
not commit is gone. Nothing else is lost, unless a fault says so.

It outlives the node that uses it.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import NamedTuple

from kvstore.errors import DiskWriteError
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.base import Applied, Identity
from kvstore.storage.memory import MemoryLog, MemoryState
from kvstore.storage.sequence import Outline

BOUNDLESS = 1 << 62


class PowerCutError(Exception):
    """The machine ends in the middle of what it was doing."""


class Fate(enum.Enum):
    """What becomes of the next operation that asks; each strikes once."""

    CUT_BEFORE_WRITE = "killed before a write to the log"
    CUT_AFTER_WRITE = "killed after an fsync of the log, before it spoke"
    CUT_IN_APPLY = "killed while it applied an entry"
    CUT_AT_CHECKPOINT = "killed at a checkpoint of the key space"
    ERROR = "fsync of the log fails"


class Disk:
    """Both stores, and the faults in wait.

    * `sync_ms` is how long one fsync takes; `take_spent_ms` says how long the node
      was kept waiting since it was last asked.
    * `room_bytes` is what it says is left. Small writes go through all the same: there
      is a reserve for them.
    """

    def __init__(
        self,
        identity: Identity,
        rng: random.Random,
        on_synced: Callable[[DurableUpdate], None],
        admitted_at: int = 0,
    ) -> None:
        """`admitted_at`: `NOT_ADMITTED` for a directory that takes the place of a lost one."""
        self.rng = rng
        self.sync_ms = 0.2
        self.room_bytes = BOUNDLESS
        self.fates: set[Fate] = set()
        self.log = SimulatedLog(identity, self, on_synced, HardState(admitted_at=admitted_at))
        self.state = SimulatedState(identity, self)
        self._spent_ms = 0.0

    def strikes(self, fate: Fate) -> bool:
        """Whether this was in wait; it is no longer."""
        if fate not in self.fates:
            return False
        self.fates.discard(fate)
        return True

    def spend_sync(self) -> None:
        """One fsync."""
        self._spent_ms += self.sync_ms * (0.5 + self.rng.random())

    def take_spent_ms(self) -> float:
        """How long the fsyncs since the last call took."""
        spent, self._spent_ms = self._spent_ms, 0.0
        return spent

    def crash(self) -> bool:
        """The node ended without notice; whether a write that was not synced is lost."""
        self._spent_ms = 0.0
        self.state.crash()
        return self.log.lose_unsynced()

    def mend(self) -> None:
        """Nothing is in wait any more, and there is room."""
        self.fates.clear()
        self.sync_ms = 0.2
        self.room_bytes = BOUNDLESS


class _Before(NamedTuple):
    """What one write replaced: records from `kept` on and those repaired, and all the rest."""

    kept: int
    removed: list[tuple[bytes, bytes]]
    repaired: dict[int, tuple[bytes, bytes]]
    outline: Outline
    hard_state: bytes
    unreadable: frozenset[int]


class SimulatedLog(MemoryLog):
    """A `LogStore`; `synced` makes the last write certain.

    * `_before` is what the last write replaced, until it is certain.
    * `unreadable`: indexes of records that were damaged, and not repaired since.
    * `is_lost`: so was the hard state, which nobody can give back.
    * `writes_without_room`: how many there were since the node was told that none is left.
    """

    def __init__(
        self,
        identity: Identity,
        disk: Disk,
        on_synced: Callable[[DurableUpdate], None],
        hard_state: HardState,
    ) -> None:
        super().__init__(identity, hard_state)
        self._disk = disk
        self._on_synced = on_synced
        self._before: _Before | None = None
        self.hard_state = hard_state
        """The vote and term that a crash would leave for certain."""
        self.terms: list[int] = []
        """Term of each entry that a crash would leave for certain."""
        self._update: DurableUpdate | None = None
        self.unreadable: set[int] = set()
        self.is_lost = False
        self.writes_without_room = 0
        self._had_room = True

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, unless a fault strikes."""
        disk = self._disk
        if disk.strikes(Fate.CUT_BEFORE_WRITE):
            raise PowerCutError(Fate.CUT_BEFORE_WRITE.value)
        kept = len(self.pairs) if update.truncate_from is None else update.truncate_from - 1
        self._before = _Before(
            kept,
            self.pairs[kept:],
            {entry.index: self.pairs[entry.index - 1] for entry in update.repairs},
            self.outline,
            self._hard_state,
            frozenset(self.unreadable),
        )
        self._update = update
        self.writes_without_room += not self._had_room
        super().write(update)
        self.unreadable -= {entry.index for entry in update.repairs}
        self.unreadable = {index for index in self.unreadable if index <= kept}
        disk.spend_sync()
        if disk.strikes(Fate.ERROR):
            raise DiskWriteError(Fate.ERROR.value)
        if disk.strikes(Fate.CUT_AFTER_WRITE):
            self.synced()
            raise PowerCutError(Fate.CUT_AFTER_WRITE.value)

    def room_bytes(self) -> int:
        """What the disk says is left."""
        self._had_room = self._disk.room_bytes > 0
        if self._had_room:
            self.writes_without_room = 0
        return self._disk.room_bytes

    def synced(self) -> None:
        """The fsync of the last write has returned."""
        update, self._update, self._before = self._update, None, None
        if update is None:
            return
        if update.truncate_from is not None:
            del self.terms[update.truncate_from - 1 :]
        self.terms += [entry.term for entry in update.entries]
        self.hard_state = update.hard_state or self.hard_state
        self._on_synced(update)

    def lose_unsynced(self) -> bool:
        """A crash: a write under way is on the disk, or (True) it is not."""
        if self._before is None:
            return False
        if self._disk.rng.random() < 0.5:
            self.synced()
            return False
        before = self._before
        self.pairs[before.kept :] = before.removed
        for index, pair in before.repaired.items():
            self.pairs[index - 1] = pair
        self.outline, self._hard_state = before.outline, before.hard_state
        self.unreadable = set(before.unreadable)
        self._before = self._update = None
        return True

    def damage(self, rng: random.Random) -> str:
        """Flip a bit of one record, or lose a page of the log; what, in words."""
        certain = min(len(self.terms), len(self.pairs))
        if not certain or rng.random() < 0.1:
            self.is_lost = True
            self._hard_state = _flipped(self._hard_state, rng)
            return "a bit of the hard state flips"
        index = rng.randint(1, certain)
        if rng.random() < 0.7 and index not in self.unreadable:
            key, value = self.pairs[index - 1]
            self.pairs[index - 1] = (key, _flipped(value, rng))
            self.unreadable.add(index)
            return f"a bit of log record {index} flips"
        stop = min(index + rng.randint(1, 40), certain + 1)
        for lost in range(index, stop):
            self.pairs[lost - 1] = (self.pairs[lost - 1][0], b"")
        self.unreadable.update(range(index, stop))
        return f"log records {index} to {stop - 1} are lost"

    @property
    def is_sound(self) -> bool:
        """Whether no damage is left, and what it holds counts."""
        return not self.is_lost and not self.unreadable and self.hard_state.is_voter


class SimulatedState(MemoryState):
    """A `StateStore` in which a crash may strike between two changes."""

    def __init__(self, identity: Identity, disk: Disk) -> None:
        super().__init__(identity)
        self._disk = disk

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`, and perhaps end."""
        super().put(key, record)
        if self._disk.strikes(Fate.CUT_IN_APPLY):
            raise PowerCutError(Fate.CUT_IN_APPLY.value)

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, unless the machine ends first."""
        disk = self._disk
        if disk.strikes(Fate.CUT_AT_CHECKPOINT):
            raise PowerCutError(Fate.CUT_AT_CHECKPOINT.value)
        super().commit(applied)
        disk.spend_sync()


def _flipped(record: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(record)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)
