"""A set of indexes, kept as the runs that it consists of.

Law: what it costs follows the number of runs, not that of indexes: a disk loses whole
pages, so a hundred thousand entries that are gone are a few runs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

_Run = tuple[int, int]
"""First and last index."""


class Spans:
    """Runs (first, last), ascending, with a gap between any two."""

    def __init__(self, indexes: Iterable[int] = ()) -> None:
        """`indexes` ascend."""
        runs = _runs_of(indexes)
        self._firsts = [first for first, _ in runs]
        self._lasts = [last for _, last in runs]
        self._count = sum(last - first + 1 for first, last in runs)

    def __len__(self) -> int:
        """How many indexes there are."""
        return self._count

    def __contains__(self, index: object) -> bool:
        assert isinstance(index, int)
        position = bisect_left(self._lasts, index)
        return position < len(self._lasts) and self._firsts[position] <= index

    def __iter__(self) -> Iterator[int]:
        for first, last in self.runs(0):
            yield from range(first, last + 1)

    def first_from(self, index: int) -> int | None:
        """The first one at or behind `index`."""
        position = bisect_left(self._lasts, index)
        return max(self._firsts[position], index) if position < len(self._lasts) else None

    def runs(self, start: int) -> Iterator[_Run]:
        """The runs from index `start` on; a run that holds it begins there."""
        for position in range(bisect_left(self._lasts, start), len(self._lasts)):
            yield max(self._firsts[position], start), self._lasts[position]

    def remove(self, indexes: Sequence[int]) -> None:
        """Take out these, which ascend; what is not there is no matter."""
        for first, last in _runs_of(indexes):
            self._remove_run(first, last)

    def remove_from(self, index: int) -> None:
        """Take out all at and behind `index`."""
        if self._lasts:
            self._remove_run(index, max(index, self._lasts[-1]))

    def remove_to(self, index: int) -> None:
        """Take out all at and before `index`."""
        if self._firsts and self._firsts[0] <= index:
            self._remove_run(self._firsts[0], index)

    def _remove_run(self, first: int, last: int) -> None:
        begin, end = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if begin >= end:
            return
        kept = [(self._firsts[begin], first - 1), (last + 1, self._lasts[end - 1])]
        kept = [run for run in kept if run[0] <= run[1]]
        gone = zip(self._firsts[begin:end], self._lasts[begin:end], strict=True)
        self._count -= sum(run[1] - run[0] + 1 for run in gone)
        self._count += sum(run[1] - run[0] + 1 for run in kept)
        self._firsts[begin:end] = [run[0] for run in kept]
        self._lasts[begin:end] = [run[1] for run in kept]


def _runs_of(indexes: Iterable[int]) -> list[_Run]:
    """Indexes that ascend, as runs."""
    runs: list[_Run] = []
    for index in indexes:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs
