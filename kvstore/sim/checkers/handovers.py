"""Who asks for a handover is told who leads.

Law: the node that the answer names did lead the term that it names, and is the one that was
asked for, if one was.
"""

from __future__ import annotations

from kvstore import api
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST


class Handovers(Checker):
    """Remembers who led which term."""

    theorem = "handovers are told as they were"
    watches = Part.ROLE

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._leaders: dict[int, int] = {}

    def changed(self, host: Watched) -> None:
        if host.running.raft.role is Role.LEADER:
            self._leaders[host.running.raft.current_term] = host.id

    def answers(self, host: Watched, request: api.Request, result: api.Result) -> None:
        if not isinstance(request, api.HandOver) or isinstance(result, api.Failure):
            return
        if not (
            isinstance(result, api.HandOverResult)
            and self._leaders.get(result.term) == result.leader_id
            and request.heir in (None, result.leader_id)
        ):
            self.fail(
                f"node {host.id} was asked to hand over to {request.heir or 'any node'}, and says"
                f" {result}"
            )
