"""No message promises more than its sender's disk holds.

Law: when a vote leaves, it is on the sender's disk; when an acceptance leaves, so
are the entries that it vouches for; when anything leaves, so is its term. A directory
that was not admitted yet says so when it accepts.
"""

from __future__ import annotations

from kvstore.raft.messages import (
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from kvstore.sim.checkers.checker import Checker, Watched


class PersistThenSpeak(Checker):
    """Holds what nodes say against what their disks hold for certain."""

    theorem = "persist, then speak"

    def speaks(self, host: Watched, message: Message) -> None:
        disk = host.disk.log
        durable = disk.hard_state
        if durable.current_term < message.term:
            self.fail(f"node {host.id} speaks in term {message.term}, its disk holds {durable}")
        if isinstance(message, RequestVoteReply) and message.vote_granted:
            self._check_vote(host, message.term, message.recipient)
        elif isinstance(message, RequestVote):
            self._check_vote(host, message.term, host.id)
        elif isinstance(message, AppendEntriesReply) and message.success:
            if disk.terms.last < message.match_index:
                self.fail(
                    f"node {host.id} vouches for entries up to {message.match_index}, its disk ends"
                    f" at {disk.terms.last}"
                )
            self._check_entry(host, message.match_index)
            if not (durable.is_voter or message.rejoining):
                self.fail(
                    f"node {host.id} vouches as one that votes before it is admitted: {durable}"
                )

    def _check_entry(self, host: Watched, index: int) -> None:
        log, terms = host.running.raft.log, host.disk.log.terms
        if index > terms.start and log.holds(index, terms[index]) is False:
            self.fail(
                f"node {host.id} vouches for entry {index} of term {log.term(index)}, its disk"
                f" holds one of term {terms[index]}"
            )

    def _check_vote(self, host: Watched, term: int, candidate: int) -> None:
        durable = host.disk.log.hard_state
        if (durable.current_term, durable.voted_for) != (term, candidate):
            self.fail(
                f"node {host.id} votes for node {candidate} in term {term}, its disk holds"
                f" {durable}"
            )
