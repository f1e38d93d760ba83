"""A committed entry is present in the logs of the leaders of all higher terms (Figure 3).

Law: what any node once knew to be committed, every later leader holds when it
comes to lead.
"""

from __future__ import annotations

from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST


class LeaderCompleteness(Checker):
    """Remembers what is committed, and in which term that was first known."""

    theorem = "leader completeness"
    watches = Part.ROLE | Part.COMMITTED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._committed = Indexed[tuple[int, int]](start.index)
        """(term of the entry, term in which it was seen committed)."""
        self._checked: set[tuple[int, int]] = set()

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is Role.LEADER:
            leadership = (host.id, raft.current_term)
            if leadership not in self._checked:
                self._checked.add(leadership)
                self._check_leader(host)
        for index in range(self._committed.last + 1, raft.commit_index + 1):
            self._committed.append((raft.log.term(index), raft.current_term))

    def _check_leader(self, host: Watched) -> None:
        raft = host.running.raft
        for index, (term, seen_in) in self._committed.numbered():
            if seen_in < raft.current_term and not raft.log.holds(index, term):
                self.fail(
                    f"node {host.id} leads term {raft.current_term} without entry {index} of term"
                    f" {term}, committed in term {seen_in}"
                )
