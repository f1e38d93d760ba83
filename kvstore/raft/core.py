"""One node's Raft: the rules of Figure 2, as a state machine that performs no effect.

Law: inputs (`step`, `tick`, `propose`, `read`) only change this object; what must
reach the disk, the network or the operator is taken as values by `take_effects`.
Every message passes one comparison of terms (`step`) before anything else sees it.
A promise made here (a term, a vote, an entry held) may leave the node only after
`DurableUpdate` of the same turn is on disk and reported by `persisted`.

One turn of the driver: inputs; `take_effects`; send `early_messages`; write
`update`; `persisted`; send `messages`; apply `committed_entries`; `ready_reads`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec

from kvstore.raft import events
from kvstore.raft.invariants import require
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    TERM_LEAP_MAX,
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.progress import Progress
from kvstore.raft.quorum import has_majority, reached_by_majority
from kvstore.raft.reads import PendingReads, ReadReady
from kvstore.raft.types import (
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    RaftSettings,
    Recovered,
    Role,
    StableLog,
)


class Membership(msgspec.Struct, frozen=True):
    """Who this node is, and who counts."""

    cluster_id: str
    node_id: int
    members: frozenset[int]

    @property
    def peers(self) -> tuple[int, ...]:
        """The other nodes."""
        return tuple(sorted(self.members - {self.node_id}))


class Effects(msgspec.Struct, frozen=True):
    """Everything that one turn produced.

    * `early_messages`: a leader's AppendEntries; they promise nothing about this
      node's disk, so they may leave before `update` is durable (thesis §10.2.1).
    * `update`: to make durable, whole, before `messages` leave.
    """

    update: DurableUpdate
    early_messages: list[Message]
    messages: list[Message]
    events: list[events.Event]


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
        self.log = RaftLog(stable, recovered, settings.cached_bytes_max)
        self.role = Role.FOLLOWER
        self.leader_id: int | None = None
        require(self.id in membership.members, "this node is not a member of its cluster")
        require(last_applied <= self.log.last_index, "more was applied than the log holds")
        require(self.log.last_term <= self.current_term, "the log is newer than the term")
        # What was applied was committed; a restarted node learns the rest from its leader.
        self.commit_index = last_applied

        self._membership = membership
        self._settings = settings
        self._rng = rng
        self._durable_hard_state = recovered.hard_state
        self._votes: set[int] = set()
        self._progress: dict[int, Progress] = {}
        self._reads = PendingReads(membership.peers)
        self._now_ms = 0.0
        self._election_deadline_ms: float | None = None
        """None: to be drawn at the next tick, which knows the time."""
        self._heartbeat_deadline_ms: float | None = None
        self._heartbeat_is_due = False
        self._outbox = Outbox(membership.cluster_id, self.id)
        self._events: list[events.Event] = []
        self._handlers: dict[type, Callable[..., None]] = {
            RequestVote: self._on_request_vote,
            RequestVoteReply: self._on_request_vote_reply,
            AppendEntries: self._on_append_entries,
            AppendEntriesReply: self._on_append_entries_reply,
        }

    # --- Inputs ---------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take one message from a peer.

        The term comes first (Raft §5.1): a higher one is adopted, a lower one is
        answered with ours, and only messages of the current term are processed.
        """
        if reason := self._reason_to_ignore(message):
            self._events.append(events.MessageIgnored(self.current_term, reason))
            return
        if message.term > self.current_term:
            self._events.append(events.SteppingDown(message.term, self.current_term))
            self._become_follower(message.term)
        elif message.term < self.current_term:
            self._reject_stale(message)
            return
        self._handlers[type(message)](message)

    def tick(self, now_ms: float) -> None:
        """Let time pass up to `now_ms`, a monotonic clock in milliseconds.

        A jump longer than an election timeout means that this process itself stood
        still: the silence says nothing about the leader, so the timer starts anew.
        """
        slept = now_ms - self._now_ms > self._settings.election_timeout_min_ms
        self._now_ms = now_ms
        if self.role is Role.LEADER:
            self._tick_leader()
        elif self._election_deadline_ms is None or slept:
            self._election_deadline_ms = now_ms + self._draw_election_timeout()
        elif now_ms >= self._election_deadline_ms:
            self._become_candidate()

    def propose(self, commands: Sequence[bytes]) -> int:
        """Append commands to the leader's log; the index of the first (Raft §5.3).

        The entries carry `current_term`. Only a leader may be asked.
        """
        assert self.role is Role.LEADER
        first = self.log.last_index + 1
        term = self.current_term
        self.log.append(
            [Entry(first + i, term, EntryKind.COMMAND, data) for i, data in enumerate(commands)]
        )
        return first

    def read(self, read_id: int) -> None:
        """Ask to answer a read; `ready_reads` allows it. Only a leader may be asked.

        Ids grow from read to read.
        """
        assert self.role is Role.LEADER
        self._reads.add(read_id, max(self.commit_index, self.log.last_term_start))

    def forget_reads(self, before: int) -> None:
        """Nobody waits any more for the reads with an id below `before`."""
        self._reads.forget(before)

    # --- Effects --------------------------------------------------------------------------

    def take_effects(self) -> Effects:
        """Everything produced since the last call, each thing once."""
        hard_state = HardState(self.current_term, self.voted_for)
        hard_state_is_durable = hard_state == self._durable_hard_state
        assert hard_state_is_durable or self.role is not Role.LEADER
        truncate_from, entries = self.log.unpersisted()
        effects = Effects(
            update=DurableUpdate(
                hard_state=None if hard_state_is_durable else hard_state,
                truncate_from=truncate_from,
                entries=entries,
            ),
            early_messages=self._appends_to_followers(),
            messages=self._outbox.take(self.current_term),
            events=self._events,
        )
        self._events = []
        return effects

    def persisted(self, update: DurableUpdate) -> None:
        """`update` is durable: only now do this node's own vote and entries count."""
        self.log.mark_durable(update)
        if update.hard_state is not None:
            self._durable_hard_state = update.hard_state
        own_vote = HardState(self.current_term, self.id)
        if self.role is Role.CANDIDATE and self._durable_hard_state == own_vote:
            self._count_vote(self.id)
        elif self.role is Role.LEADER:
            self._advance_commit_index()

    def committed_entries(self, last_applied: int, bytes_max: int) -> list[Entry]:
        """The next entries to apply: committed, durable here, after `last_applied`."""
        self.log.shrink_cache(last_applied + 1)
        stop = min(self.commit_index, self.log.durable_index) + 1
        if last_applied + 1 >= stop:
            return []
        return self.log.slice(last_applied + 1, stop, bytes_max)

    def ready_reads(self) -> list[ReadReady]:
        """Reads that a majority has confirmed, each once; empty for a node that may not answer."""
        if not self._reads or not self.has_committed_in_term:
            return []
        return self._reads.release()

    @property
    def has_effects(self) -> bool:
        """Whether something waits for `take_effects` (a new leader's no-op, for instance)."""
        return self.log.last_index > self.log.durable_index or bool(self._outbox or self._events)

    @property
    def has_committed_in_term(self) -> bool:
        """Whether this is a leader that knows its commit index (Raft §8)."""
        return self.role is Role.LEADER and self.log.term(self.commit_index) == self.current_term

    @property
    def match_index(self) -> dict[int, int]:
        """Per member, the last index known to be on its disk; empty unless leading."""
        if self.role is not Role.LEADER:
            return {}
        known = {peer: progress.match_index for peer, progress in self._progress.items()}
        return {self.id: self.log.durable_index, **known}

    # --- Terms and roles ------------------------------------------------------------------

    def _reason_to_ignore(self, message: Message) -> str | None:
        ours = self._membership
        if message.cluster_id != ours.cluster_id:
            return f"it belongs to cluster {message.cluster_id!r}, this is {ours.cluster_id!r}"
        if message.recipient != self.id:
            return f"it is for node {message.recipient}"
        if message.term > self.current_term + TERM_LEAP_MAX:
            return f"term {message.term} is too far above {self.current_term} to be true"
        if message.sender == self.id or message.sender not in ours.members:
            return f"its sender, node {message.sender}, is not a peer of this node"
        return None

    def _reject_stale(self, message: Message) -> None:
        """Answer a request of a lower term with ours, which fences its sender (Raft §5.1)."""
        if isinstance(message, RequestVote):
            self._outbox.reply_to_vote(message, self.current_term, granted=False)
        elif isinstance(message, AppendEntries):
            self._outbox.reject_append(message, self.current_term, self.log)

    def _become_follower(self, term: int) -> None:
        """Follow in `term`. The vote is cleared by a new term, and by nothing else."""
        if term > self.current_term:
            self.current_term = term
            self.voted_for = None
        self.role = Role.FOLLOWER
        self.leader_id = None
        self._reads = PendingReads(self._membership.peers)
        # The election timer runs on: only a leader's word or a granted vote restarts it, or
        # a candidate that must lose could keep the others waiting. A leader had none.
        self._events.append(events.BecameFollower(self.current_term))

    def _become_candidate(self) -> None:
        """Start an election (Raft §5.2). The own vote counts once it is durable."""
        self.current_term += 1
        self.voted_for = self.id
        self.role = Role.CANDIDATE
        self.leader_id = None
        self._votes = set()
        self._election_deadline_ms = self._now_ms + self._draw_election_timeout()
        self._events.append(events.BecameCandidate(self.current_term))
        for peer in self._membership.peers:
            self._outbox.request_vote(peer, self.current_term, self.log)

    def _become_leader(self) -> None:
        """Lead, and open the term with a no-op that names its leader (Raft §5.2, §8)."""
        self.role = Role.LEADER
        self.leader_id = self.id
        self._events.append(events.BecameLeader(self.current_term, tuple(sorted(self._votes))))
        self._progress = {
            peer: Progress(self.log.last_index + 1, self._settings.inflight_messages_max)
            for peer in self._membership.peers
        }
        self._election_deadline_ms = None
        self._heartbeat_deadline_ms = self._now_ms + self._settings.heartbeat_interval_ms
        noop = str(self.id).encode()
        self.log.append([Entry(self.log.last_index + 1, self.current_term, EntryKind.NOOP, noop)])

    def _tick_leader(self) -> None:
        assert self._heartbeat_deadline_ms is not None
        if self._now_ms >= self._heartbeat_deadline_ms:
            self._heartbeat_is_due = True
            self._heartbeat_deadline_ms = self._now_ms + self._settings.heartbeat_interval_ms

    def _draw_election_timeout(self) -> float:
        settings = self._settings
        return self._rng.uniform(settings.election_timeout_min_ms, settings.election_timeout_max_ms)

    # --- RequestVote ----------------------------------------------------------------------

    def _on_request_vote(self, message: RequestVote) -> None:
        """Raft Figure 2, RequestVote receiver."""
        candidate = message.sender
        if self.voted_for not in (None, candidate):
            refusal = f"this term's vote went to node {self.voted_for}"
        elif not self._is_up_to_date(message):
            refusal = "its log is behind this one"
        else:
            self._grant_vote(message)
            return
        self._events.append(events.VoteRefused(self.current_term, candidate, refusal))
        self._outbox.reply_to_vote(message, self.current_term, granted=False)

    def _is_up_to_date(self, message: RequestVote) -> bool:
        """Whether the candidate's log is at least as complete as this one (Raft §5.4.1)."""
        theirs = (message.last_log_term, message.last_log_index)
        return theirs >= (self.log.last_term, self.log.last_index)

    def _grant_vote(self, message: RequestVote) -> None:
        if self.voted_for is None:
            self.voted_for = message.sender
            self._events.append(events.VoteGranted(self.current_term, message.sender))
        self._election_deadline_ms = None
        self._outbox.reply_to_vote(message, self.current_term, granted=True)

    def _on_request_vote_reply(self, message: RequestVoteReply) -> None:
        if self.role is Role.CANDIDATE and message.vote_granted:
            self._count_vote(message.sender)

    def _count_vote(self, voter: int) -> None:
        self._votes.add(voter)
        if has_majority(self._votes, self._membership.members):
            self._become_leader()

    # --- AppendEntries --------------------------------------------------------------------

    def _on_append_entries(self, message: AppendEntries) -> None:
        """Raft Figure 2, AppendEntries receiver."""
        self._follow(message.sender)
        if not self.log.holds(message.prev_log_index, message.prev_log_term):
            self._outbox.reject_append(message, self.current_term, self.log)
            return
        self._take_entries(message.entries)
        # Beyond what this request vouches for, our log may still differ from the leader's.
        committed = min(message.leader_commit, message.last_entry_index)
        self.commit_index = max(self.commit_index, committed)
        self._outbox.accept_append(message, self.current_term)

    def _follow(self, leader: int) -> None:
        if self.role is Role.CANDIDATE:
            self._become_follower(self.current_term)
        if self.leader_id is None:
            self.leader_id = leader
            self._events.append(events.FollowingLeader(self.current_term, leader))
        require(self.leader_id == leader, "two leaders in one term")
        self._election_deadline_ms = None

    def _take_entries(self, entries: Sequence[Entry]) -> None:
        """Append what is new; truncate only where a term really differs (Raft §5.3).

        Entries already held stay: a delayed short request must not erase what a
        later one brought.
        """
        for position, entry in enumerate(entries):
            if self.log.holds(entry.index, entry.term):
                continue
            if entry.index <= self.log.last_index:
                self._truncate(entry.index)
            self.log.append(entries[position:])
            return

    def _truncate(self, from_index: int) -> None:
        require(from_index > self.commit_index, "a committed entry would be removed")
        self._events.append(events.LogTruncated(self.current_term, from_index, self.log.last_index))
        self.log.truncate(from_index)

    def _on_append_entries_reply(self, message: AppendEntriesReply) -> None:
        if self.role is not Role.LEADER:
            return
        # A rejection confirms as well: it is the log that differs, not the leader.
        self._reads.confirmed(message.sender, message.read_round)
        progress = self._progress[message.sender]
        if not message.success:
            progress.rejected(message.prev_log_index, self._next_index_after(message))
        elif message.match_index <= self.log.last_index:
            progress.accepted(message.match_index)
            self._advance_commit_index()

    def _next_index_after(self, rejection: AppendEntriesReply) -> int:
        """Back up by a whole term at a time (Raft §5.3, last paragraphs)."""
        if rejection.conflict_term > 0:
            last = self.log.last_index_of_term(rejection.conflict_term)
            if last is not None:
                return last + 1
        return rejection.conflict_index

    def _advance_commit_index(self) -> None:
        """Commit what a majority holds, counting only entries of this term (Raft §5.4.2)."""
        index = reached_by_majority(self.match_index.values())
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index

    # --- Messages out ---------------------------------------------------------------------

    def _appends_to_followers(self) -> list[Message]:
        """New entries for each follower that can take them.

        The others get a heartbeat if it is due, or if reads wait for a round that opens here.
        """
        if self.role is not Role.LEADER:
            return []
        heartbeat, self._heartbeat_is_due = self._heartbeat_is_due, False
        speaks_to_all = self._reads.open_round() or heartbeat
        out: list[Message] = []
        for peer, progress in self._progress.items():
            if heartbeat:
                progress.heartbeat_due()
            sent = self._send_entries(out, peer, progress)
            if speaks_to_all and not sent:
                out.append(self._append_entries(peer, progress.next_index, []))
        return out

    def _send_entries(self, out: list[Message], peer: int, progress: Progress) -> bool:
        sent = False
        while progress.next_index <= self.log.last_index and progress.can_send_entries:
            entries = self.log.slice(
                progress.next_index, self.log.last_index + 1, self._settings.append_bytes_max
            )
            out.append(self._append_entries(peer, progress.next_index, entries))
            progress.sent_entries(entries[-1].index)
            sent = True
        return sent

    def _append_entries(self, peer: int, next_index: int, entries: Sequence[Entry]) -> Message:
        return self._outbox.append_entries(
            peer,
            self.current_term,
            next_index,
            entries,
            self.log,
            self.commit_index,
            self._reads.newest_round,
        )
