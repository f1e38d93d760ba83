"""A leader never overwrites or deletes entries in its log; it only appends (Raft Figure 3).

Law: while a node leads one term, its log only grows, and what was its last entry
stays in its place.
"""

from __future__ import annotations

from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST


class LeaderAppendOnly(Checker):
    """Remembers, per node, the end of the log of its present leadership."""

    theorem = "leader append-only"
    watches = Part.ROLE | Part.LOG

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._ends: dict[int, tuple[int, int, int]] = {}
        """Node -> (term it leads, last index, term of that entry)."""

    def started(self, host: Watched) -> None:
        self._ends.pop(host.id, None)

    def changed(self, host: Watched) -> None:
        raft, log = host.running.raft, host.running.raft.log
        if raft.role is not Role.LEADER:
            self._ends.pop(host.id, None)
            return
        before = self._ends.get(host.id)
        if before is not None and before[0] == raft.current_term:
            _, index, term = before
            if not log.holds(index, term):
                self.fail(
                    f"node {host.id}, leader of term {raft.current_term}, no longer holds entry"
                    f" {index} of term {term}"
                )
        self._ends[host.id] = (raft.current_term, log.last_index, log.last_term)
