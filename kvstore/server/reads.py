"""Reads of clients that have no answer yet, from their arrival to the turn that answers them.

Law: a read moves one way: arrived, asked for (all of one turn as one batch), ready as
of an index, due when that index is applied. Whoever leaves on the way (overdue, or its
leader gone) leaves once. None is answered as of an earlier index than one that arrived
before it, whichever of the leader's answers are lost or overtake each other.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from itertools import count

import msgspec

from kvstore import api
from kvstore.server.ticket import Ticket


class Read(msgspec.Struct, frozen=True, gc=False):
    """One client's read; it must see the log up to `after` at least."""

    ticket: Ticket
    query: api.Query
    after: int
    deadline_ms: float


class WaitingReads:
    """All reads of one node that wait, oldest first.

    * Numbers grow, and never come again: not in another life of this node either, or a
      late answer to a question of that life would be taken for one of this.
    """

    def __init__(self, first_number: int) -> None:
        self._numbers = count(first_number)
        self._reads: dict[int, Read] = {}
        """By number; then their numbers by stage:"""
        self._arrived: list[int] = []
        self._asked: dict[int, list[int]] = {}
        """By batch."""
        self._ready: list[tuple[int, int]] = []
        """Heap of (index to be applied first, number)."""
        self._ready_index = 0
        """The highest index as of which reads were ready."""

    def __len__(self) -> int:
        return len(self._reads)

    def add(self, read: Read) -> None:
        """A read has arrived."""
        number = next(self._numbers)
        self._reads[number] = read
        self._arrived.append(number)

    @property
    def has_arrivals(self) -> bool:
        """Whether some are still to be asked for."""
        return bool(self._arrived)

    @property
    def has_ready(self) -> bool:
        """Whether some wait for an entry to be applied, and for nothing else."""
        return bool(self._ready)

    def new_batch(self) -> int:
        """The number under which to ask for all that arrived since the last batch."""
        batch = next(self._numbers)
        self._asked[batch], self._arrived = self._arrived, []
        return batch

    def is_ready(self, batch: int, index: int) -> None:
        """The reads of a batch, and those asked for before it, may be answered as of `index`.

        The leader was asked for the batch after all of them had arrived.
        """
        if batch not in self._asked:
            return
        self._ready_index = max(self._ready_index, index)
        while batch in self._asked:
            for number in self._asked.pop(next(iter(self._asked))):
                if read := self._reads.get(number):
                    heapq.heappush(self._ready, (max(self._ready_index, read.after), number))

    def take_due(self, last_applied: int) -> Iterator[Read]:
        """Those that may be answered now that `last_applied` is applied."""
        while self._ready and self._ready[0][0] <= last_applied:
            _, number = heapq.heappop(self._ready)
            if read := self._reads.pop(number, None):
                yield read

    @property
    def due_ms(self) -> float:
        """When the oldest one is overdue."""
        return next(iter(self._reads.values())).deadline_ms if self._reads else math.inf

    def take_overdue(self, now_ms: float) -> Iterator[Read]:
        """Those whose deadline has passed."""
        before = len(self._reads)
        while self._reads:
            number, read = next(iter(self._reads.items()))
            if read.deadline_ms > now_ms:
                break
            del self._reads[number]
            yield read
        if len(self._reads) < before:
            self._forget_who_left()

    def _forget_who_left(self) -> None:
        """No stage keeps the numbers of reads that are gone, whatever they waited for."""
        self._arrived = self._staying(self._arrived)
        self._asked = {
            batch: staying
            for batch, numbers in self._asked.items()
            if (staying := self._staying(numbers))
        }
        self._ready = [ready for ready in self._ready if ready[1] in self._reads]
        heapq.heapify(self._ready)

    def _staying(self, numbers: list[int]) -> list[int]:
        return [number for number in numbers if number in self._reads]

    def take_all(self) -> list[Read]:
        """Everybody leaves."""
        reads = list(self._reads.values())
        for stage in (self._reads, self._arrived, self._asked, self._ready):
            stage.clear()
        return reads

    def check(self) -> None:
        """That every read stands in one stage, and nobody else does."""
        asked = [number for numbers in self._asked.values() for number in numbers]
        ready = [number for _, number in self._ready]
        assert sorted([*self._arrived, *asked, *ready]) == sorted(self._reads)
