"""How long the disk takes: the times of the last writes to the log.

Law: measuring changes nothing, and costs bounded memory. The clock is given.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import Final

from kvstore.raft.types import DurableUpdate, Entry, Recovered
from kvstore.storage.base import LogStore
from kvstore.storage.sizes import Sizes

_WRITES_KEPT: Final = 1_000


class SyncTimes:
    """Times in ms, the latest last, and the same in order of length."""

    def __init__(self) -> None:
        self._times_ms: deque[float] = deque()
        self._ordered: list[float] = []

    def note(self, time_ms: float) -> None:
        """A write took so long."""
        if len(self._times_ms) == _WRITES_KEPT:
            oldest = self._times_ms.popleft()
            del self._ordered[bisect_left(self._ordered, oldest)]
        self._times_ms.append(time_ms)
        insort(self._ordered, time_ms)

    @property
    def last_ms(self) -> float | None:
        """The last write; None before the first."""
        return self._times_ms[-1] if self._times_ms else None

    @property
    def p99_ms(self) -> float | None:
        """What all but one in a hundred of the last writes did not take longer than."""
        count = len(self._ordered)
        return self._ordered[-(-count * 99 // 100) - 1] if count else None


class TimedLog:
    """A `LogStore` that is another one, and notes how long its writes take."""

    def __init__(self, log: LogStore, clock_ms: Callable[[], float], times: SyncTimes) -> None:
        self.identity = log.identity
        self._log = log
        self.entry_bytes = log.entry_bytes
        self.repair_bytes = log.repair_bytes
        self._clock_ms = clock_ms
        self._times = times

    def recover(self) -> Recovered:
        """Read and check everything."""
        return self._log.recover()

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty."""
        return self._log.entries(start, stop, bytes_max)

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, whole or not at all."""
        began_ms = self._clock_ms()
        self._log.write(update)
        self._times.note(self._clock_ms() - began_ms)

    @property
    def sizes(self) -> Sizes:
        """What its records take."""
        return self._log.sizes

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """What can still be written of short entries."""
        return self._log.room_bytes(beside_bytes)

    def growth_bytes(self, beside_bytes: int = 0) -> int:
        """What of that is for long entries too."""
        return self._log.growth_bytes(beside_bytes)

    @property
    def truncation_bytes(self) -> int:
        """What of that is for votes and truncations, and for nothing else."""
        return self._log.truncation_bytes

    def close(self) -> None:
        """Close what is behind."""
        self._log.close()
