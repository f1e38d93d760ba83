"""Renewals of leases that wait: many of them become one entry.

Law: one entry of renewals is under way at a time, and what comes meanwhile is in the next one:
so a burst costs a few entries, and nobody waits for others to come. A renewal is answered when
its entry was applied, which only a leader that a majority confirms gets done.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec

from kvstore import api
from kvstore.server import refusals
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms, take_overdue, told
from kvstore.server.waiting.writes import EntryName, is_dead


class Renewal(msgspec.Struct, frozen=True, gc=False):
    """One client's request."""

    ticket: Ticket
    deadline_ms: float
    leases: tuple[int, ...]


class WaitingRenewals:
    """Those of one node that wait.

    * `waiting`: by number, oldest first; those of `_batch` are in the entry that is `under_way`.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.waiting: dict[int, Renewal] = {}
        self.under_way: EntryName | None = None
        self._batch: list[tuple[int, int]] = []
        """Number, and how many leases, in the order of the entry."""
        self._result: api.Result | None = None

    @property
    def due_ms(self) -> float:
        """When the oldest one is overdue."""
        return first_deadline_ms(self.waiting)

    def add(self, renewal: Renewal) -> None:
        """A client asks for it."""
        self.waiting[next(self._numbers)] = renewal

    @property
    def may_propose(self) -> bool:
        """Whether somebody waits for an entry, and none is under way."""
        return self.under_way is None and bool(self.waiting)

    def propose(self, propose: Callable[[api.Renew], EntryName | api.Failure]) -> list[Answer]:
        """Make an entry of what waits, as much as one may hold; who leaves as it is refused."""
        leases: list[int] = []
        for number, renewal in self.waiting.items():
            if leases and len(leases) + len(renewal.leases) > api.KEYS_MAX:
                break
            self._batch.append((number, len(renewal.leases)))
            leases += renewal.leases
        proposed = propose(api.Renew(tuple(leases)))
        if isinstance(proposed, api.Failure):
            return self._end(proposed)
        self.under_way = proposed
        return []

    def take(self, result: api.Result) -> None:
        """The entry under way is applied."""
        self._result = result

    def settle(self, here: Here) -> list[Answer]:
        """Those leave whose entry is applied, or can never be; and all, if this node leads no more.

        Of an entry that a snapshot stands for nobody knows what became.
        """
        if self.under_way is not None:
            if self._result is not None:
                return self._end(self._result)
            log, applied = here.raft.log, here.machine.last_applied
            if log.lacks_base or is_dead(self.under_way, applied, log.term(applied)):
                return self._end(refusals.UNKNOWN)
        elif not here.raft.takes_commands:
            left, self.waiting = self.waiting, {}
            return told(left.values(), here.redirect())
        return []

    def _end(self, result: api.Result) -> list[Answer]:
        """What each of the batch is told who still waits."""
        answers: list[Answer] = []
        at = 0
        for number, leases in self._batch:
            renewal = self.waiting.pop(number, None)
            if renewal is not None:
                own = result
                if isinstance(result, api.KeptResult):
                    own = api.KeptResult(result.ttls_ms[at : at + leases])
                answers.append(Answer(renewal.ticket, own))
            at += leases
        self._batch.clear()
        self.under_way = self._result = None
        return answers

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """For want of a majority; to renew once more does no harm."""
        overdue = take_overdue(self.waiting, here.now_ms)
        return told(overdue, refusals.UNKNOWN)

    def abandon(self) -> list[Answer]:
        """The node stops."""
        left, self.waiting = self.waiting, {}
        return told(left.values(), refusals.STOPPED_UNKNOWN)
