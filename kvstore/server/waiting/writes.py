"""Writes that wait for a majority, from their proposal to the answer.

Law: a write is known by the name of its entry, never by the index alone. It is refused only
when its entry can never be applied; while nobody can tell, its outcome is unknown.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kvstore.server import refusals
from kvstore.server.directions import rolled_back
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms, take_overdue, told

EntryName: TypeAlias = tuple[int, int]
"""(index, term): another leader may put another entry at the same index."""


class Write(msgspec.Struct, frozen=True, gc=False):
    """One client's write."""

    ticket: Ticket
    deadline_ms: float


class WaitingWrites:
    """All writes of one node that wait.

    * `waiting`: by the names of their entries. The node adds what it proposes, and takes what it
      applies.
    """

    def __init__(self) -> None:
        self.waiting: dict[EntryName, Write] = {}

    @property
    def due_ms(self) -> float:
        """When the oldest one is overdue."""
        return first_deadline_ms(self.waiting)

    def settle(self, here: Here) -> list[Answer]:
        """Those leave that can never happen.

        Either another entry is committed at their index, or one of a newer term
        is committed before it: no log that holds both can exist (Raft §5.3).
        """
        applied = here.machine.last_applied
        if here.raft.log.lacks_base:
            return []
        term = here.raft.log.term(applied)
        if not is_dead(next(iter(self.waiting)), applied, term):
            return []
        dead = [name for name in self.waiting if is_dead(name, applied, term)]
        return told([self.waiting.pop(name) for name in dead], rolled_back(here.redirect()))

    def forget(self, index: int) -> list[Answer]:
        """A snapshot stands for all up to `index`: what became of each entry, it does not tell."""
        names = [name for name in self.waiting if name[0] <= index]
        return told([self.waiting.pop(name) for name in names], refusals.UNKNOWN)

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """For want of a majority, or of room."""
        if not (overdue := take_overdue(self.waiting, here.now_ms)):
            return []
        return told(overdue, refusals.write_is_overdue(here.raft.id, here.room.waiting_index))

    def abandon(self) -> list[Answer]:
        """Their entries are in the log."""
        left, self.waiting = self.waiting, {}
        return told(left.values(), refusals.STOPPED_UNKNOWN)


def is_dead(name: EntryName, applied_index: int, applied_term: int) -> bool:
    """Whether an entry that was not applied can never be, given the last one that was."""
    index, term = name
    return index <= applied_index or term < applied_term
