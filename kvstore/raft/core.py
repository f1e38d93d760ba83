"""One node's Raft: the rules of Figure 2, as a state machine that performs no effect.

Law: inputs (`step`, `tick`, `propose`, `read`) only change this object; what must
reach the disk, the network or the operator is taken as values by `take_effects`.
Every message passes one comparison of terms (`step`) before anything else sees it.
A promise made here (a term, a vote, an entry held) may leave the node only after
`DurableUpdate` of the same turn is on disk and reported by `persisted`.

One turn of the driver: `wake`; inputs; `tick`; `take_effects`; send `early_messages`; write
`update`; `persisted`; send `messages`; apply `committed_entries`; `ready_reads`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence, Set

from kvstore.raft import events
from kvstore.raft.admission import reason_to_doubt, reason_to_ignore, seems_out_of_reach
from kvstore.raft.configuration import Configuration
from kvstore.raft.directories import admission_of
from kvstore.raft.effects import Effects
from kvstore.raft.leadership import Leadership
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    TERM_LEAP_MAX,
    AppendEntries,
    AppendEntriesReply,
    FetchEntries,
    FetchEntriesReply,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.reads import ReadReady
from kvstore.raft.repair import Repair
from kvstore.raft.safety import require
from kvstore.raft.timer import ElectionTimer
from kvstore.raft.types import (
    COMMAND,
    NOT_ADMITTED,
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    Membership,
    RaftSettings,
    Recovered,
    Role,
    StableLog,
)


class Raft:
    """The consensus state of one node.

    * `current_term` never goes back; `voted_for` changes at most once per term.
    * `commit_index` never goes back; committed entries are never truncated.
    * Whoever leads a term holds a majority of durable votes of that term.
    """

    def __init__(
        self,
        membership: Membership,
        recovered: Recovered,
        stable: StableLog,
        last_applied: int,
        settings: RaftSettings,
        rng: random.Random,
    ) -> None:
        self.id = membership.node_id
        self.current_term = recovered.hard_state.current_term
        self.voted_for = recovered.hard_state.voted_for
        first = Configuration(membership.members)
        self.log = RaftLog(stable, recovered, first, settings.cached_bytes_max)
        self.role = Role.FOLLOWER
        self.leader_id: int | None = None
        require(self.id in membership.members, "this node is not a member of its cluster")
        require(last_applied <= self.log.last_index, "more was applied than the log holds")
        require(self.log.last_term <= self.current_term, "the log is newer than the term")
        # What was applied was committed; a restarted node learns the rest from its leader.
        self.commit_index = last_applied
        self._membership = membership
        self._settings = settings
        self._durable_hard_state = recovered.hard_state
        self._votes: set[int] = set()
        """Who voted for this candidate, or would vote for this pre-candidate."""
        self.leadership: Leadership | None = None
        """While this node leads, and then only."""
        self._leader_of_term: int | None = None
        """Who led or leads `current_term`, as far as this node knows."""
        self._leader_heard_ms = -math.inf
        self._is_out_of_reach = False
        """A peer's term is beyond belief: should it be true, only steps of its own lead there."""
        self._ready_reads: list[ReadReady] = []
        """Own reads that the leader, another node, has confirmed."""
        self._now_ms = 0.0
        self._timer = ElectionTimer(settings, rng)
        self.admitted_at = recovered.hard_state.admitted_at
        name = "" if self.is_voter else f"{rng.getrandbits(128):032x}"
        self._outbox = Outbox(membership.cluster_id, self.id, self.admitted_at, name)
        self._events: list[events.Event] = []
        self._repair = Repair(self.id, self.log, self._outbox, settings, self._events)
        self._handlers: dict[type, Callable[..., None]] = {
            PreVote: self._on_pre_vote,
            PreVoteReply: self._on_vote_reply,
            RequestVote: self._on_request_vote,
            RequestVoteReply: self._on_vote_reply,
            AppendEntries: self._on_append_entries,
            AppendEntriesReply: self._on_append_entries_reply,
            TimeoutNow: self._on_timeout_now,
            ReadIndex: self._on_read_index,
            ReadIndexReply: self._on_read_index_reply,
            FetchEntries: self._repair.give,
            FetchEntriesReply: self._repair.take,
        }

    # --- Inputs ---------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take one message from a peer.

        The term comes first (Raft §5.1): a higher one is adopted, a lower one is
        answered with ours, and only messages of the current term are processed.
        """
        reason = reason_to_ignore(message, self._membership, self.log)
        if reason is None:
            reason = reason_to_doubt(message, self.current_term)
            before, is_voter = self._is_out_of_reach, self.is_voter
            self._is_out_of_reach = seems_out_of_reach(message, reason, before, is_voter)
        if reason is not None:
            self._events.append(events.MessageIgnored(self.current_term, reason))
            return
        if message.term > self.current_term:
            kind = events.Deposed if self.takes_commands else events.SteppingDown
            self._events.append(kind(message.term, self.current_term))
            self._become_follower(message.term)
        elif message.term < self.current_term:
            self._outbox.reject_stale(message, self.current_term, self.log)
            return
        self._handlers[type(message)](message)

    def wake(self, now_ms: float) -> None:
        """A turn begins at `now_ms`, a monotonic clock in milliseconds.

        A long gap since the last turn means that this process, or its disk, stood still.
        Then the silence says nothing about the leader, and the election timer starts anew;
        but a leader that has peers was most likely replaced, and must not go on as if
        nothing were: not even with the answers that wait in its sockets.
        """
        silent_ms, self._now_ms = now_ms - self._now_ms, now_ms
        if self.leadership is None:
            if silent_ms > self._settings.election_timeout_min_ms:
                self._timer.restart()
        elif silent_ms > self._settings.election_timeout_max_ms and self.leadership.has_peers:
            self._events.append(events.StoodStill(self.current_term, round(silent_ms)))
            self._become_follower(self.current_term)

    def tick(self, now_ms: float, unreachable: Set[int] = frozenset()) -> None:
        """Let time pass up to `now_ms`, after the inputs of the turn.

        `unreachable`: peers to which there is no link, as far as the driver knows.
        """
        self.wake(now_ms)
        if self.leadership is not None:
            self._tick_leader(self.leadership, unreachable)
        elif self._timer.has_run_out(now_ms):
            self._on_silence()

    def propose(self, command: bytes) -> int:
        """Append a command to the log of who `takes_commands`; its entry's index (Raft §5.3)."""
        assert self.takes_commands
        return self.log.add(self.current_term, COMMAND, command)

    def proposed_from(self, index: int) -> Sequence[Entry]:
        """What a leader proposed in its term, from `index` on, as far as it is in memory."""
        return () if self.leadership is None else self.log.last_term_from(index)

    def read(self, read_id: int) -> None:
        """Ask to answer a read; `ready_reads` allows it.

        A leader may be asked, or a node that knows one: it asks its leader, once, and if
        the question or its answer is lost, the read is never ready.
        """
        if self.leadership is not None:
            self.leadership.add_read(self.id, read_id, self.commit_index)
        else:
            assert self.leader_id is not None
            self._outbox.ask_read_index(self.leader_id, self.current_term, read_id)

    def hand_over(self, heir: int | None = None) -> int | None:
        """Lead no longer than until `heir`, or the closest follower, leads (thesis §3.10).

        The heir; None where it, or any, is known to be unable to take over. Only a leader
        may be asked. It takes no commands from now on, until it knows the new leader, or
        the heir had its time or is gone.
        """
        assert self.leadership is not None
        return self.leadership.hand_over(heir, self._now_ms)

    def admit(self, entry: Entry) -> None:
        """`entry`, which admits a directory, is committed and applied here.

        This node votes from now on if the directory is its own. Its vote in the term of the
        leader who said so is spent: what became of its earlier directory's, it does not know.
        """
        if not self.is_voter and admission_of(entry) == (self.id, self._outbox.rejoining):
            self.admitted_at = entry.index
            self.voted_for = self._leader_of_term
            self._events.append(events.Admitted(self.current_term, entry.index))

    @property
    def is_voter(self) -> bool:
        """Whether this node's directory counts towards majorities."""
        return self.admitted_at != NOT_ADMITTED

    @property
    def _counts(self) -> bool:
        """A voter does, until its own log admits another directory in its place."""
        return self.is_voter and not self.log.admissions.replaced_at(self.id, self.admitted_at)

    # --- Effects --------------------------------------------------------------------------

    def take_effects(self, crowded: Set[int] = frozenset()) -> Effects:
        """Everything since the last call, once; `crowded` peers take no entries for now."""
        hard_state = HardState(self.current_term, self.voted_for, self.admitted_at)
        hard_state_is_durable = hard_state == self._durable_hard_state
        assert hard_state_is_durable or self.role is not Role.LEADER
        self._repair.write_messages(self._now_ms, self.current_term)
        early = self.leadership.messages(self.commit_index, crowded) if self.leadership else []
        effects = Effects(
            update=self.log.unpersisted(None if hard_state_is_durable else hard_state),
            early_messages=early,
            messages=self._outbox.take(self.current_term),
            events=[*self._events],
        )
        self._events.clear()
        return effects

    def persisted(self, update: DurableUpdate) -> None:
        """`update` is durable: only now do this node's own vote and entries count."""
        self.log.mark_durable(update)
        self._repair.persisted(update, self.current_term)
        if update.hard_state is not None:
            self._durable_hard_state = update.hard_state
            self._outbox.admitted_at = update.hard_state.admitted_at
        own_vote = HardState(self.current_term, self.id, self.admitted_at)
        if self.role is Role.CANDIDATE and self._durable_hard_state == own_vote:
            self._count_vote(self.id)
        elif self.leadership is not None:
            self._advance_commit_index(self.leadership)

    def committed_entries(self, last_applied: int, count: int, bytes_max: int) -> list[Entry]:
        """The next entries to apply, at most `count`: committed, durable here."""
        self.log.shrink_cache(last_applied + 1)
        last = min(self.commit_index, last_applied + count)
        return self.log.readable(last_applied + 1, last, bytes_max)

    def ready_reads(self) -> list[ReadReady]:
        """Own reads that a majority has confirmed, each once; those of followers are answered."""
        ready, self._ready_reads = self._ready_reads, []
        if self.leadership is not None and self.leadership.reads and self.has_committed_in_term:
            ready += self.leadership.release_reads()
        return ready

    @property
    def has_effects(self) -> bool:
        """Whether something waits for `take_effects` (a new leader's no-op, for instance)."""
        has_more = self._repair.has_more or bool(self.leadership and self.leadership.has_more)
        is_durable = self.log.last_index == self.log.durable_index
        return has_more or not is_durable or bool(self._outbox or self._events)

    @property
    def has_committed_in_term(self) -> bool:
        """Whether this is a leader that knows its commit index (Raft §8)."""
        return self.role is Role.LEADER and self.log.term(self.commit_index) == self.current_term

    @property
    def match_index(self) -> dict[int, int]:
        """Per member, the last index known to be on its disk; empty unless leading."""
        if self.leadership is None:
            return {}
        return {self.id: self.log.durable_index, **self.leadership.match_index}

    @property
    def takes_commands(self) -> bool:
        """Whether this node leads, and is not handing over."""
        return self.leadership is not None and self.leadership.heir is None

    def roomier_follower(self, since_ms: float) -> int | None:
        """Who could lead in place of a leader short of room, by its word since then, if any."""
        return None if self.leadership is None else self.leadership.roomier(since_ms)

    @property
    def heir(self) -> int | None:
        """To whom this leader is handing over."""
        return None if self.leadership is None else self.leadership.heir

    # --- Terms and roles ------------------------------------------------------------------

    def _become_follower(self, term: int) -> None:
        """Follow in `term`. The vote is cleared by a new term, and by nothing else."""
        if term > self.current_term:
            self.current_term = term
            self.voted_for = None
            self._leader_of_term = None
        self.role = Role.FOLLOWER
        self.leadership = None
        self._forget_leader()
        # The election timer runs on: only a leader's word or a granted vote restarts it, or
        # a candidate that must lose could keep the others waiting. A leader had none.
        self._events.append(events.BecameFollower(self.current_term))

    @property
    def _may_stand(self) -> bool:
        """Who counts may, unless it could not give what it cannot read, or open its term."""
        return self._counts and not self.log.damaged and self.log.room.takes_noops

    def _forget_leader(self) -> None:
        """Nobody is known to lead; what the last one said of reads holds no more."""
        self.leader_id = None
        self._ready_reads = []

    def _on_silence(self) -> None:
        """The election timeout ran out."""
        if self._is_out_of_reach and not self.is_voter:
            self._is_out_of_reach = False
            self._become_follower(self.current_term + TERM_LEAP_MAX)
            self._timer.start(self._now_ms)
        elif not self._may_stand:
            self._forget_leader()
            self._timer.start(self._now_ms)
        elif self._is_out_of_reach:
            self._is_out_of_reach = False
            self._become_candidate()
        else:
            self._become_pre_candidate()

    def _become_pre_candidate(self) -> None:
        """Ask who would vote for this node, before it moves any term (thesis §9.6)."""
        if self.role is not Role.PRE_CANDIDATE:
            self._events.append(events.BecamePreCandidate(self.current_term))
        self.role = Role.PRE_CANDIDATE
        self._forget_leader()
        self._ask_for_votes(PreVote)
        self._count_vote(self.id)

    def _become_candidate(self) -> None:
        """Start an election (Raft §5.2). The own vote counts once it is durable."""
        self.current_term += 1
        self.voted_for = self.id
        self.role = Role.CANDIDATE
        self._leader_of_term = None
        self._forget_leader()
        self._events.append(events.BecameCandidate(self.current_term))
        self._ask_for_votes(RequestVote)

    def _ask_for_votes(self, kind: type[PreVote | RequestVote]) -> None:
        self._votes = set()
        self._timer.start(self._now_ms)
        for peer in self.log.configuration.peers_of(self.id):
            self._outbox.request_vote(kind, peer, self.current_term, self.log)

    def _become_leader(self) -> None:
        """Lead, and open the term with a no-op that names its leader (Raft §5.2, §8)."""
        self.role = Role.LEADER
        self.leader_id = self._leader_of_term = self.id
        self._events.append(events.BecameLeader(self.current_term, tuple(sorted(self._votes))))
        self.leadership = Leadership(
            self.id,
            self.log,
            self._outbox,
            self._settings,
            self._now_ms,
            self._events,
        )
        self._timer.restart()
        opening = str(self.id).encode()
        self.log.add(self.current_term, EntryKind.NOOP, opening)

    def _tick_leader(self, leadership: Leadership, unreachable: Set[int]) -> None:
        leadership.tick(self._now_ms, unreachable)
        silent_ms = leadership.silent_ms(self._now_ms)
        if silent_ms >= self._settings.election_timeout_max_ms:
            self._events.append(events.LostMajority(self.current_term, round(silent_ms)))
            self._become_follower(self.current_term)

    # --- Elections ------------------------------------------------------------------------

    def _on_pre_vote(self, message: PreVote) -> None:
        """Thesis §9.6: would this node vote for the sender in the next term?

        Not while it leads or hears a leader: a node that was cut off must not unseat one
        that does its work. The answer changes nothing here.
        """
        silent_ms = self._now_ms - self._leader_heard_ms
        lost_leader = (
            self.leader_id is None or silent_ms >= self._settings.election_timeout_min_ms
        ) and self.leadership is None
        granted = self._counts and lost_leader and not self.log.is_ahead_of(message)
        self._outbox.reply_to_vote(message, self.current_term, granted=granted)

    def _on_timeout_now(self, message: TimeoutNow) -> None:
        """Thesis §3.10: the leader hands over; there is nobody to be asked first."""
        if self.leadership is None and self._may_stand:
            self._events.append(events.ToldToStand(self.current_term, message.sender))
            self._become_candidate()

    def _on_request_vote(self, message: RequestVote) -> None:
        """Raft Figure 2, RequestVote receiver."""
        if not self._counts:
            self._refuse_vote(message, "this node's directory is not, or no longer, admitted")
        elif self.voted_for not in (None, message.sender):
            self._refuse_vote(message, f"this term's vote went to node {self.voted_for}")
        elif self.log.is_ahead_of(message):
            self._refuse_vote(message, "its log is behind this one")
        else:
            self._grant_vote(message)

    def _refuse_vote(self, message: RequestVote, reason: str) -> None:
        self._events.append(events.VoteRefused(self.current_term, message.sender, reason))
        self._outbox.reply_to_vote(message, self.current_term, granted=False)

    def _grant_vote(self, message: RequestVote) -> None:
        if self.voted_for is None:
            self.voted_for = message.sender
            self._events.append(events.VoteGranted(self.current_term, message.sender))
        self._timer.restart()
        self._outbox.reply_to_vote(message, self.current_term, granted=True)

    def _on_vote_reply(self, message: PreVoteReply | RequestVoteReply) -> None:
        asked_as = Role.PRE_CANDIDATE if isinstance(message, PreVoteReply) else Role.CANDIDATE
        if self.role is asked_as and message.vote_granted:
            self._count_vote(message.sender)

    def _count_vote(self, voter: int) -> None:
        self._votes.add(voter)
        if not self.log.configuration.has_majority(self._votes):
            return
        if self.role is Role.PRE_CANDIDATE:
            self._become_candidate()
        else:
            self._become_leader()

    # --- AppendEntries --------------------------------------------------------------------

    def _on_append_entries(self, message: AppendEntries) -> None:
        """Raft Figure 2, AppendEntries receiver."""
        self._follow(message.sender)
        if not self.log.holds(message.prev_log_index, message.prev_log_term):
            self._outbox.reject_append(message, self.current_term, self.log)
            return
        entries = self.log.part_that_fits(message.entries)
        if removed := self.log.take(entries, self.commit_index):
            self._events.append(events.LogTruncated(self.current_term, *removed))
        # Beyond what this request vouches for, our log may still differ from the leader's.
        last_taken = message.prev_log_index + len(entries)
        self.commit_index = max(self.commit_index, min(message.leader_commit, last_taken))
        self._outbox.accept_append(message, self.current_term, self.log, last_taken=last_taken)

    def _follow(self, leader: int) -> None:
        require(self._leader_of_term in (None, leader), "two leaders in one term")
        if self.role is not Role.FOLLOWER:
            self._become_follower(self.current_term)
        if self.leader_id is None:
            self.leader_id = self._leader_of_term = leader
            self.log.room.forget()
            self._events.append(events.FollowingLeader(self.current_term, leader))
        self._leader_heard_ms = self._now_ms
        self._timer.restart()

    def _on_append_entries_reply(self, message: AppendEntriesReply) -> None:
        if self.leadership is not None:
            self.leadership.heard(message, self._now_ms)
            self._advance_commit_index(self.leadership)
            if self.has_committed_in_term:
                self.leadership.admit(message.sender, self.commit_index)

    def _advance_commit_index(self, leadership: Leadership) -> None:
        """Commit what a majority holds, counting only entries of this term (Raft §5.4.2)."""
        index = self.log.configuration.reached_by_majority(leadership.vouched)
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index

    # --- Reads ----------------------------------------------------------------------------

    def _on_read_index(self, message: ReadIndex) -> None:
        if self.leadership is not None:
            self.leadership.add_read(message.sender, message.read_id, self.commit_index)

    def _on_read_index_reply(self, message: ReadIndexReply) -> None:
        if message.sender == self.leader_id:
            self._ready_reads.append(ReadReady(self.id, message.read_id, message.index))
