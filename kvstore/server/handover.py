"""A client that wants another node to lead, from its request to the answer.

Law: it is answered once it is known who leads, or the time is up. Whether leadership
moves is for consensus.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from kvstore import api
from kvstore.raft.core import Raft
from kvstore.server import refusals
from kvstore.server.ticket import Ticket


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

    def outcome(self, raft: Raft, now_ms: float) -> api.Result | None:
        """What the client is told; None while it is not known yet who leads."""
        is_overdue = now_ms >= self.deadline_ms
        if raft.heir is not None or (raft.leader_id is None and not is_overdue):
            return None
        if raft.leader_id == self.heir:
            return api.HandOverResult(self.heir, raft.current_term)
        term, leader = raft.current_term, raft.leader_id
        if leader is not None and term > self.term:
            # Whoever hears of this leader does not stand by the word of the one before.
            return refusals.has_moved(leader, term, api.HandOver(self.heir, self.term))
        return refusals.not_taken_over(self.heir)
