"""Following: whom a node takes for its leader, and what it takes of that one.

Law: what a leader says counts for the term in which it leads, and entries count only where
the one before them is held. What a candidate, or a leader that steps down, becomes is
a follower, here and nowhere else.
"""

from __future__ import annotations

import math

from kvstore.raft import events
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import AppendEntries, ReadIndexReply
from kvstore.raft.outbox import Outbox
from kvstore.raft.reads import ReadReady
from kvstore.raft.safety import require
from kvstore.raft.standing import Standing
from kvstore.raft.timer import ElectionTimer
from kvstore.raft.types import RaftSettings, Role


class Follower:
    """One node as others lead it.

    * `leader_id`: who leads `current_term` and was heard since this node last gave it up.
      A leader follows itself.
    """

    def __init__(
        self,
        standing: Standing,
        log: RaftLog,
        outbox: Outbox,
        timer: ElectionTimer,
        settings: RaftSettings,
        events_out: list[events.Event],
    ) -> None:
        """`events_out` is where it says what happened."""
        self.leader_id: int | None = None
        self._standing = standing
        self._log = log
        self._outbox = outbox
        self._timer = timer
        self._settings = settings
        self._events = events_out
        self._heard_ms = -math.inf
        self._ready_reads: list[ReadReady] = []
        """Own reads that the leader, another node, has confirmed."""

    # --- Whom -----------------------------------------------------------------------------

    def become(self, term: int) -> None:
        """Follow in `term`. The vote is cleared by a new term, and by nothing else."""
        standing = self._standing
        if term > standing.current_term:
            standing.enter(term)
        standing.role = Role.FOLLOWER
        self.forget_leader()
        # The election timer runs on: only a leader's word or a granted vote restarts it, or
        # a candidate that must lose could keep the others waiting. A leader had none.
        self._events.append(events.BecameFollower(standing.current_term))

    def forget_leader(self) -> None:
        """Nobody is known to lead; what the last one said of reads holds no more."""
        self.leader_id = None
        self._ready_reads = []

    @property
    def hears_leader(self) -> bool:
        """Whether one is known, and was heard within the shortest election timeout."""
        silent_ms = self._standing.now_ms - self._heard_ms
        return self.leader_id is not None and silent_ms < self._settings.election_timeout_min_ms

    def hear(self, leader: int) -> None:
        """Whoever leads the current term speaks."""
        standing = self._standing
        require(standing.leader_of_term in (None, leader), "two leaders in one term")
        if standing.role is not Role.FOLLOWER:
            self.become(standing.current_term)
        if self.leader_id is None:
            self.leader_id = standing.leader_of_term = leader
            self._log.room.forget()
            self._events.append(events.FollowingLeader(standing.current_term, leader))
        self._heard_ms = standing.now_ms
        self._timer.restart()

    # --- What -----------------------------------------------------------------------------

    def on_append_entries(self, message: AppendEntries) -> None:
        """Raft Figure 2, AppendEntries receiver."""
        self.hear(message.sender)
        log, term = self._log, self._standing.current_term
        if not log.holds(message.prev_log_index, message.prev_log_term):
            self._outbox.reject_append(message, term, log)
            return
        entries = log.part_that_fits(message.entries)
        if removed := log.take(entries):
            self._events.append(events.LogTruncated(term, *removed))
        # Beyond what this request vouches for, our log may still differ from the leader's.
        # What comes before it, it holds all the same.
        last_taken = max(message.prev_log_index + len(entries), log.start.index)
        log.commit(min(message.leader_commit, last_taken))
        self._outbox.accept_append(message, term, log, last_taken=last_taken)

    # --- Reads ----------------------------------------------------------------------------

    def ask_read_index(self, read_id: int) -> None:
        """Ask the leader, who is known, as of which index a read may be answered here."""
        assert self.leader_id is not None
        self._outbox.ask_read_index(self.leader_id, self._standing.current_term, read_id)

    def on_read_index_reply(self, message: ReadIndexReply) -> None:
        """The leader has confirmed a read."""
        if message.sender == self.leader_id:
            read = ReadReady(self._standing.id, message.read_id, message.index)
            self._ready_reads.append(read)

    def take_ready_reads(self) -> list[ReadReady]:
        """Reads that it has confirmed, each once."""
        ready, self._ready_reads = self._ready_reads, []
        return ready
