"""Clients that want to know whether all nodes hold the same, from their requests to the answers.

Law: who waits is told what is known after a while, whole or not, and may ask again. How states are
compared is for `checking.py`.
"""

from __future__ import annotations

from itertools import count
from typing import Final

import msgspec

from kvstore import api
from kvstore.server import refusals
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms, take_overdue, told

_WAIT_MS: Final = 1_000.0
"""It may take far longer than a client waits for one answer."""


class Check(msgspec.Struct, frozen=True, gc=False):
    """A client waits for what comes of the entry at `index`, or of a later one."""

    ticket: Ticket
    index: int
    deadline_ms: float


class WaitingChecks:
    """Those of one node.

    * `waiting`: oldest first.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.waiting: dict[int, Check] = {}

    @property
    def due_ms(self) -> float:
        """When the oldest one has waited long enough."""
        return first_deadline_ms(self.waiting)

    def begin(self, here: Here, request: api.CheckReplicas, ticket: Ticket) -> list[Answer]:
        """Have a leader compare states; who leaves by that."""
        if not here.raft.takes_commands:
            return [Answer(ticket, here.redirect())]
        if not (index := here.checking.find(request.since) or here.checking.begin()):
            return [Answer(ticket, refusals.CANNOT_CHECK)]
        deadline_ms = here.now_ms + min(_WAIT_MS, here.settings.request_timeout_ms)
        self.waiting[next(self._numbers)] = Check(ticket, index, deadline_ms)
        return []

    def settle(self, here: Here) -> list[Answer]:
        """Those leave of whose entry it is known what came of it; all, if nobody leads here."""
        if here.raft.leadership is None:
            left, self.waiting = self.waiting, {}
            return told(left.values(), here.redirect())
        answers = []
        for number, one in [*self.waiting.items()]:
            result = here.checking.result_for(one.index)
            if result is not None and result.is_settled and result.index >= one.index:
                answers.append(Answer(self.waiting.pop(number).ticket, result))
        return answers

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """They get what is known so far."""
        overdue = take_overdue(self.waiting, here.now_ms)
        return [
            Answer(one.ticket, _so_far(here.checking.result_for(one.index), one.index))
            for one in overdue
        ]

    def abandon(self) -> list[Answer]:
        """Another leader goes on with it."""
        left, self.waiting = self.waiting, {}
        return told(left.values(), refusals.STOPPED)


def _so_far(result: api.CheckResult | None, index: int) -> api.CheckResult:
    if result is not None and result.index >= index:
        return result
    return api.CheckResult(index, is_settled=False, is_decided=False, digests={})
