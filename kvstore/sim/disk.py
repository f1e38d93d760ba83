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

from kvstore.errors import DiskWriteError
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.base import Applied, Identity
from kvstore.storage.memory import MemoryLog, MemoryState


class PowerCutError(Exception):
    """The machine ends in the middle of what it was doing."""


class Fate(enum.Enum):
    """What becomes of the next operation that asks; each strikes once, unless noted."""

    CUT_BEFORE_WRITE = "killed before a write to the log"
    CUT_AFTER_WRITE = "killed after an fsync of the log, before it spoke"
    CUT_IN_APPLY = "killed while it applied an entry"
    CUT_AT_CHECKPOINT = "killed at a checkpoint of the key space"
    ERROR = "fsync of the log fails"
    FULL = "the disk is full"
    """Until `Disk.mend`."""


class Disk:
    """Both stores, and the faults in wait.

    * `sync_ms` is how long one fsync takes; `take_spent_ms` says how long the node
      was kept waiting since it was last asked.
    """

    def __init__(
        self,
        identity: Identity,
        rng: random.Random,
        on_synced: Callable[[DurableUpdate], None],
    ) -> None:
        self.rng = rng
        self.sync_ms = 0.2
        self.fates: set[Fate] = set()
        self.log = SimulatedLog(identity, self, on_synced)
        self.state = SimulatedState(identity, self)
        self._spent_ms = 0.0

    def strikes(self, fate: Fate) -> bool:
        """Whether this was in wait; it is no longer, unless it lasts."""
        if fate not in self.fates:
            return False
        if fate is not Fate.FULL:
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


class SimulatedLog(MemoryLog):
    """A `LogStore`; `synced` makes the last write certain.

    * `_before` is what the last write replaced, until it is certain:
      (length that stayed, records removed, hard state record).
    """

    def __init__(
        self, identity: Identity, disk: Disk, on_synced: Callable[[DurableUpdate], None]
    ) -> None:
        super().__init__(identity)
        self._disk = disk
        self._on_synced = on_synced
        self._before: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self.hard_state = HardState()
        """The vote and term that a crash would leave for certain."""
        self.terms: list[int] = []
        """Term of each entry that a crash would leave for certain."""
        self._update: DurableUpdate | None = None
        self.damaged = False

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, unless a fault strikes."""
        disk = self._disk
        if disk.strikes(Fate.CUT_BEFORE_WRITE):
            raise PowerCutError(Fate.CUT_BEFORE_WRITE.value)
        if disk.strikes(Fate.FULL):
            raise DiskWriteError(Fate.FULL.value)
        kept = len(self.pairs) if update.truncate_from is None else update.truncate_from - 1
        self._before = (kept, self.pairs[kept:], self._hard_state)
        self._update = update
        super().write(update)
        disk.spend_sync()
        if disk.strikes(Fate.ERROR):
            raise DiskWriteError(Fate.ERROR.value)
        if disk.strikes(Fate.CUT_AFTER_WRITE):
            self.synced()
            raise PowerCutError(Fate.CUT_AFTER_WRITE.value)

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
        kept, removed, self._hard_state = self._before
        self.pairs[kept:] = removed
        self._before = self._update = None
        return True

    def flip_bit(self, rng: random.Random) -> str:
        """Damage one record; which one, in words."""
        self.damaged = True
        if not self.pairs or rng.random() < 0.2:
            self._hard_state = _flipped(self._hard_state, rng)
            return "the hard state"
        position = rng.randrange(len(self.pairs))
        key, value = self.pairs[position]
        self.pairs[position] = (key, _flipped(value, rng))
        return f"log record {position + 1}"


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
        if disk.strikes(Fate.FULL):
            raise DiskWriteError(Fate.FULL.value)
        super().commit(applied)
        disk.spend_sync()


def _flipped(record: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(record)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)
