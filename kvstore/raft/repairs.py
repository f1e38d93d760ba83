"""Entries of a log that its disk has lost, and those that are on their way to take their places.

Law: an entry counts as lost until its repair is durable; and what is no longer in the log is
neither lost nor repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kvstore.raft.safety import require
from kvstore.raft.spans import Spans
from kvstore.raft.types import Entry


class Repairs:
    """Those of one log.

    * `damaged`: indexes of durable entries for which this node cannot vouch.
    """

    def __init__(self, damaged: Iterable[int]) -> None:
        self.damaged = Spans(damaged)
        self._coming: dict[int, Entry] = {}
        """What was fetched for them, and is not on the disk yet."""
        self._new: dict[int, Entry] = {}
        """Of these, what was not handed to it either."""

    def __bool__(self) -> bool:
        return bool(self._coming)

    @property
    def has_new(self) -> bool:
        """Whether something is to be handed to the disk."""
        return bool(self._new)

    def misses(self, index: int) -> bool:
        """Whether nothing is on its way for an entry that is lost."""
        return index in self.damaged and index not in self._coming

    def add(self, entry: Entry) -> None:
        """An entry that was missed has come."""
        self._coming[entry.index] = self._new[entry.index] = entry

    def take_new(self) -> tuple[Entry, ...]:
        """What is to be handed to the disk, once."""
        new = tuple(self._new.values())
        self._new.clear()
        return new

    def durable(self, repairs: Sequence[Entry]) -> None:
        """These are on the disk; of what was truncated meanwhile, nothing is missed any more."""
        repaired = [entry.index for entry in repairs]
        if repaired:
            self.damaged.remove(sorted(repaired))
            for index in repaired:
                self._coming.pop(index, None)

    def remove_from(self, index: int) -> None:
        """What is at and behind `index` is gone."""
        self.damaged.remove_from(index)
        self._keep(lambda repaired: repaired < index)

    def remove_to(self, index: int) -> None:
        """What is at and before `index` is gone."""
        self.damaged.remove_to(index)
        self._keep(lambda repaired: repaired > index)

    def _keep(self, stays: Callable[[int], bool]) -> None:
        for repairs in (self._coming, self._new):
            for index in [index for index in repairs if not stays(index)]:
                del repairs[index]

    def check(self, start_index: int, durable_index: int) -> None:
        """That they are those of a log that begins after the one and is durable up to the other."""
        if not (self.damaged or self._coming):
            return
        runs = [*self.damaged.runs(0)]
        require(all(first > start_index for first, _ in runs), "what comes before the log is lost")
        require(all(index in self.damaged for index in self._coming), "what was sound is repaired")
        require(self._new.keys() <= self._coming.keys(), "a repair is forgotten that waits")
        require(all(last <= durable_index for _, last in runs), "what is damaged was never durable")
