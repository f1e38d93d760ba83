"""The terms of a log's entries, as runs of equal ones.

Law: terms only grow along a log, so that a few runs tell the term of each of its entries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from kvstore.raft.safety import require
from kvstore.raft.types import TermRange


class Terms:
    """Runs of equal terms, oldest first.

    * `last`: the term of the last entry, None if there is none.
    """

    def __init__(self, ranges: Sequence[TermRange]) -> None:
        self._starts = [one.first_index for one in ranges]
        self._terms = [one.term for one in ranges]
        self.last = self._terms[-1] if self._terms else None

    @property
    def ranges(self) -> tuple[TermRange, ...]:
        """The runs."""
        return tuple(map(TermRange, self._starts, self._terms))

    @property
    def last_start(self) -> int | None:
        """Where the last run begins, None if there is none."""
        return self._starts[-1] if self._starts else None

    @property
    def names(self) -> tuple[int, ...]:
        """What tells these runs from others."""
        return (*self._starts, *self._terms)

    def begin(self, index: int, term: int) -> None:
        """From the entry at `index` on they carry `term`, a newer one than before."""
        self._starts.append(index)
        self._terms.append(term)
        self.last = term

    def truncate(self, from_index: int) -> None:
        """Forget what begins at or after `from_index`."""
        while self._starts and self._starts[-1] >= from_index:
            self._starts.pop()
            self._terms.pop()
        self.last = self._terms[-1] if self._terms else None

    def begin_after(self, index: int, last_index: int) -> None:
        """Forget what is at and before `index`, of a log that ends at `last_index`."""
        gone = bisect_right(self._starts, index)
        if gone and index < last_index and self._starts[gone:][:1] != [index + 1]:
            gone -= 1
            self._starts[gone] = index + 1
        del self._starts[:gone], self._terms[:gone]
        self.last = self._terms[-1] if self._terms else None

    def at(self, index: int) -> int:
        """The term of an entry that is here."""
        return self._terms[bisect_right(self._starts, index) - 1]

    def start_of_run(self, at: int) -> int:
        """First index of the run that contains `at`."""
        return self._starts[bisect_right(self._starts, at) - 1]

    def run(self, term: int, last_index: int) -> tuple[int, int] | None:
        """First and last index of `term` in a log that ends there, None if no entry carries it."""
        position = bisect_right(self._terms, term) - 1
        if position < 0 or self._terms[position] != term:
            return None
        is_last = position + 1 == len(self._starts)
        return self._starts[position], last_index if is_last else self._starts[position + 1] - 1

    def check(self) -> None:
        """That they can be those of a log."""
        starts, terms = self._starts, self._terms
        require(
            starts == sorted(set(starts)) and terms == sorted(set(terms)),
            "terms go back, or begin twice",
        )

    def check_ends(self, start_index: int, last_index: int) -> None:
        """That they are those of a log that begins after `start_index` and ends there."""
        starts = self._starts
        require(
            (starts[:1] == [start_index + 1] and starts[-1] <= last_index)
            if last_index > start_index
            else not starts,
            "the terms are not those of the log",
        )
