"""A leader takes no more commands than it may hold for a majority.

Law: of its own term, a leader's log holds at most as many entries behind what is
committed as its limits allow, admissions apart, of which each other node may wait for one.
"""

from __future__ import annotations

from kvstore.raft.types import Role
from kvstore.sim.checkers.checker import Checker, Part, Watched


class Backlog(Checker):
    """Looks at every leader."""

    theorem = "what waits for a majority is bounded"
    watches = Part.ROLE | Part.LOG | Part.COMMITTED

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is not Role.LEADER:
            return
        waiting = raft.log.last_index - max(raft.commit_index, raft.log.last_term_start)
        allowed = host.running.settings.limits.pending_writes_max
        if waiting > allowed + len(self.members):
            self.fail(
                f"leader {host.id} holds {waiting} entries for a majority, {allowed} are allowed"
            )
