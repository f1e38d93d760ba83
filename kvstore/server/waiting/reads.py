"""Reads of clients that have no answer yet, from their arrival to the turn that answers them.

Law: a read moves one way: arrived, asked for (all of one turn as one batch), ready as
of an index, due when that index is applied. Whoever leaves on the way (overdue, or its
leader gone) leaves once. None is answered as of an earlier index than one that arrived
before it, whichever of the leader's answers are lost or overtake each other.
"""

from __future__ import annotations

import heapq
from itertools import count

import msgspec

from kvstore import api
from kvstore.server import refusals
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms, take_overdue, told


class Read(msgspec.Struct, frozen=True, gc=False):
    """One client's read; it must see the log up to `after` at least."""

    ticket: Ticket
    query: api.Query
    after: int
    deadline_ms: float


class WaitingReads:
    """All reads of one node that wait, oldest first.

    * `waiting`: by their numbers. These grow, and never come again: not in another life of
      this node either, or a late answer to a question of that life would be taken for one of
      this.
    """

    def __init__(self, first_number: int) -> None:
        self._numbers = count(first_number)
        self.waiting: dict[int, Read] = {}
        """By number; then their numbers by stage:"""
        self.arrived: list[int] = []
        """Still to be asked for."""
        self._asked: dict[int, list[int]] = {}
        """By batch."""
        self.ready: list[tuple[int, int]] = []
        """Those that wait for an entry to be applied, and for nothing else: heap of (index to be
        applied first, number)."""
        self._ready_index = 0
        """The highest index as of which reads were ready."""

    def add(self, read: Read) -> None:
        """A read has arrived."""
        number = next(self._numbers)
        self.waiting[number] = read
        self.arrived.append(number)

    def new_batch(self) -> int:
        """The number under which to ask for all that arrived since the last batch."""
        batch = next(self._numbers)
        self._asked[batch], self.arrived = self.arrived, []
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
                if read := self.waiting.get(number):
                    heapq.heappush(self.ready, (max(self._ready_index, read.after), number))

    def settle(self, here: Here) -> list[Answer]:
        """Those leave that are due, but for whose ticket takes the read over."""
        answers: list[Answer] = []
        for read in self.take_due(here.machine.last_applied):
            if not read.ticket.takes_over(read.query):
                answers.append(Answer(read.ticket, here.machine.query(read.query)))
        return answers

    def take_due(self, last_applied: int) -> list[Read]:
        """Those that may be answered now that `last_applied` is applied."""
        due: list[Read] = []
        while self.ready and self.ready[0][0] <= last_applied:
            _, number = heapq.heappop(self.ready)
            if read := self.waiting.pop(number, None):
                due.append(read)
        return due

    @property
    def due_ms(self) -> float:
        """When the oldest one is overdue."""
        return first_deadline_ms(self.waiting)

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """For want of a majority, or of room."""
        if not (overdue := self.take_overdue(here.now_ms)):
            return []
        return told(overdue, refusals.read_is_overdue(here.raft.id, here.room.waiting_index))

    def take_overdue(self, now_ms: float) -> list[Read]:
        """Those whose deadline has passed."""
        overdue = take_overdue(self.waiting, now_ms)
        if overdue:
            self._forget_who_left()
        return overdue

    def _forget_who_left(self) -> None:
        """No stage keeps the numbers of reads that are gone, whatever they waited for."""
        self.arrived = self._staying(self.arrived)
        self._asked = {
            batch: staying
            for batch, numbers in self._asked.items()
            if (staying := self._staying(numbers))
        }
        self.ready = [ready for ready in self.ready if ready[1] in self.waiting]
        heapq.heapify(self.ready)

    def _staying(self, numbers: list[int]) -> list[int]:
        return [number for number in numbers if number in self.waiting]

    def refuse_all(self, failure: api.Failure) -> list[Answer]:
        """Everybody leaves."""
        answers = told(self.waiting.values(), failure)
        for stage in (self.waiting, self.arrived, self._asked, self.ready):
            stage.clear()
        return answers

    def abandon(self) -> list[Answer]:
        """Another node may answer."""
        return self.refuse_all(refusals.STOPPED)

    def check(self) -> None:
        """That every read stands in one stage, and nobody else does."""
        asked = [number for numbers in self._asked.values() for number in numbers]
        ready = [number for _, number in self.ready]
        assert sorted([*self.arrived, *asked, *ready]) == sorted(self.waiting)
