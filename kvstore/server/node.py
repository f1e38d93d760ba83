"""One node without sockets: Raft, storage and state machine, driven turn by turn.

Law: persist, then speak. A turn is: inputs (`receive`, `submit_*`, `tick`), then
`prepare`, which hands out what rests on earlier turns alone, then `complete`, which
hands what is new to the writer of the log, and hands out what rests on durable updates:
all of it, if the writer waits for the disk; else the rest leaves in later turns. An
exception out of `complete` means that nobody knows what is on the disk: nothing may leave,
the process must end.

It must not know sockets, protocols or clocks: a client is an opaque ticket, and
time is what `tick` says.
"""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from typing import Final

import msgspec

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Raft
from kvstore.raft.effects import Effects
from kvstore.raft.events import Event, Stalled
from kvstore.raft.messages import Message
from kvstore.raft.types import Membership, Role
from kvstore.server import refusals
from kvstore.server.applying import Applier
from kvstore.server.backups import Backups
from kvstore.server.checking import Checking
from kvstore.server.checkpoints import Checkpoints
from kvstore.server.cluster_time import ClusterTime, Pace
from kvstore.server.cluster_version import THIS_RELEASE, ClusterVersion, Release
from kvstore.server.compaction import Compaction
from kvstore.server.directions import elsewhere
from kvstore.server.installing import Installing
from kvstore.server.known_leader import KnownLeader
from kvstore.server.leading import Leading
from kvstore.server.own_digest import OwnDigest
from kvstore.server.own_divergence import OwnDivergence
from kvstore.server.pinning import Pinning
from kvstore.server.reach import Reach
from kvstore.server.replaced import check_directory
from kvstore.server.room import Refusal, Room
from kvstore.server.roster import Roster
from kvstore.server.spooling import Spooling
from kvstore.server.sync_times import SyncTimes
from kvstore.server.tending import Tending
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.changes import WaitingChanges
from kvstore.server.waiting.checks import WaitingChecks
from kvstore.server.waiting.handovers import WaitingHandovers
from kvstore.server.waiting.kind import Kind
from kvstore.server.waiting.reads import Read, WaitingReads
from kvstore.server.waiting.renewals import Renewal, WaitingRenewals
from kvstore.server.waiting.writes import EntryName, WaitingWrites, Write
from kvstore.server.watching.hub import Watches
from kvstore.server.watching.machine_past import MachinePast
from kvstore.server.watching.subscriber import Subscriber
from kvstore.storage.base import Divergence, LogStore, StateStore
from kvstore.storage.writer import LogWriter, WriteAtOnce

_SESSION_RULES: Final = api.SessionRules()
_LEASE_RULES: Final = api.LeaseRules()
_encode_logged = msgspec.msgpack.Encoder().encode


class Outcome(msgspec.Struct, frozen=True):
    """What half a turn lets out; `news`: who watches, and has something to take."""

    messages: Sequence[Message]
    answers: Sequence[Answer]
    events: Sequence[Event]
    news: Sequence[Subscriber]


