"""One node's Raft: the rules of Figure 2, as a state machine that performs no effect.

Law: inputs (`step`, `tick`, `propose`, `read`) only change this object; what must
reach the disk, the network or the operator is taken as values by `take_effects`.
Every message passes one comparison of terms (`step`) before anything else sees it.
A promise made here (a term, a vote, an entry held) may leave the node only after
the `DurableUpdate` of the same turn, and so each before it, is on disk and reported by
`persisted`. That may be within the turn, or many turns later.

One turn of the driver: `wake`; inputs; `tick`; `take_effects`; send `early_messages`; hand
`update` to the disk; `persisted`, as far as the disk has come; send `take_messages`; apply
`committed_entries`; `ready_reads`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence, Set

from kvstore.raft import changes, events
from kvstore.raft.comparing import StateTalk
from kvstore.raft.configuration import Configuration
from kvstore.raft.effects import Effects
from kvstore.raft.election import Election
from kvstore.raft.follower import Follower
from kvstore.raft.hearing import reason_to_ignore
from kvstore.raft.leadership import Leadership
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    CompareStates,
    CompareStatesReply,
    FetchEntries,
    FetchEntriesReply,
    FetchSnapshot,
    InstallSnapshot,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    SnapshotPiece,
    TimeoutNow,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.reads import ReadReady
from kvstore.raft.repair import Repair
from kvstore.raft.safety import require
from kvstore.raft.snapshots import Receiving, Sending
from kvstore.raft.standing import Standing
from kvstore.raft.timer import ElectionTimer
from kvstore.raft.types import (
    COMMAND,
    Entry,
    EntryKind,
    LogStart,
    Membership,
    RaftSettings,
    Recovered,
    Role,
    StableLog,
)


class Raft:
    """The consensus state of one node.

    * Nothing that is committed here is ever removed, and the term never goes back.
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
        self.log = RaftLog(stable, recovered, settings.cached_bytes_max)
        self.leadership: Leadership | None = None
        """While this node leads, and then only."""
        self._membership = membership
        self._settings = settings
        self.durable_hard_state = self._submitted_hard_state = recovered.hard_state
        """Term and vote on this node's disk: those of which it may speak."""
        self.durable_number = 0
        """Of the last update that is durable."""
        self.standing = Standing(membership, recovered.hard_state)
        require(last_applied <= self.log.last_index, "more was applied than the log holds")
        require(self.log.last_term <= self.current_term, "the log is newer than the term")
        # What was applied was committed; a restarted node learns the rest from its leader.
        self.log.commit(last_applied)
        self.log.applied_index = last_applied
        self.log.lacks_base = last_applied < self.log.start.index
        self._outbox = Outbox(membership, self.admitted_at)
        self._configuration = self.log.configuration
        """By which it was told last whether its directory votes."""
        self._events: list[events.Event] = []
        self._timer = ElectionTimer(settings, rng)
        shared = (self.log, self._outbox, self._timer)
        self._follower = Follower(self.standing, *shared, settings, self._events)
        self._election = Election(self.standing, self._follower, *shared, self._events)
        self._repair = Repair(self.id, self.log, self._outbox, settings, self._events)
        self.sending = Sending(self.log, self._outbox, self._events)
        """Of snapshots, to those that this node leads."""
        self.receiving = Receiving(self.log, self._outbox, settings, self._events)
        """Of a snapshot, from who leads it."""
        self.state_talk = StateTalk(self.log, self._outbox, self._follower.hear)
        self._handlers: dict[type, Callable[..., None]] = {
            PreVote: self._election.on_pre_vote,
            PreVoteReply: self._on_vote_reply,
            RequestVote: self._election.on_request_vote,
            RequestVoteReply: self._on_vote_reply,
            AppendEntries: self._follower.on_append_entries,
            AppendEntriesReply: self._on_append_entries_reply,
            TimeoutNow: self._election.on_timeout_now,
            ReadIndex: self._on_read_index,
            ReadIndexReply: self._follower.on_read_index_reply,
            FetchEntries: self._repair.give,
            FetchEntriesReply: self._on_fetch_entries_reply,
            InstallSnapshot: self._on_install_snapshot,
            FetchSnapshot: self._on_fetch_snapshot,
            SnapshotPiece: self._on_snapshot_piece,
            CompareStates: self.state_talk.on_question,
            CompareStatesReply: self.state_talk.on_reply,
        }

    # --- What it is -----------------------------------------------------------------------

    @property
    def current_term(self) -> int:
        """The newest term that it has seen."""
        return self.standing.current_term

    @property
    def voted_for(self) -> int | None:
        """Whom it voted for in that term."""
        return self.standing.voted_for

    @property
    def role(self) -> Role:
        """What it is in that term."""
        return self.standing.role

    @property
    def leader_id(self) -> int | None:
        """Who leads, itself maybe, as far as it knows."""
        return self._follower.leader_id

    @property
    def is_led(self) -> bool:
        """Whether somebody leads, itself or one whom it has heard of late."""
        return self.leadership is not None or self._follower.hears_leader

    @property
    def known_leader(self) -> tuple[int, int | None]:
        """(term, leader): by whose word it goes."""
        return self.standing.current_term, self._follower.leader_id

    @property
    def commit_index(self) -> int:
        """Up to here its log is decided for ever, as far as it knows."""
        return self.log.commit_index

    @property
    def admitted_at(self) -> int:
        """Index of the entry since which its directory votes; see `HardState`."""
        return self.standing.admitted_at

    @property
    def is_voter(self) -> bool:
        """Whether its directory votes, by its own log."""
        member = self.log.configuration.member(self.id)
        return member is not None and member.votes_as(self.standing.directory)

    # --- Inputs ---------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take one message from a peer.

        The term comes first (Raft §5.1): a higher one is adopted, a lower one is
        answered with ours, and only messages of the current term are processed.
        """
        reason = reason_to_ignore(message, self._membership, self.log)
        reason = reason or self._election.reason_to_doubt(message)
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
        self._heed_configuration()

    def _heed_configuration(self) -> None:
        """The log may have brought another configuration, or taken one back (thesis §4.1)."""
        log, standing = self.log, self.standing
        if log.configuration is self._configuration:
            return
        before, self._configuration = self._configuration, log.configuration
        if before != log.configuration:  # A snapshot may bring the same one.
            at = log.configurations.in_force_at
            self._events.append(events.Configured(self.current_term, at, str(log.configuration)))
        known = standing.admitted_at
        admitted_at = log.configurations.admission_of(self.id, standing.directory, known)
        if admitted_at > known:
            self._events.append(events.Admitted(self.current_term, admitted_at))
        standing.admitted_at = self._outbox.admitted_at = admitted_at

    def wake(self, now_ms: float) -> None:
        """A turn begins at `now_ms`, a monotonic clock in milliseconds.

        A long gap since the last turn means that this process, or its disk, stood still.
        Then the silence says nothing about the leader, and the election timer starts anew;
        but a leader that has peers was most likely replaced, and must not go on as if
        nothing were: not even with the answers that wait in its sockets.
        """
        silent_ms = now_ms - self.standing.now_ms
        self.standing.now_ms = now_ms
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
        self.receiving.tick()
        if self.leadership is None:
            self._election.tick()
            return
        written_ms = now_ms - self.log.written_since_ms
        if written_ms > self._settings.election_timeout_max_ms and self.leadership.has_peers:
            # Others may commit without this disk (thesis §10.2.1), but nobody gets an answer.
            self._events.append(events.StoodStill(self.current_term, round(written_ms)))
            self._become_follower(self.current_term)
            return
        self.leadership.tick(now_ms, unreachable)
        if self.leadership.is_over and self.leadership.hand_over(None, now_ms) is None:
            self._become_follower(self.current_term)
            return
        if self.leadership.has_lost_majority(now_ms):
            silent_ms = round(self.leadership.silent_ms(now_ms))
            self._events.append(events.LostMajority(self.current_term, silent_ms))
            self._become_follower(self.current_term)

    @property
    def due_ms(self) -> float:
        """When to `tick`, whatever arrives; well before `wake` takes the silence for a stall."""
        latest_ms = self.standing.now_ms + self._settings.election_timeout_min_ms / 2
        fetch_ms = min(self._repair.due_ms, self.receiving.due_ms)
        return min(latest_ms, (self.leadership or self._timer).due_ms, fetch_ms)

    def propose(self, command: bytes) -> tuple[int, int]:
        """Append a command to the log of who `takes_commands` (Raft §5.3); its (index, term)."""
        assert self.takes_commands
        term = self.standing.current_term
        return self.log.add(term, COMMAND, command), term

    def proposed_from(self, index: int) -> Sequence[Entry]:
        """What a leader proposed in its term, from `index` on, as far as it is in memory."""
        return () if self.leadership is None else self.log.last_term_from(index)

    def read(self, read_id: int) -> None:
        """Ask to answer a read; `ready_reads` allows it.

        A leader may be asked, or a node that knows one: it asks its leader, once, and if
        the question or its answer is lost, the read is never ready.
        """
        if self.leadership is not None:
            self.leadership.add_read(self.id, read_id)
        else:
            self._follower.ask_read_index(read_id)

    def hand_over(self, heir: int | None = None) -> int | None:
        """Lead no longer than until `heir`, or the closest follower, leads (thesis §3.10).

        The heir; None where it, or any, is known to be unable to take over. Only a leader
        may be asked. It takes no commands from now on, until it knows the new leader, or
        the heir had its time or is gone.
        """
        assert self.leadership is not None
        return self.leadership.hand_over(heir, self.standing.now_ms)

    def reason_to_wait_with_changes(self) -> str | None:
        """Why this leader changes no configuration for now; None if it may."""
        assert self.leadership is not None
        return self.leadership.reason_to_wait

    def change(self, configuration: Configuration) -> tuple[int, int]:
        """Have the cluster go over to `configuration` (thesis §4.1); the (index, term) of that.

        Only a leader may be asked that has no `reason_to_wait_with_changes`, and for no change
        of more than one voter.
        """
        assert self.leadership is not None
        require(self.leadership.reason_to_wait is None, "a change of members is under way")
        index = changes.propose(self.log, configuration)
        self._heed_configuration()
        return index, self.current_term

    # --- The front of the log (Raft §7) ---------------------------------------------------

    @property
    def droppable_index(self) -> int:
        """Up to here nobody needs the log any more, as far as the core knows; 0 for none of it."""
        if self.leadership is None:
            return self.compactable_index
        return min(self.compactable_index, self.leadership.needed_index)

    @property
    def compactable_index(self) -> int:
        """Up to here the log may be dropped: who still needs it gets a snapshot; 0 for none of it.

        It does not know what is durable in this node's state.
        """
        log = self.log
        if log.lacks_base:
            return 0
        return min(log.commit_index, log.durable_index, log.vouched_index)

    def compact(self, index: int) -> None:
        """Drop the log up to `index`: it is compactable, and its effect is durable here."""
        self.log.compact(index)
        if self.leadership is not None:
            self.leadership.log_was_compacted()

    def install(self, start: LogStart, configuration: Configuration) -> None:
        """A snapshot has come, and its data lies whole on this node's disk: the log begins there.

        `configuration`: the one as of then.

        It is asked for at the begin of a turn. Once `log.durable_start` says that it is so for
        good, the driver changes over to that data, and says `has_base`.
        """
        self.log.install(start, configuration)
        self._heed_configuration()

    def lose_base(self, last_applied: int) -> None:
        """The data as of `last_applied` are no good: only a snapshot that reaches as far helps."""
        self.log.lacks_base, self.log.applied_index = True, last_applied
        self.sending.source = None

    def has_base(self) -> None:
        """The state machine has the data on which the log goes on."""
        self.log.lacks_base = False
        if self.receiving.is_whole:
            self.receiving.installed(self.standing.now_ms)

    # --- Effects --------------------------------------------------------------------------

    def take_effects(self, crowded: Set[int] = frozenset()) -> Effects:
        """Everything since the last call, once; `crowded` peers take no entries for now."""
        hard_state = self.standing.hard_state
        is_new = hard_state != self._submitted_hard_state
        # Who asks for votes waits for its own to be durable, so nobody leads without.
        assert hard_state == self.durable_hard_state or self.role is not Role.LEADER
        self._repair.write_messages(self.standing.now_ms, self.current_term)
        self.receiving.write_messages(self.standing.now_ms, self.current_term, self.leader_id)
        effects = Effects(
            update=self.log.submit(hard_state if is_new else None, self.standing.now_ms),
            early_messages=self.leadership.messages(crowded) if self.leadership else [],
            events=[*self._events],
        )
        self._submitted_hard_state = hard_state
        self._outbox.rest_on(self.log.submitted_number)
        self._events.clear()
        return effects

    def persisted(self, number: int) -> None:
        """The updates up to this one are durable: only now do own votes and entries count."""
        self.durable_number = number
        for update in self.log.mark_durable(number):
            self._repair.persisted(update, self.current_term)
            if update.hard_state is not None:
                self.durable_hard_state = update.hard_state
        if self._election.persisted(self.durable_hard_state):
            self._become_leader()
        elif self.leadership is not None:
            self.leadership.advance_commit_index()

    def take_messages(self) -> list[Message]:
        """What rests on nothing that is not durable, each message once."""
        return self._outbox.take(self.durable_number, self.current_term, hears_leader=self.is_led)

    def committed_entries(self, last_applied: int, count: int, bytes_max: int) -> list[Entry]:
        """The next entries to apply, at most `count`: committed, durable here."""
        log = self.log
        log.applied_index = last_applied
        log.shrink_cache(last_applied + 1)
        if log.commit_index <= last_applied or log.lacks_base:
            return []
        last = min(log.commit_index, last_applied + count)
        return log.readable(last_applied + 1, last, bytes_max)

    def ready_reads(self) -> list[ReadReady]:
        """Own reads that a majority has confirmed, each once; those of followers are answered."""
        ready = self._follower.take_ready_reads()
        if self.leadership is not None and self.leadership.reads and self.leadership.has_committed:
            ready += self.leadership.release_reads()
        return ready

    @property
    def has_effects(self) -> bool:
        """Whether something waits for `take_effects` (a new leader's no-op, for instance)."""
        return (
            self.log.has_new
            or self._outbox.has_new
            or bool(self._events)
            or self._repair.has_more
            or self.receiving.has_more(self.current_term, self.leader_id)
            or (self.leadership is not None and (self.leadership.has_more or self.sending.has_more))
        )

    @property
    def has_committed_in_term(self) -> bool:
        """Whether this is a leader that knows its commit index (Raft §8)."""
        return self.leadership is not None and self.leadership.has_committed

    @property
    def match_index(self) -> dict[int, int]:
        """Per member, the last index known to be on its disk; empty unless leading."""
        return {} if self.leadership is None else self.leadership.match_index

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
        """Follow in `term`, whatever this node was; nobody is known to lead yet."""
        self.leadership = None
        self._follower.become(term)

    def _become_leader(self) -> None:
        """Lead, and open the term with a no-op that names its leader (Raft §5.2, §8)."""
        standing, votes = self.standing, tuple(sorted(self._election.votes))
        standing.role = Role.LEADER
        self._follower.leader_id = standing.leader_of_term = self.id
        self._events.append(events.BecameLeader(self.current_term, votes))
        self.leadership = Leadership(
            standing, self.log, self._outbox, self.sending, self._settings, self._events
        )
        self._timer.restart()
        self.log.add(self.current_term, EntryKind.NOOP, str(self.id).encode())

    # --- Answers that concern who leads, or is to lead ------------------------------------

    def _on_vote_reply(self, message: PreVoteReply | RequestVoteReply) -> None:
        if self._election.on_vote_reply(message):
            self._become_leader()

    def _on_append_entries_reply(self, message: AppendEntriesReply) -> None:
        if self.leadership is not None:
            self.leadership.heard(message, self.standing.now_ms)

    def _on_read_index(self, message: ReadIndex) -> None:
        if self.leadership is not None:
            self.leadership.add_read(message.sender, message.read_id)

    def _on_fetch_entries_reply(self, message: FetchEntriesReply) -> None:
        self._repair.take(message, is_leader=message.sender == self.leader_id)

    def _on_install_snapshot(self, message: InstallSnapshot) -> None:
        self._follower.hear(message.sender)
        self.receiving.on_install_snapshot(message, self.standing.now_ms)

    def _on_snapshot_piece(self, message: SnapshotPiece) -> None:
        self._follower.hear(message.sender)
        self.receiving.on_piece(message)

    def _on_fetch_snapshot(self, message: FetchSnapshot) -> None:
        if self.leadership is not None:
            self.sending.on_fetch_snapshot(message, self.standing.now_ms)
