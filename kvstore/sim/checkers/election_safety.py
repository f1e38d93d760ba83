"""At most one leader can be elected in a given term (Raft Figure 3).

Law: whoever was once seen as the leader of a term is the only one, for ever, and a
majority of disks held a vote for it in that term.
"""

from __future__ import annotations

from collections import defaultdict

from kvstore.raft.types import DurableUpdate, LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.log_start import FIRST


class ElectionSafety(Checker):
    """Remembers who led each term, and every vote that was ever durable."""

    theorem = "election safety"
    watches = Part.ROLE

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._leaders: dict[int, int] = {}
        self._voters: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        """(term, candidate) -> who voted so."""

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        state = update.hard_state
        if state is not None and state.voted_for is not None:
            self._voters[state.current_term, state.voted_for].add(host.id)

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is not Role.LEADER:
            return
        term = raft.current_term
        leader = self._leaders.setdefault(term, host.id)
        if leader != host.id:
            self.fail(f"nodes {leader} and {host.id} both lead term {term}")
        voters = self._voters[term, leader]
        if not are_majority(voters, self.members):
            self.fail(
                f"node {leader} leads term {term} with the votes of {sorted(voters)} of"
                f" {list(self.members)}"
            )