class Node:
    """The driver of one `Raft`.

    * Whoever gives a ticket gets one answer, in the turn that knows it.
    """

    def __init__(
        self,
        settings: Settings,
        log_store: LogStore,
        state_store: StateStore,
        rng: random.Random,
        session_rules: api.SessionRules = _SESSION_RULES,
        sync_times: SyncTimes | None = None,
        release: Release = THIS_RELEASE,
        writer: LogWriter | None = None,
        lease_rules: api.LeaseRules = _LEASE_RULES,
    ) -> None:
        """`session_rules` and `lease_rules` must be the same on every node of a cluster.

        `writer`: of the log store, if it is not one that waits for the disk.
        """
        self.sync_times = sync_times or SyncTimes()
        applied = state_store.applied()
        self.settings = settings
        self.log_store = log_store
        self._writer = writer or WriteAtOnce(log_store)
        self.state_store = state_store
        self.machine = StateMachine(
            state_store, applied, settings.limits.reply_bytes_max, session_rules, lease_rules
        )
        self.raft = Raft(
            Membership(settings.cluster_id, settings.node_id, log_store.identity.directory),
            log_store.recover(),
            log_store,
            applied.last_applied,
            settings.raft,
            rng,
        )
        check_directory(self.raft, settings.data_dir)
        self.roster = Roster(self.raft, settings.address, settings.joined_at)
        self.cluster_version = ClusterVersion(release, self.machine, self.raft)
        self.now_ms = self._deadline_ms = 0.0
        """When this turn began, and until when a request that comes in it may wait."""
        self._time = ClusterTime()
        self.room = Room(
            log_store,
            state_store,
            self.raft.log.room,
            self.machine.footprint,
            self.machine.is_wide,
            self.raft.proposed_from,
            settings.limits.headroom_bytes,
            settings.raft.heartbeat_interval_ms,
        )
        self._effects: Effects | None = None
        self._events: list[Event] = []
        self._answers: list[Answer] = []
        self._writes = WaitingWrites()
        self._reads = WaitingReads(first_number=rng.getrandbits(48))
        self._renewals = WaitingRenewals()
        self._handovers = WaitingHandovers()
        self._checkpoints = Checkpoints(
            state_store, self.machine, self.room, settings.checkpoint_interval_ms
        )
        self._compaction = Compaction(self.raft, log_store, state_store, self.room, settings)
        pinning = Pinning(self.room, settings.limits)
        own_digest = OwnDigest(state_store, self._checkpoints, pinning, settings.limits.check_ms)
        self.checking = Checking(
            *(self.raft, own_digest, settings.check_every_ms),
            *(settings.limits.check_ms, settings.raft.heartbeat_interval_ms),
        )
        self.watches = Watches(MachinePast(self.machine), settings.limits, rng)
        self._applier = Applier(
            *(self, self._checkpoints, self.cluster_version, self._writes, self._reads),
            *(own_digest, self.watches, self._renewals),
        )
        self.divergence = OwnDivergence(self.raft, state_store)
        self.backups = Backups(
            *(state_store, self._checkpoints, self.raft, self.divergence),
            *(settings.cluster_id, settings.limits, pinning, rng),
        )
        self._spooling = Spooling(
            *(self.raft, state_store, settings.cluster_id, settings.limits.headroom_bytes),
            *(pinning, rng),
        )
        self._installing = Installing(
            self.raft,
            state_store,
            self.machine,
            self.cluster_version,
            self.room,
            self._writes,
            settings.cluster_id,
            settings.limits.headroom_bytes,
            on_installed=(own_digest.forget, self.watches.restart),
        )
        self._changes = WaitingChanges()
        self._checks = WaitingChecks()
        self._kinds: tuple[Kind, ...] = (
            self._writes,
            self._reads,
            self._renewals,
            self._handovers,
            self._changes,
            self._checks,
        )
        self._tending = Tending(lease_rules, self.raft, self.machine, self._propose)
        self.known_leader = KnownLeader(self.raft, self._reads)
        self.reach = Reach(self.raft, self.roster)
        self.leading = Leading(
            settings, self.raft, self.machine, self.room, self.reach, self._writes
        )

    # --- Inputs ---------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message from a peer."""
        self.raft.step(message)

    def wake(self, now_ms: float) -> None:
        """A turn begins at `now_ms`, a monotonic clock."""
        self._notice_stall(now_ms)
        self._set_time(now_ms)
        self.raft.wake(now_ms)
        self._note_durable()
        self._answers += self._installing.wake(now_ms)
        self._events += self.divergence.wake()
        self.room.wake(now_ms, self.raft.current_term, self.machine.last_applied)

    def _notice_stall(self, now_ms: float) -> None:
        """Of a leader that others may replace, the core speaks itself."""
        silent_ms = now_ms - self.now_ms if self.now_ms else 0.0
        if silent_ms <= self.settings.raft.election_timeout_max_ms:
            return
        self._tending.stood_still(now_ms)
        may_be_replaced = self.raft.role is Role.LEADER and len(self.roster.members) > 1
        if not may_be_replaced:
            self._events.append(Stalled(self.raft.current_term, round(silent_ms)))

    def tick(self, now_ms: float, unreachable: Set[int] = frozenset()) -> None:
        """Let time pass up to `now_ms`, a monotonic clock; `unreachable`: peers without a link."""
        self.reach.unreachable = unreachable
        self._set_time(now_ms)
        self._cluster_time_ms()
        self._events += self.room.tick(now_ms, self.raft.current_term, self.machine.last_applied)
        self.leading.make_way_for_room(now_ms)
        self._events += self.checking.tick(now_ms)
        if divergence := self.checking.take_divergence():
            self.state_differs(divergence)
        self.raft.tick(now_ms, unreachable)
        for kind in self._kinds:
            if kind.waiting:
                self._answers += kind.give_up_overdue(self)
        self._tend(now_ms)
        self._checkpoints.tick(now_ms)
        self._events += self._compaction.tick()
        self._events += self._spooling.tick(now_ms)
        self.backups.tick(now_ms)
        self.watches.tick(now_ms, has_leader=self.raft.is_led)

    def submit_command(self, command: api.Command, ticket: Ticket) -> EntryName | None:
        """Propose a write; the entry that it became, None if it was refused."""
        raft = self.raft
        if not raft.takes_commands or self.divergence.known is not None:
            self._answer(ticket, self.redirect())
            return None
        if self.leading.is_full:
            self._answer(ticket, refusals.BUSY)
            return None
        version = self.cluster_version
        if version.missing and (failure := version.refuse(command)):
            self._answer(ticket, failure)
            return None
        row = api.COMMAND_ROW_OF[type(command)]
        data = _encode_logged(self._stamped(command) if row.needs_time else command)
        if refusal := self.room.refuse(row, command, data):
            self._answer(ticket, self._no_space(refusal))
            return None
        name = raft.propose(data)
        self._writes.waiting[name] = Write(ticket, self._deadline_ms)
        return name

    def keep_alive(self, request: api.KeepAlive, ticket: Ticket) -> None:
        """Renew leases, together with what else of that waits."""
        if not self.raft.takes_commands or self.divergence.known is not None:
            self._answer(ticket, self.redirect())
        elif self.leading.is_full:
            self._answer(ticket, refusals.BUSY)
        else:
            self._renewals.add(Renewal(ticket, self._deadline_ms, request.leases))

    def _tend(self, now_ms: float) -> None:
        """Renewals first: what they renew is not due then."""
        if self._renewals.may_propose and self.raft.takes_commands:
            self._answers += self._renewals.propose(self._propose_renewals)
        self._tending.tick(now_ms, self._cluster_time_ms())

    def _propose_renewals(self, renew: api.Renew) -> EntryName | api.Failure:
        data = _encode_logged(self._stamped(renew))
        refusal = self.room.refuse(api.COMMAND_ROW_OF[api.Renew], renew, data)
        return self.raft.propose(data) if refusal is None else self._no_space(refusal)

    def _propose(self, passing: api.Pass) -> EntryName:
        return self.raft.propose(_encode_logged(self._stamped(passing)))

    def _stamped(self, command: api.Command | api.Internal) -> api.Stamped:
        """As the log will hold it, with the time."""
        return api.Stamped(self._cluster_time_ms(), command)

    def _cluster_time_ms(self) -> int:
        """The cluster's time, as far as this node can tell."""
        log, machine = self.raft.log, self.machine
        pace = Pace.FOLLOWS
        if self.raft.leadership is not None:
            has_all = machine.last_applied + 1 >= log.last_term_start
            pace = Pace.LEADS if has_all else Pace.CATCHES_UP
        return self._time.advance(self.now_ms, machine.clock, pace)

    def submit_query(
        self,
        query: api.Query,
        ticket: Ticket,
        last_write: EntryName | None = None,
        *,
        from_any: bool = False,
    ) -> None:
        """Ask for a linearizable read that sees `last_write`, the client's own.

        The leader answers, or with `from_any` any node that its leader tells as of which
        index. An own write of an earlier term precedes this leader's no-op, or is lost.
        """
        raft = self.raft
        if raft.leadership is None and (raft.leader_id is None or not from_any):
            self._answer(ticket, self.redirect())
            return
        if self.divergence.known is not None:
            self._answer(ticket, self.divergence.refusal)
            return
        self._answers += self.known_leader.refuse_reads_of_others(self)
        after = 0
        if last_write is not None and last_write[1] == raft.current_term:
            after = last_write[0]
        self._reads.add(Read(ticket, query, after, self._deadline_ms))

    @property
    def snapshot_setback(self) -> str:
        """Why a snapshot is not taken, or written, for now, and what to do; "" if none waits."""
        return self._installing.waits_for or self._spooling.waits_for

    def answer(self, query: api.Query) -> api.Result:
        """Read what this node has applied, however far that lags behind the leader.

        For who was told that a read is due, it does not lag.
        """
        if self.raft.log.lacks_base:
            return self.divergence.refusal
        return self.machine.query(query)

    def state_differs(self, divergence: Divergence) -> None:
        """It is known that this node's data are not those of a majority.

        From now on it answers nothing with them, until a snapshot takes their place.
        """
        self._events += self.divergence.begin(divergence, self.machine.last_applied)
        if self.divergence.known is not None:
            self._answers += self._reads.refuse_all(self.divergence.refusal)
            self.watches.end_all(self.divergence.refusal)

    def hand_over(self, request: api.HandOver, ticket: Ticket) -> None:
        """Have the heir, or whoever is closest, lead in this leader's place."""
        self._answers += self._handovers.begin(self, request, ticket, self._deadline_ms)

    def change_members(self, change: api.Change, ticket: Ticket) -> None:
        """Have the members be as asked for, if this node leads and the rules are for it."""
        self._answers += self._changes.begin(self, change, ticket, self._deadline_ms)

    def check_replicas(self, request: api.CheckReplicas, ticket: Ticket) -> None:
        """Have the states of all nodes compared, if this node leads."""
        self._answers += self._checks.begin(self, request, ticket)

    # --- The turn -------------------------------------------------------------------------

    def prepare(self, crowded: Set[int] = frozenset()) -> Outcome:
        """End the inputs; what may leave at once, as it rests on nothing that this turn writes.

        Raises `DirectoryRefusedError` if it is decided that this directory votes no more.
        What may leave are a leader's AppendEntries (thesis §10.2.1), to `crowded` peers without
        entries, and answers about entries that were durable here, and committed, before.
        """
        if not self.raft.is_voter:
            check_directory(self.raft, self.settings.data_dir)
        self._answers += self.known_leader.refuse_reads_of_others(self)
        self._applier.begin_turn()
        if self._reads.arrived:
            self.raft.read(self._reads.new_batch())
        messages = self.raft.take_messages()
        self._effects = self.raft.take_effects(crowded)
        self._settle()
        messages += self._effects.early_messages
        return Outcome(messages, self._take_answers(), (), self.watches.take_news())

    def complete(self) -> Outcome:
        """Have the turn made durable, and hand out what rests on nothing that is not.

        Raises `StorageError` if the disk fails: nothing more of this turn may leave.
        """
        effects, self._effects = self._effects, None
        assert effects is not None
        if effects.update:
            self._writer.submit(effects.update)
        if self._note_durable():
            # Else nothing is left to settle: `prepare` has.
            self._answers += self.known_leader.refuse_reads_of_others(self)
            self._settle()
        events = [*self._events, *self._applier.events, *effects.events]
        self._events.clear()
        self._applier.events.clear()
        news = self.watches.take_news()
        return Outcome(self.raft.take_messages(), self._take_answers(), events, news)

    def _note_durable(self) -> bool:
        """See how far the writer has come; whether that is further than before."""
        number = self._writer.durable_number
        if number == self.raft.durable_number:
            return False
        self.raft.persisted(number)
        return True

    @property
    def durable_term(self) -> int:
        """The term on this node's disk: the one that may be told to clients."""
        return self.raft.durable_hard_state.current_term

    def _settle(self) -> None:
        """Apply and answer what is committed and durable here by now."""
        for ready in self.raft.ready_reads():
            self._reads.is_ready(ready.read_id, ready.index)
        self._applier.apply_committed(self._answers)
        for kind in self._kinds:
            if kind.waiting:
                self._answers += kind.settle(self)

    def _take_answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    @property
    def is_busy(self) -> bool:
        """Whether another turn has work to do without any further input."""
        raft = self.raft
        has_more = raft.log.applicable_index > self.machine.last_applied
        return (
            raft.has_effects
            or self._writer.durable_number != raft.durable_number
            or (has_more and not self.room.waiting_index)
            or bool(self._answers or self._reads.arrived)
            or self._spooling.is_busy
            or self._installing.is_busy
            or self.watches.is_busy
        )

    @property
    def steps(self) -> int:
        """The work of all that was answered so far, in steps of about a microsecond."""
        return self.machine.steps + self.backups.steps

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin, whatever arrives, by the clock of `tick`."""
        due = [kind.due_ms for kind in self._kinds if kind.waiting]
        return min(
            *(self.raft.due_ms, self.room.due_ms, self._checkpoints.due_ms, self.checking.due_ms),
            *(self.watches.due_ms, self._tending.due_ms, *due),
        )

    def abandon_clients(self) -> list[Answer]:
        """The node stops: what each waiting client can be told."""
        for kind in self._kinds:
            if kind.waiting:
                self._answers += kind.abandon()
        return self._take_answers()

    def checkpoint(self) -> None:
        """Make the applied key space durable, though no turn asks for it."""
        self._checkpoints.make()

    def redirect(self) -> api.Failure:
        """Why this node does not take a request, and where to go."""
        return elsewhere(self.raft, self.reach)

    # --- Deadlines ------------------------------------------------------------------------

    def _set_time(self, now_ms: float) -> None:
        self.now_ms, self._deadline_ms = now_ms, now_ms + self.settings.request_timeout_ms

    def _no_space(self, refusal: Refusal) -> api.Failure:
        return refusals.no_space(self.raft.id, refusal)

    def _answer(self, ticket: Ticket, result: api.Result) -> None:
        self._answers.append(Answer(ticket, result))
