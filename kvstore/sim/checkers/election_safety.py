"""At most one leader can be elected in a given term (Raft Figure 3).

Law: whoever was once seen as the leader of a term is the only one, for ever, and of the voters
by its own log, a majority had disks that held a vote for it in that term.
"""

from __future__ import annotations

from collections import defaultdict

from kvstore.raft.types import DurableUpdate, LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.checkers.voters import directory_of, voters_of
from kvstore.sim.log_start import FIRST


class ElectionSafety(Checker):
    """Remembers who led each term, and every vote that was ever durable."""

    theorem = "election safety"
    watches = Part.ROLE

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._leaders: dict[int, int] = {}
        self._judged: dict[int, int] = {}
        """Terms whose votes were counted, when they began: who votes may change in them."""
        self._votes: defaultdict[tuple[int, int], set[tuple[int, str]]] = defaultdict(set)
        """(term, candidate) -> who voted so, and with which directory."""

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        state = update.hard_state
        if state is not None and state.voted_for is not None:
            voter = (host.id, host.disk.log.identity.directory)
            self._votes[state.current_term, state.voted_for].add(voter)

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is not Role.LEADER:
            return
        term = raft.current_term
        leader = self._leaders.setdefault(term, host.id)
        if leader != host.id:
            self.fail(f"nodes {leader} and {host.id} both lead term {term}")
        if self._judged.get(term) is not None:
            return
        self._judged[term] = leader
        voters = voters_of(host)
        votes = {
            node for node, name in self._votes[term, leader] if directory_of(host, node) == name
        }
        if not are_majority(votes, voters):
            self.fail(
                f"node {leader} leads term {term} with the votes of {sorted(votes)} of"
                f" {list(voters)}"
            )
