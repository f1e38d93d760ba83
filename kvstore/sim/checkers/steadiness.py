"""While nothing is wrong, nothing changes but the data.

Law: in a cluster that is well, and carries load, no term is added and nobody else leads;
what its leader had committed `LAG_MS` ago, every node has applied; and every client gets
the answer that it asked for, unless there is too much of something.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from kvstore import api
from kvstore.server.node import Node
from kvstore.sim.history import Operation
from kvstore.sim.words import said

LAG_MS: Final = 400.0
"""Several heartbeats, by however slow a clock."""

_MAY_BE_TOLD: Final = {
    api.FailureCode.NOT_LEADER,
    api.FailureCode.BUSY,
    api.FailureCode.INVALID,
    api.FailureCode.NO_SESSION,
    api.FailureCode.TAKEN,
}
_MOVING: Final = _MAY_BE_TOLD | {api.FailureCode.NO_LEADER}
"""The same, while leadership is handed over."""


class Steadiness:
    """Watches one cluster from a time at which it is well."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = list(nodes)
        self._leader = next(node for node in self._nodes if node.raft.takes_commands)
        self._term = self._leader.raft.current_term
        self._committed: deque[tuple[float, int]] = deque()

    def look(self, now_ms: float) -> list[str]:
        """What has changed that must not; nothing if all is as it should be."""
        findings = [
            f"node {node.raft.id} is in term {node.raft.current_term} and follows"
            f" {node.raft.leader_id}; node {self._leader.raft.id} led term {self._term}"
            for node in self._nodes
            if (node.raft.current_term, node.raft.leader_id) != (self._term, self._leader.raft.id)
        ]
        self._committed.append((now_ms, self._leader.raft.commit_index))
        goal = 0
        while self._committed[0][0] <= now_ms - LAG_MS:
            _, goal = self._committed.popleft()
        findings += [
            f"node {node.raft.id} has applied {node.machine.last_applied} entries; {goal} were"
            f" committed {LAG_MS:.0f} ms ago"
            for node in self._nodes
            if node.machine.last_applied < goal
        ]
        return findings


def unfit_answers(operations: Iterable[Operation], *, is_moving: bool = False) -> list[str]:
    """What clients were told that nobody has to bear while nothing is wrong."""
    allowed = _MOVING if is_moving else _MAY_BE_TOLD
    findings = []
    for one in operations:
        code = one.result.code if isinstance(one.result, api.Failure) else None
        if one.result is None or (code is not None and code not in allowed):
            asked, told = said(one.request), said(one.result)
            findings.append(f"client {one.client} asked for {asked}, and got {told}")
    return findings
