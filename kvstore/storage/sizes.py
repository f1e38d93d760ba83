"""How many bytes the records of a log take, known by runs of entries.

Law: the sum is exact, and so is that of each run; what each entry has, nobody keeps. So a
log of millions of entries is known by a few numbers, and how much of its front may go is found
without a look at the disk.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

RUN_BYTES: Final = 64 << 10
RUN_ENTRIES: Final = 256
"""A run that has so many bytes, or entries, is followed by another one."""

Measure: TypeAlias = Callable[[int, int], int]
"""What the records of entries [first, stop) take, by a look at them."""


class Sizes:
    """Runs of entries without a gap, the last of which still grows.

    * `total_bytes`: of all of them.
    * `last_index`: of the last entry; of what comes before the log, if there is none.
    """

    def __init__(self, start: int, run_bytes: int = RUN_BYTES) -> None:
        """Of a log that begins after the entry at `start`, and has none yet."""
        self.total_bytes = 0
        self.last_index = start
        self._run_bytes = run_bytes
        self._firsts: list[int] = []
        """Where each run begins."""
        self._bytes: list[int] = []

    def append(self, sizes: Sequence[int]) -> None:
        """The next entries have so many bytes each."""
        firsts, runs = self._firsts, self._bytes
        for index, size in enumerate(sizes, self.last_index + 1):
            if runs and runs[-1] < self._run_bytes and index - firsts[-1] < RUN_ENTRIES:
                runs[-1] += size
            else:
                firsts.append(index)
                runs.append(size)
        self.last_index += len(sizes)
        self.total_bytes += sum(sizes)

    def measure(self, indexes: Iterable[int], measure: Measure) -> None:
        """The records of these entries are others."""
        for run in {bisect_right(self._firsts, index) - 1 for index in indexes}:
            self._measure(run, measure)

    def truncate(self, from_index: int, measure: Measure) -> None:
        """Entries at and after `from_index` are gone."""
        kept = bisect_left(self._firsts, from_index)
        is_cut = self._first_behind(kept) != from_index
        self._forget(slice(kept, None))
        self.last_index = from_index - 1
        if is_cut:
            self._measure(kept - 1, measure)

    def drop(self, start: int, measure: Measure) -> None:
        """The log begins after the entry at `start` from now on."""
        if start >= self.last_index:
            self._forget(slice(None))
            self.last_index = start
            return
        self._forget(slice(bisect_right(self._firsts, start + 1) - 1))
        if self._firsts[0] <= start:
            self._firsts[0] = start + 1
            self._measure(0, measure)

    def _forget(self, runs: slice) -> None:
        self.total_bytes -= sum(self._bytes[runs])
        del self._firsts[runs], self._bytes[runs]

    def _measure(self, run: int, measure: Measure) -> None:
        found = measure(self._firsts[run], self._first_behind(run + 1))
        self.total_bytes += found - self._bytes[run]
        self._bytes[run] = found

    def _first_behind(self, runs: int) -> int:
        """Index of the first entry behind so many runs."""
        return self._firsts[runs] if runs < len(self._firsts) else self.last_index + 1

    def droppable(self, last_index: int, bytes_min: int, runs_max: int) -> int | None:
        """Up to where entries may be dropped: at most to `last_index`, by so many whole runs.

        So that no less than `bytes_min` stay; None if none may be.
        """
        left, found = self.total_bytes, None
        for run, size in enumerate(self._bytes[:runs_max]):
            end = self._first_behind(run + 1) - 1
            left -= size
            if end > last_index or left < bytes_min:
                break
            found = end
        return found
