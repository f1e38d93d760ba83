"""A leader commits on the word of a majority, given to it in its term (Raft §5.3, §5.4.2).

Law: what a leader takes for committed, a majority of the voters by its own log has vouched for:
the leader by its disk, the others by acceptances of this very term, each said while the entry was
on its disk, by the directory that votes. Who lost the directory since has vouched all the same.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from kvstore.raft.messages import AppendEntriesReply, Message
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.checkers.voters import directory_of, voters_of
from kvstore.sim.log_start import FIRST

_Leadership: TypeAlias = tuple[int, int]
"""(leader, term)."""
_Voter: TypeAlias = tuple[int, str]
"""A node, and its directory."""


class Commitment(Checker):
    """Remembers what each node said to each leader, and how far each leader has committed."""

    theorem = "a majority vouched for what is committed"
    watches = Part.ROLE | Part.COMMITTED
    heeds = (AppendEntriesReply,)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._words: dict[_Leadership, dict[_Voter, tuple[int, int]]] = defaultdict(dict)
        """Leadership -> node and directory -> (index, term) of the last entry it vouched for."""
        self._committed: dict[_Leadership, int] = {}

    def speaks(self, host: Watched, message: Message) -> None:
        if not isinstance(message, AppendEntriesReply) or not message.success:
            return
        disk = host.disk.log
        index = message.match_index
        if index < disk.start.index or index <= self.start.index:
            return
        words = self._words[message.recipient, message.term]
        last = (index, disk.start.term if index == disk.start.index else disk.terms[index])
        voter = (host.id, disk.identity.directory)
        words[voter] = max(last, words.get(voter, last))

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is not Role.LEADER:
            return
        leadership, index = (host.id, raft.current_term), raft.commit_index
        if index > self._committed.setdefault(leadership, index):
            self._committed[leadership] = index
            self._check_commit(host, index)

    def _check_commit(self, leader: Watched, index: int) -> None:
        raft, disk = leader.running.raft, leader.disk.log
        term = raft.log.term(index)
        words = self._words[leader.id, raft.current_term]
        supporters = {
            node
            for (node, name), last in words.items()
            if last[0] >= index and raft.log.holds(*last) and directory_of(leader, node) == name
        }
        if disk.terms.get(index) == term:
            supporters.add(leader.id)
        voters = voters_of(leader)
        if not are_majority(supporters, voters):
            self.fail(
                f"leader {leader.id} of term {raft.current_term} takes entry {index} of term {term}"
                f" for committed by the word of {sorted(supporters)} of {list(voters)}"
            )
