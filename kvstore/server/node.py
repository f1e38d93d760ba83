"""One node without sockets: Raft, storage and state machine, driven turn by turn.

Law: persist, then speak. A turn is: inputs (`receive`, `submit_*`, `tick`), then
`prepare`, which hands out what rests on earlier turns alone, then `complete`, which
makes this turn durable before it hands out the rest. An exception out of `complete`
means that nobody knows what is on the disk: nothing may leave, the process must end.

It must not know sockets, protocols or clocks: a client is an opaque ticket, and
time is what `tick` says.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from itertools import count
from typing import Final, Protocol, TypeAlias

import msgspec

from kvstore import api
from kvstore.config import Settings
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Effects, Membership, Raft
from kvstore.raft.events import Event
from kvstore.raft.messages import Message
from kvstore.raft.types import Entry, EntryKind, Role
from kvstore.server.cluster_time import ClusterTime
from kvstore.storage.base import LogStore, StateStore

_APPLY_BYTES_MAX: Final = 256 << 10
"""Entry data applied in one turn: a long replay must not keep a node from its peers."""

EntryName: TypeAlias = tuple[int, int]
"""(index, term): another leader may put another entry at the same index."""

_SESSION_RULES: Final = api.SessionRules()
_encode_logged = msgspec.msgpack.Encoder().encode


class Ticket(Protocol):
    """A client's claim to one result; to the node it is opaque."""

    def fill(self, result: api.Result) -> None:
        """For whoever delivers the answer."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The result for the client that gave `ticket`."""

    ticket: Ticket
    result: api.Result


class Outcome(msgspec.Struct, frozen=True):
    """What half a turn lets out."""

    messages: Sequence[Message]
    answers: Sequence[Answer]
    events: Sequence[Event]


class _Write(msgspec.Struct, frozen=True, gc=False):
    ticket: Ticket
    deadline_ms: float


class _Read(msgspec.Struct, frozen=True, gc=False):
    ticket: Ticket
    query: api.Query
    after: int
    deadline_ms: float


