"""Elections: when a node asks for votes, whom it gives its own, and whether it has won.

Law: one vote a term, given only to a log that is at least as complete (Raft §5.4.1), and
counted here only once it is durable. Before it moves any term, a node asks whether it
could win (thesis §9.6), unless its leader told it to stand.
"""

from __future__ import annotations

from kvstore.raft import events
from kvstore.raft.follower import Follower
from kvstore.raft.hearing import reason_to_doubt, seems_out_of_reach
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    TERM_LEAP_MAX,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.standing import Standing
from kvstore.raft.timer import ElectionTimer
from kvstore.raft.types import HardState, Role


class Election:
    """One node's part in them, as who votes and as who stands.

    * `votes`: who voted for this candidate, or would vote for this pre-candidate.
    """

    def __init__(
        self,
        standing: Standing,
        follower: Follower,
        log: RaftLog,
        outbox: Outbox,
        timer: ElectionTimer,
        events_out: list[events.Event],
    ) -> None:
        """`events_out` is where it says what happened."""
        self.votes: set[int] = set()
        self._stood_ms = 0.0
        """When it began to ask for them."""
        self._standing = standing
        self._follower = follower
        self._log = log
        self._outbox = outbox
        self._timer = timer
        self._events = events_out
        self._is_out_of_reach = False
        """A peer's term is beyond belief: should it be true, only steps of its own lead there."""

    # --- Who may --------------------------------------------------------------------------

    @property
    def _may_vote(self) -> bool:
        """Until it is committed that its directory votes no more; whether it counts, they know."""
        standing, log = self._standing, self._log
        ended_at = log.configurations.ended_at(standing.id, standing.admitted_at, log.commit_index)
        return ended_at is None

    @property
    def _may_stand(self) -> bool:
        """Who may vote, and could give what it holds, unless another directory votes for its node.

        Who does not vote by its own log as well: nobody else may be able to win.
        """
        log, standing = self._log, self._standing
        if log.damaged or log.lacks_base or not (log.room.takes_noops and self._may_vote):
            return False
        configuration = log.configuration
        member = configuration.member(standing.id)
        return bool(configuration.members) and (
            member is None or not member.is_voter or member.votes_as(standing.directory)
        )

    def reason_to_doubt(self, message: Message) -> str | None:
        """Why its term cannot be true, if so; that a peer says such a thing is remembered."""
        reason = reason_to_doubt(message, self._standing.current_term)
        before, is_voter = self._is_out_of_reach, self._standing.is_voter
        self._is_out_of_reach = seems_out_of_reach(message, reason, before, is_voter)
        return reason

    # --- Standing -------------------------------------------------------------------------

    def tick(self) -> None:
        """Time has passed, and this node does not lead."""
        if not self._timer.has_run_out(self._standing.now_ms):
            return
        if self._log.is_writing:
            # What it said would wait for the disk, and a vote that is on its way is not in vain.
            self._timer.start(self._standing.now_ms)
        else:
            self._on_silence()

    def _on_silence(self) -> None:
        """The election timeout ran out."""
        standing = self._standing
        if self._is_out_of_reach and not standing.is_voter:
            self._is_out_of_reach = False
            self._follower.become(standing.current_term + TERM_LEAP_MAX)
            self._timer.start(standing.now_ms)
        elif not self._may_stand:
            self._follower.forget_leader()
            self._timer.start(standing.now_ms)
        elif self._is_out_of_reach:
            self._is_out_of_reach = False
            self._become_candidate()
        else:
            self._become_pre_candidate()

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """Thesis §3.10: the leader hands over; there is nobody to be asked first."""
        if self._standing.role is not Role.LEADER and self._may_stand:
            term = self._standing.current_term
            self._events.append(events.ToldToStand(term, message.sender))
            self._become_candidate()

    def _become_pre_candidate(self) -> None:
        """Ask who would vote for this node, before it moves any term (thesis §9.6)."""
        standing = self._standing
        if standing.role is not Role.PRE_CANDIDATE:
            self._events.append(events.BecamePreCandidate(standing.current_term))
        standing.role = Role.PRE_CANDIDATE
        self._follower.forget_leader()
        self._ask_for_votes(PreVote)
        self._count_vote(standing.id)

    def _become_candidate(self) -> None:
        """Start an election (Raft §5.2). The own vote counts once it is durable."""
        standing = self._standing
        standing.enter(standing.current_term + 1, vote=standing.id)
        standing.role = Role.CANDIDATE
        self._follower.forget_leader()
        self._events.append(events.BecameCandidate(standing.current_term))
        self._ask_for_votes(RequestVote)

    def _ask_for_votes(self, kind: type[PreVote | RequestVote]) -> None:
        standing = self._standing
        self.votes = set()
        self._stood_ms = standing.now_ms
        self._timer.start(standing.now_ms)
        for peer in self._log.configuration.voters_besides(standing.id):
            self._outbox.request_vote(kind, peer, standing.current_term, self._log)

    # --- Winning --------------------------------------------------------------------------

    def on_vote_reply(self, message: PreVoteReply | RequestVoteReply) -> bool:
        """A vote, or the prospect of one; whether this node has won the election by it."""
        asked_as = Role.PRE_CANDIDATE if isinstance(message, PreVoteReply) else Role.CANDIDATE
        if self._standing.role is not asked_as or not message.vote_granted:
            return False
        member = self._log.configuration.member(message.sender)
        if member is None or not member.votes_as(message.directory):
            return False
        return self._count_vote(message.sender)

    def persisted(self, hard_state: HardState) -> bool:
        """The disk holds `hard_state`; whether this node has won the election by its own vote."""
        standing = self._standing
        own_vote = HardState(standing.current_term, standing.id, standing.admitted_at)
        if standing.role is not Role.CANDIDATE or hard_state != own_vote:
            return False
        if standing.now_ms > self._stood_ms and standing.id not in self.votes:
            # The others are asked only now.
            self._timer.start(standing.now_ms)
        return self._count_vote(standing.id)

    def _count_vote(self, voter: int) -> bool:
        self.votes.add(voter)
        if self._log.lacks_base or not self._log.configuration.has_majority(self.votes):
            return False
        if self._standing.role is Role.CANDIDATE:
            return True
        self._become_candidate()
        return False

    # --- Voting ---------------------------------------------------------------------------

    def on_pre_vote(self, message: PreVote) -> None:
        """Thesis §9.6: would this node vote for the sender in the next term?

        Not while it leads or hears a leader: a node that was cut off must not unseat one
        that does its work. The answer changes nothing here.
        """
        is_led = self._standing.role is Role.LEADER or self._follower.hears_leader
        granted = self._may_vote and not is_led and not self._log.is_ahead_of(message)
        self._outbox.reply_to_vote(message, self._standing.current_term, granted=granted)

    def on_request_vote(self, message: RequestVote) -> None:
        """Raft Figure 2, RequestVote receiver."""
        voted_for = self._standing.voted_for
        if not self._may_vote:
            self._refuse_vote(message, "this node's directory votes no more")
        elif voted_for not in (None, message.sender):
            self._refuse_vote(message, f"this term's vote went to node {voted_for}")
        elif self._log.is_ahead_of(message):
            self._refuse_vote(message, "its log is behind this one")
        else:
            self._grant_vote(message)

    def _refuse_vote(self, message: RequestVote, reason: str) -> None:
        term = self._standing.current_term
        self._events.append(events.VoteRefused(term, message.sender, reason))
        self._outbox.reply_to_vote(message, term, granted=False)

    def _grant_vote(self, message: RequestVote) -> None:
        standing = self._standing
        if standing.voted_for is None:
            standing.voted_for = message.sender
            self._events.append(events.VoteGranted(standing.current_term, message.sender))
        self._timer.restart()
        self._outbox.reply_to_vote(message, standing.current_term, granted=True)
