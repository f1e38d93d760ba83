"""A client that wants another node to lead, from its request to the answer.

Law: it is answered once it is known who leads, or the time is up. Whether leadership
moves is for consensus.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from kvstore import api
from kvstore.raft.core import Raft
from kvstore.raft.types import Role
from kvstore.server import refusals
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms


def _answer_at_once(
    raft: Raft, request: api.HandOver, members: Collection[int]
) -> api.Result | None:
    """What the client is told without a handover; None if this leader is to begin one."""
    heir, term = request.heir, raft.current_term
    if heir is not None and heir not in members:
        return refusals.no_such_node(heir, members)
    has_moved = request.term != 0 and term > request.term
    if heir == raft.id or (has_moved and heir is None):
        return api.HandOverResult(raft.id, term)
    return refusals.has_moved(raft.id, term, request) if has_moved else None


def begin_handover(raft: Raft, request: api.HandOver, members: Collection[int]) -> int | api.Result:
    """Have a leader hand over; to whom, or what the client is told at once."""
    if (answer := _answer_at_once(raft, request, members)) is not None:
        return answer
    if len(members) == 1:
        return refusals.LONE
    chosen = raft.hand_over(request.heir)
    return refusals.cannot_take_over(request.heir) if chosen is None else chosen


class Handover(msgspec.Struct, frozen=True, gc=False):
    """A client waits for `heir` to lead, after the leader of `term`."""

    ticket: Ticket
    heir: int
    term: int
    deadline_ms: float

    def outcome(self, raft: Raft) -> api.Result | None:
        """What the client is told; None while it is not known yet who leads."""
        term, leader = raft.current_term, raft.leader_id
        if raft.heir is not None or leader is None:
            return None
        if leader == self.heir:
            return api.HandOverResult(self.heir, term)
        if term > self.term:
            # Whoever hears of this leader does not stand by the word of the one before.
            return refusals.has_moved(leader, term, api.HandOver(self.heir, self.term))
        return refusals.not_taken_over(self.heir)


class WaitingHandovers:
    """The one of a node that is under way, if any is.

    * `waiting`: by the term of its leader.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, Handover] = {}

    @property
    def due_ms(self) -> float:
        """When the client has waited long enough."""
        return first_deadline_ms(self.waiting)

    def begin(
        self, here: Here, request: api.HandOver, ticket: Ticket, deadline_ms: float
    ) -> list[Answer]:
        """Have the heir, or whoever is closest, lead in this leader's place; who leaves by that."""
        raft = here.raft
        # An earlier one has failed in this very turn, or this node would not lead again.
        answers = self.settle(here) if self.waiting else []
        if raft.role is not Role.LEADER or raft.heir is not None:
            answers.append(Answer(ticket, here.redirect()))
        elif isinstance(begun := begin_handover(raft, request, here.roster.members), int):
            term = raft.current_term
            self.waiting[term] = Handover(ticket, begun, term, deadline_ms)
        else:
            answers.append(Answer(ticket, begun))
        return answers

    def settle(self, here: Here) -> list[Answer]:
        """It leaves once it is known who leads."""
        [handover] = self.waiting.values()
        outcome = handover.outcome(here.raft)
        return [] if outcome is None else self._leave(outcome)

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """Nobody leads; as long as this node waits for its heir, so does who asked for it."""
        [handover] = self.waiting.values()
        if here.now_ms < handover.deadline_ms or here.raft.heir is not None:
            return []
        return self.settle(here) or self._leave(refusals.not_taken_over(handover.heir))

    def abandon(self) -> list[Answer]:
        """Who leads then, another node knows."""
        return self._leave(refusals.STOPPED)

    def _leave(self, result: api.Result) -> list[Answer]:
        [handover] = self.waiting.values()
        self.waiting.clear()
        return [Answer(handover.ticket, result)]