class Node:
    """The driver of one `Raft`.

    * A waiting write is known by the name of its entry, never by the index alone.
    * Reads and entries interleave: a read as of index i is answered when i is
      applied and before i + 1 is.
    """

    def __init__(
        self,
        settings: Settings,
        log_store: LogStore,
        state_store: StateStore,
        rng: random.Random,
        session_rules: api.SessionRules = _SESSION_RULES,
    ) -> None:
        """`session_rules` must be the same on every node of a cluster."""
        applied = state_store.applied()
        self.settings = settings
        self.log_store = log_store
        self._state_store = state_store
        self._checkpointed = applied
        self.machine = StateMachine(
            state_store, applied, settings.limits.reply_bytes_max, session_rules
        )
        self.raft = Raft(
            Membership(settings.cluster_id, settings.node_id, frozenset(settings.members)),
            log_store.recover(),
            log_store,
            applied.last_applied,
            settings.raft,
            rng,
        )
        self.durable_term = self.raft.current_term
        """The term on this node's disk: the one that may be told to clients."""
        self._now_ms = 0.0
        self._time = ClusterTime()
        self._next_checkpoint_ms = 0.0
        self._effects: Effects | None = None
        self._answers: list[Answer] = []
        self._writes: dict[EntryName, _Write] = {}
        """Writes that wait for a majority, oldest first."""
        self._reads: dict[int, _Read] = {}
        """Reads without an answer, by number, oldest first; then their numbers by stage:"""
        self._arrived_reads: list[int] = []
        self._asked_reads: dict[int, list[int]] = {}
        self._ready_reads: list[tuple[int, int]] = []
        """Heap of (index to be applied first, number)."""
        self._numbers = count()

    # --- Inputs ---------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message from a peer."""
        self.raft.step(message)

    def wake(self, now_ms: float) -> None:
        """A turn begins: requests from now on are dated `now_ms`, a monotonic clock."""
        self._now_ms = now_ms

    def tick(self, now_ms: float) -> None:
        """Let time pass up to `now_ms`, a monotonic clock."""
        self._now_ms = now_ms
        self._time.advance(now_ms, self.machine.time_ms)
        self.raft.tick(now_ms)
        self._give_up_overdue()
        if now_ms >= self._next_checkpoint_ms:
            self._next_checkpoint_ms = now_ms + self.settings.checkpoint_interval_ms
            self.checkpoint()

    def submit_command(self, command: api.Command, ticket: Ticket) -> EntryName | None:
        """Propose a write; the entry that it became, None if it was refused."""
        if self.raft.role is not Role.LEADER:
            self._answer(ticket, self.redirect())
            return None
        if self._is_full:
            self._answer(ticket, _BUSY)
            return None
        data = _encode_logged(self._stamped(command))
        name = (self.raft.propose((data,)), self.raft.current_term)
        self._writes[name] = _Write(ticket, self._deadline())
        return name

    def _stamped(self, command: api.Command) -> api.Logged:
        """What the log will hold: the commands of sessions get the time."""
        if isinstance(command, api.OpenSession | api.Once):
            time_ms = self._time.advance(self._now_ms, self.machine.time_ms)
            return api.Stamped(time_ms, command)
        return command

    def submit_query(
        self, query: api.Query, ticket: Ticket, last_write: EntryName | None = None
    ) -> None:
        """Ask for a read by the leader that sees `last_write`, the client's own.

        An own write of an earlier term precedes this leader's no-op, or is lost.
        """
        if self.raft.role is not Role.LEADER:
            self._answer(ticket, self.redirect())
            return
        after = 0
        if last_write is not None and last_write[1] == self.raft.current_term:
            after = last_write[0]
        number = next(self._numbers)
        self._reads[number] = _Read(ticket, query, after, self._deadline())
        self._arrived_reads.append(number)

    def submit_stale_query(self, query: api.Query, ticket: Ticket) -> None:
        """Read what this node has applied, however far that lags behind the leader."""
        self._answer(ticket, self.machine.query(query))

    # --- The turn -------------------------------------------------------------------------

    def prepare(self) -> Outcome:
        """End the inputs; what may leave at once, as it rests on nothing that this turn writes.

        These are a leader's AppendEntries (thesis §10.2.1), and answers about
        entries that were durable here, and committed, before this turn.
        """
        if self._arrived_reads:
            self._ask_to_read()
        self._effects = self.raft.take_effects()
        self._settle()
        return Outcome(self._effects.early_messages, self._take_answers(), ())

    def complete(self) -> Outcome:
        """Make the turn durable, and hand out the rest.

        Raises `StorageError` if the disk fails: nothing more of this turn may leave.
        """
        effects = self._effects
        assert effects is not None
        self._effects = None
        if effects.update:
            self.log_store.write(effects.update)
        if effects.update.hard_state is not None:
            self.durable_term = effects.update.hard_state.current_term
        self.raft.persisted(effects.update)
        self._settle()
        return Outcome(effects.messages, self._take_answers(), effects.events)

    def _settle(self) -> None:
        """Apply and answer what is committed and durable here by now."""
        if self.raft.role is not Role.LEADER:
            self._refuse_reads()
        self._collect_ready_reads()
        self._apply_committed()

    def _take_answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    @property
    def is_busy(self) -> bool:
        """Whether another turn has work to do without any further input."""
        raft = self.raft
        committed = min(raft.commit_index, raft.log.durable_index)
        return (
            raft.has_effects
            or committed > self.machine.last_applied
            or bool(self._answers or self._arrived_reads)
        )

    def abandon_clients(self) -> list[Answer]:
        """The node stops: what each waiting client can be told."""
        for write in self._writes.values():
            self._answer(write.ticket, _STOPPED_UNKNOWN)
        for read in self._reads.values():
            self._answer(read.ticket, _STOPPED)
        return self._take_answers()

    @property
    def _is_full(self) -> bool:
        """Whether too much waits for a majority: in the log, whoever still waits for it."""
        raft, limits = self.raft, self.settings.limits
        return (
            raft.log.last_index - raft.commit_index >= limits.pending_writes_max
            or raft.log.cached_bytes >= limits.pending_bytes_max
        )

    # --- Durability of the key space ------------------------------------------------------

    def checkpoint(self) -> None:
        """Make the applied key space durable; a restart replays the log from here."""
        applied = self.machine.applied
        if applied != self._checkpointed:
            self._state_store.commit(applied)
            self._checkpointed = applied

    # --- What clients are told ------------------------------------------------------------

    def refuse_call(self, call: api.Call) -> api.Failure | None:
        """Why this node must not serve the call, whatever it asks; None if it may."""
        cluster_id, term = self.settings.cluster_id, self.raft.current_term
        if call.cluster_id not in ("", cluster_id):
            return api.Failure(
                api.FailureCode.INVALID,
                f"this node belongs to cluster {cluster_id}, the request is for "
                f"{call.cluster_id}; correct the addresses",
            )
        if term < call.min_term:
            return api.Failure(
                api.FailureCode.STALE,
                f"this node is in term {term}, the request asks for at least {call.min_term}; "
                "try another node",
            )
        return None

    def reply(self, result: api.Result) -> api.Reply:
        """A result with what a typed client is told beside it."""
        return api.Reply(
            self.settings.cluster_id,
            self.raft.id,
            self.durable_term,
            self.machine.revision,
            result,
        )

    def redirect(self) -> api.Failure:
        """Why this node does not take the request, and where to go."""
        leader = self.raft.leader_id
        if leader is None or leader == self.raft.id:
            return api.Failure(
                api.FailureCode.NO_LEADER,
                "no leader is known, an election may be under way; try again",
            )
        address = str(self.settings.members[leader])
        return api.Failure(
            api.FailureCode.NOT_LEADER, f"not leader, try node {leader} at {address}", address
        )

    def _rolled_back(self) -> api.Failure:
        """A redirect that also tells what became of a write this node had taken."""
        redirect = self.redirect()
        return msgspec.structs.replace(
            redirect, message=f"{redirect.message}; the write was rolled back"
        )

    def status(self) -> api.StatusResult:
        """This node, as it sees itself and its cluster."""
        raft, settings = self.raft, self.settings
        leader = raft.leader_id
        return api.StatusResult(
            node_id=raft.id,
            cluster_id=settings.cluster_id,
            incarnation=self.log_store.identity.incarnation,
            role=raft.role.value,
            term=raft.current_term,
            voted_for=raft.voted_for,
            leader_id=leader,
            leader_address=None if leader is None else str(settings.members[leader]),
            commit_index=raft.commit_index,
            last_applied=self.machine.last_applied,
            last_log_index=raft.log.last_index,
            revision=self.machine.revision,
            keys=self._state_store.count(),
            members={node: str(address) for node, address in settings.members.items()},
            match_index=raft.match_index,
        )

    # --- Applying -------------------------------------------------------------------------

    def _apply_committed(self) -> None:
        self._answer_ready_reads()
        for entry in self.raft.committed_entries(self.machine.last_applied, _APPLY_BYTES_MAX):
            self._apply(entry)
            if self._ready_reads:
                self._answer_ready_reads()
        self._refuse_overwritten_writes()

    def _apply(self, entry: Entry) -> None:
        if entry.kind is EntryKind.NOOP:
            self.machine.advance(entry.index)
            return
        result = self.machine.apply(entry.index, entry.data)
        write = self._writes.pop((entry.index, entry.term), None)
        if write is not None:
            self._answer(write.ticket, result)

    def _refuse_overwritten_writes(self) -> None:
        """Answer the writes that can never happen.

        Either another entry is committed at their index, or one of a newer term
        is committed before it: no log that holds both can exist (Raft §5.3).
        """
        applied = self.machine.last_applied
        term = self.raft.log.term(applied)
        if not self._writes or not _is_dead(next(iter(self._writes)), applied, term):
            return
        for name in [name for name in self._writes if _is_dead(name, applied, term)]:
            self._answer(self._writes.pop(name).ticket, self._rolled_back())

    # --- Reads ----------------------------------------------------------------------------

    def _ask_to_read(self) -> None:
        """Ask once for all reads of the turn."""
        if self.raft.role is not Role.LEADER:
            return
        batch = next(self._numbers)
        self._asked_reads[batch], self._arrived_reads = self._arrived_reads, []
        self.raft.read(batch)

    def _collect_ready_reads(self) -> None:
        for ready in self.raft.ready_reads():
            for number in self._asked_reads.pop(ready.read_id, ()):
                if read := self._reads.get(number):
                    index = max(ready.index, read.after)
                    heapq.heappush(self._ready_reads, (index, number))

    def _answer_ready_reads(self) -> None:
        while self._ready_reads and self._ready_reads[0][0] <= self.machine.last_applied:
            _, number = heapq.heappop(self._ready_reads)
            if read := self._reads.pop(number, None):
                self._answer(read.ticket, self.machine.query(read.query))

    def _refuse_reads(self) -> None:
        """A node that does not lead has no answer for reads that came while it did."""
        for read in self._reads.values():
            self._answer(read.ticket, self.redirect())
        self._reads.clear()
        self._forget_reads()

    def _forget_reads(self) -> None:
        for stage in (self._arrived_reads, self._asked_reads, self._ready_reads):
            stage.clear()

    def _forget_batches(self, before: int) -> None:
        """No batch below the oldest read has anybody left: its number is above those of its reads.

        A leader that is cut off may be asked for ever, and no majority takes a batch away.
        """
        self.raft.forget_reads(before)
        while self._asked_reads and (oldest := next(iter(self._asked_reads))) < before:
            del self._asked_reads[oldest]

    # --- Deadlines ------------------------------------------------------------------------

    def _deadline(self) -> float:
        return self._now_ms + self.settings.request_timeout_ms

    def _give_up_overdue(self) -> None:
        """Answer what waited too long: a write's outcome is unknown, a read is refused."""
        while self._writes:
            name, write = next(iter(self._writes.items()))
            if write.deadline_ms > self._now_ms:
                break
            del self._writes[name]
            self._answer(write.ticket, _UNKNOWN)
        while self._reads:
            number, read = next(iter(self._reads.items()))
            if read.deadline_ms > self._now_ms:
                break
            del self._reads[number]
            self._answer(read.ticket, _NO_MAJORITY)
        if self._reads:
            self._forget_batches(before=next(iter(self._reads)))
        else:
            self._forget_reads()

    def _answer(self, ticket: Ticket, result: api.Result) -> None:
        self._answers.append(Answer(ticket, result))


def _is_dead(name: EntryName, applied_index: int, applied_term: int) -> bool:
    """Whether an entry that was not applied can never be, given the last one that was."""
    index, term = name
    return index <= applied_index or term < applied_term


_UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: no majority confirmed the write in time; it may or may not take effect, "
    "so read the key before you try again",
)
_STOPPED_UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: this node is shutting down; the write may or may not take effect, "
    "so read the key before you try again",
)
_STOPPED: Final = api.Failure(
    api.FailureCode.NO_LEADER, "this node is shutting down; try another node"
)
_NO_MAJORITY: Final = api.Failure(
    api.FailureCode.NO_LEADER, "no majority confirmed the leader in time; try again"
)
_BUSY: Final = api.Failure(
    api.FailureCode.BUSY, "too many writes wait for a majority; nothing was changed, try again"
)
