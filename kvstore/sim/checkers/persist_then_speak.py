"""No message and no commit promises more than the disks hold.

Law: when a vote leaves, it is on the sender's disk; when an acceptance leaves, so
are the entries that it vouches for; when anything leaves, so is its term. And when
a leader takes an entry for committed, it is on the disks of a majority that counts.
"""

from __future__ import annotations

from kvstore.raft.messages import (
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from kvstore.raft.quorum import has_majority
from kvstore.raft.types import Role
from kvstore.sim.checkers.checker import Checker, Watched


class PersistThenSpeak(Checker):
    """Holds what nodes say against what their disks hold for certain."""

    theorem = "persist, then speak"

    def __init__(self, members: tuple[int, ...]) -> None:
        super().__init__(members)
        self._hosts: dict[int, Watched] = {}
        self._committed = 0
        """Index up to which an entry was found on a majority of disks."""

    def started(self, host: Watched) -> None:
        self._hosts[host.id] = host

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is Role.LEADER and raft.commit_index > self._committed:
            self._check_majority(host, raft.commit_index, raft.log.term(raft.commit_index))
            self._committed = raft.commit_index

    def speaks(self, host: Watched, message: Message) -> None:
        disk = host.disk.log
        durable = disk.hard_state
        self.require(
            durable.current_term >= message.term,
            f"node {host.id} speaks in term {message.term}, its disk holds {durable}",
        )
        if isinstance(message, RequestVoteReply) and message.vote_granted:
            self._check_vote(host, message.term, message.recipient)
        elif isinstance(message, RequestVote):
            self._check_vote(host, message.term, host.id)
        elif isinstance(message, AppendEntriesReply) and message.success:
            self.require(
                len(disk.terms) >= message.match_index,
                f"node {host.id} vouches for entries up to {message.match_index}, its disk ends"
                f" at {len(disk.terms)}",
            )

    def _check_vote(self, host: Watched, term: int, candidate: int) -> None:
        durable = host.disk.log.hard_state
        self.require(
            (durable.current_term, durable.voted_for) == (term, candidate),
            f"node {host.id} votes for node {candidate} in term {term}, its disk holds {durable}",
        )
        self.require(durable.is_voter, f"node {host.id} votes before it is admitted: {durable}")

    def _check_majority(self, leader: Watched, index: int, term: int) -> None:
        logs = {host.id: host.disk.log for host in self._hosts.values()}
        holders = {
            node
            for node, log in logs.items()
            if log.hard_state.is_voter and log.terms[index - 1 : index] == [term]
        }
        self.require(
            has_majority(holders, frozenset(self.members)),
            f"leader {leader.id} takes entry {index} of term {term} for committed; it is on the"
            f" disks of {sorted(holders)} of {list(self.members)}",
        )
