"""What the kinds of waiting have in common, and what they see of the node that is waited for.

Law: a kind decides who leaves and what that one is told, and no more: the node asks it, in
every turn, and hands the answers out. It must not know requests, connections or clocks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Raft
from kvstore.server.checking import Checking
from kvstore.server.room import Room
from kvstore.server.roster import Roster
from kvstore.server.ticket import Answer, Ticket


class Here(Protocol):
    """The node, as those see it who wait for it."""

    settings: Settings
    raft: Raft
    machine: StateMachine
    room: Room
    roster: Roster
    checking: Checking
    now_ms: float
    """When this turn began."""

    def redirect(self) -> api.Failure:
        """Why this node does not take a request, and where to go."""
        ...


class Kind(Protocol):
    """One kind of what clients wait for.

    * `waiting` is who does, oldest first; of a kind for which nobody waits nothing is asked.
    """

    @property
    def waiting(self) -> Collection[object]: ...

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin for one of them, though nothing arrives."""
        ...

    def settle(self, here: Here) -> Iterable[Answer]:
        """Those leave of whom it is known by now what came of it."""
        ...

    def give_up_overdue(self, here: Here) -> Iterable[Answer]:
        """Those leave whose time is up."""
        ...

    def abandon(self) -> Iterable[Answer]:
        """The node stops, and all leave."""
        ...


class Waiter(Protocol):
    """One who waits."""

    @property
    def ticket(self) -> Ticket: ...

    @property
    def deadline_ms(self) -> float: ...


Key = TypeVar("Key")
One = TypeVar("One", bound=Waiter)


def first_deadline_ms(waiting: dict[Key, One]) -> float:
    """When the oldest one is overdue: all wait equally long."""
    return next(iter(waiting.values())).deadline_ms if waiting else math.inf


def take_overdue(waiting: dict[Key, One], now_ms: float) -> list[One]:
    """Those leave whose deadline has passed."""
    overdue: list[One] = []
    while waiting:
        key, one = next(iter(waiting.items()))
        if one.deadline_ms > now_ms:
            break
        del waiting[key]
        overdue.append(one)
    return overdue


def told(those: Iterable[Waiter], result: api.Result) -> list[Answer]:
    """All of them get the same result."""
    return [Answer(one.ticket, result) for one in those]
