"""Who looks on: hands what happens to the checkers, the trace and the counts.

Law: looking changes nothing. A run with a trace and one without are the same run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from kvstore import api
from kvstore.errors import StorageError
from kvstore.raft import divergence_events, events, snapshot_events, state_events
from kvstore.raft.messages import AppendEntries, AppendEntriesReply, Message
from kvstore.raft.types import DurableUpdate, Role
from kvstore.server.node import Outcome
from kvstore.sim import trace
from kvstore.sim.calls import Call, CursorCall
from kvstore.sim.checkers.checker import ALL_KINDS, Checker, Part, Watched
from kvstore.sim.schedule import Schedule

_Seen: TypeAlias = tuple[int, Role, int | None, int, int, int, int]
"""Of a node, in the order of `Part`: flat, as most looks find what the one before them found."""

_EVERYTHING, _ROLE, _LOG = int(Part.ALL), int(Part.ROLE), int(Part.LOG)
_COMMITTED, _APPLIED = int(Part.COMMITTED), int(Part.APPLIED)


class Observer:
    """Everything that watches one world.

    * `reached` counts what the run came to: a run in which nothing happens proves nothing.
    """

    def __init__(
        self,
        schedule: Schedule,
        checkers: Sequence[Checker],
        record: Callable[[trace.Record], None] | None,
        model_step: Callable[[trace.ModelStep], None] | None,
    ) -> None:
        self.reached: Counter[str] = Counter()
        self._schedule = schedule
        self._checkers = checkers
        hearing, heeding = _watching(checkers, "hears"), _watching(checkers, "speaks")
        self._hears = {
            kind: [one.hears for one in hearing if kind in one.hears_of] for kind in ALL_KINDS
        }
        self._speaks = {
            kind: [one.speaks for one in heeding if kind in one.heeds] for kind in ALL_KINDS
        }
        watching = _watching(checkers, "changed")
        self._changed = [
            [one.changed for one in watching if one.watches & parts]
            for parts in range(Part.ALL + 1)
        ]
        """Who is to be told, by what has changed."""
        self._synced = [one.synced for one in _watching(checkers, "synced")]
        self._answers = [one.answers for one in _watching(checkers, "answers")]
        self._turned = [one.turned for one in _watching(checkers, "turned")]
        self._record = record
        self._model_step = model_step
        self._seen: dict[int, _Seen] = {}
        self._committed: dict[int, int] = {}

    # --- Life and death -------------------------------------------------------------------

    def started(self, host: Watched) -> None:
        """A node has read its disk and runs."""
        raft = host.running.raft
        self._seen.pop(host.id, None)
        self._committed[host.id] = raft.commit_index
        if raft.log.last_index > raft.log.start.index:
            self.reached["restart with a log"] += 1
        for checker in self._checkers:
            checker.started(host)
        self._step(host, "start")
        if self._record:
            self._record(
                trace.Started(
                    at_ms=self._schedule.now_ms,
                    node=host.id,
                    hard_state=host.disk.log.hard_state,
                    last_index=raft.log.last_index,
                    commit_index=raft.commit_index,
                )
            )

    def refused_to_start(self, host: Watched, error: StorageError) -> None:
        """A node finds damage on its disk, and does not start."""
        self.reached["damage found at start"] += 1
        if self._record:
            self.disturbed(host.id, f"does not start: {error}")

    def ended(self, host: Watched, error: StorageError) -> None:
        """A node ends itself."""
        for checker in self._checkers:
            checker.ended(host, error)

    def ending(self, host: Watched) -> None:
        """A node is about to end, perhaps in a turn in which it has applied what nobody saw.

        What is not on its disk may be half applied, and is gone.
        """
        seen = self._seen.get(host.id)
        applied = host.running.machine.last_applied
        if seen is not None and seen[-1] < applied <= host.disk.certain_index:
            for changed in self._changed[_APPLIED]:
                changed(host)

    def crashed(self, host: Watched, why: str, *, lost: bool, lost_entries: int) -> None:
        """A node has ended without notice."""
        self.reached["crash"] += 1
        self.reached["unsynced write lost"] += lost
        if self._record:
            self._record(
                trace.Crashed(
                    at_ms=self._schedule.now_ms, node=host.id, why=why, lost_entries=lost_entries
                )
            )

    def directory_changed(self, host: Watched) -> None:
        """A machine has another directory, an empty one or an old one."""
        for checker in self._checkers:
            checker.directory_changed(host)

    def paused(self, host: Watched) -> None:
        """A node stands still."""
        self.reached["pause of a leader" if host.is_leading else "pause of a follower"] += 1
        if self._record:
            self._record(trace.Paused(at_ms=self._schedule.now_ms, node=host.id))

    def resumed(self, host: Watched) -> None:
        """A node goes on."""
        if self._record:
            self._record(trace.Resumed(at_ms=self._schedule.now_ms, node=host.id))

    def disturbed(self, node: int | None, what: str) -> None:
        """A fault of the plan strikes."""
        if self._record:
            self._record(trace.Disturbed(at_ms=self._schedule.now_ms, node=node, what=what))

    # --- A turn ---------------------------------------------------------------------------

    def stepped(self, host: Watched, action: str, message: Message | None = None) -> None:
        """One input, or the write, of a turn is done."""
        if message is not None:
            for hears in self._hears[type(message)]:
                hears(host, message)
        node = host.running
        raft = node.raft
        standing, log = raft.standing, raft.log
        seen = (
            standing.current_term,
            standing.role,
            standing.voted_for,
            log.last_index,
            log.durable_index,
            log.commit_index,
            node.machine.last_applied,
        )
        before = self._seen.get(host.id)
        if seen == before:
            if message is not None and self._model_step is not None:
                self._step(host, action, message)
            return
        self._seen[host.id] = seen
        for changed in self._changed[_changed_parts(before, seen)]:
            changed(host)
        if action != "persist":
            self._step(host, action, message)
        if raft.commit_index > self._committed[host.id]:
            self._committed[host.id] = raft.commit_index
            if self._record:
                self._record(
                    trace.Committed(
                        at_ms=self._schedule.now_ms,
                        node=host.id,
                        term=log.term(raft.commit_index),
                        index=raft.commit_index,
                    )
                )

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        """An update is durable."""
        for synced in self._synced:
            synced(host, update)
        if self._record:
            entries = update.entries
            self._record(
                trace.Persisted(
                    at_ms=self._schedule.now_ms,
                    node=host.id,
                    hard_state=update.hard_state,
                    truncate_from=update.truncate_from,
                    first_index=entries[0].index if entries else 0,
                    terms=tuple(entry.term for entry in entries),
                )
            )

    def persisted(self, host: Watched) -> None:
        """The turn of a node is on its disk, and it may speak."""
        if self._model_step is not None:
            self._step(host, "persist")

    def speaks(self, host: Watched, outcome: Outcome) -> None:
        """Messages and answers leave a node."""
        for message in outcome.messages:
            kind = type(message)
            for speaks in self._speaks[kind]:
                speaks(host, message)
            if kind is AppendEntries or kind is AppendEntriesReply:
                self._count_message(message)
        for answer in outcome.answers:
            assert isinstance(answer.ticket, Call)
            self._count_answer(answer.ticket.request, answer.result)
            if isinstance(answer.ticket, CursorCall):
                self.reached["page by a cursor"] += 1
            for answers in self._answers:
                answers(host, answer.ticket.request, answer.result)
            if isinstance(answer.result, api.GetResult) and not host.is_leading:
                self.reached["read at a follower"] += 1

    def answered_at_once(self, result: api.Result) -> None:
        """A node answers the client that ships without a look at its log."""
        is_refused = isinstance(result, api.Failure)
        self.reached["call refused as stale" if is_refused else "read of what was applied"] += 1

    def turned(self, host: Watched) -> None:
        """A turn of a node is over."""
        for turned in self._turned:
            turned(host)

    def noted(self, host: Watched, event: events.Event) -> None:
        """The core reports something."""
        self.reached[_names.get(type(event), type(event).__name__)] += 1
        if self._record:
            self._record(trace.Noted(at_ms=self._schedule.now_ms, node=host.id, event=event))

    def _count_message(self, message: Message) -> None:
        if isinstance(message, AppendEntriesReply) and not message.success:
            self.reached["append rejected"] += 1
        elif isinstance(message, AppendEntries) and len(message.entries) > 1:
            self.reached["append of several entries"] += 1

    def _count_answer(self, request: api.Request, result: api.Result) -> None:
        if isinstance(result, api.Failure):
            self.reached[f"answer {result.code.value}"] += 1
            return
        self.reached["answer OK"] += 1
        if (kind := _kind_of(request)) is not None:
            self.reached[kind] += 1
        if isinstance(result, api.ScanResult) and result.next_start is not None:
            self.reached["page that goes on"] += 1

    def _step(self, host: Watched, action: str, message: Message | None = None) -> None:
        if self._model_step is None:
            return
        raft = host.running.raft
        self._model_step(
            trace.ModelStep(
                node=host.id,
                action=action,
                message=message,
                role=raft.role,
                term=raft.current_term,
                voted_for=raft.voted_for,
                start=raft.log.start,
                log=tuple(
                    map(raft.log.term, range(raft.log.start.index + 1, raft.log.last_index + 1))
                ),
                durable_index=raft.log.durable_index,
                durable_start=raft.log.durable_start,
                commit_index=raft.commit_index,
            )
        )


def _watching(checkers: Sequence[Checker], moment: str) -> list[Checker]:
    """Those that have a method of their own for it."""
    base = getattr(Checker, moment)
    return [one for one in checkers if getattr(type(one), moment) is not base]


def _changed_parts(before: _Seen | None, seen: _Seen) -> int:
    """Of a node that was not seen in its present life, everything is new."""
    if before is None:
        return _EVERYTHING
    parts = _ROLE if before[:3] != seen[:3] else 0
    if before[3:5] != seen[3:5]:
        parts |= _LOG
    if before[5] != seen[5]:
        parts |= _COMMITTED
    if before[6] != seen[6]:
        parts |= _APPLIED
    return parts


def _kind_of(request: api.Request) -> str | None:
    """What is worth counting of requests that were answered."""
    match request:
        case api.Once(write=write):
            return _kind_of(write)
        case api.PutMany():
            return "write of several keys"
        case api.Delete(keys=keys) if len(set(keys)) > 1:
            return "deletion of several keys"
        case api.Get(keys=keys) if len(set(keys)) > 1:
            return "read of several keys"
        case api.Count():
            return "count of keys"
        case api.Scan():
            return "page"
        case api.HandOver():
            return "handover told"
    return None


_names = {
    events.SteppingDown: "step-down",
    events.Deposed: "leader deposed",
    events.LostMajority: "majority lost",
    events.StoodStill: "leader stood still",
    events.Stalled: "stood still",
    events.BecamePreCandidate: "pre-candidacy",
    events.BecameCandidate: "candidacy",
    events.HandingOver: "handover begun",
    events.HandoverFailed: "handover failed",
    events.NeedsOlder: "older entries needed",
    events.ToldToStand: "told to stand",
    events.BecameLeader: "election",
    events.LogTruncated: "truncation",
    events.CannotVouch: "damage found",
    events.Repaired: "damage repaired",
    events.Admitted: "admission",
    events.Configured: "change of members",
    events.DirectoryLost: "directory given up",
    events.VersionRaised: "version raised",
    events.ShortOfRoom: "short of room",
    events.RoomIsBack: "room is back",
    events.WaitsForRoom: "applying waits for room",
    events.ApplyingAgain: "applying goes on",
    events.Compacting: "log compacted",
    events.VoteRefused: "vote refused",
    events.VoteGranted: "vote granted",
    events.BecameFollower: "became follower",
    events.FollowingLeader: "leader recognised",
    events.MessageIgnored: "message ignored",
    snapshot_events.WritingSnapshot: "snapshot begun",
    snapshot_events.SnapshotWritten: "snapshot written",
    snapshot_events.CannotWriteSnapshot: "snapshot not written for now",
    snapshot_events.CannotTakeSnapshot: "snapshot not taken for now",
    snapshot_events.SendingSnapshot: "snapshot fetched",
    snapshot_events.SnapshotSent: "snapshot sent",
    snapshot_events.SnapshotWasBad: "snapshot found damaged",
    snapshot_events.ReceivingSnapshot: "snapshot offered",
    snapshot_events.SnapshotInstalled: "snapshot installed",
    snapshot_events.SnapshotAbandoned: "snapshot given up",
    divergence_events.DataDiffer: "data differ",
    divergence_events.DifferingDataReplaced: "differing data replaced",
    state_events.StatesCompared: "states compared",
    state_events.StatesDisputed: "states disputed",
}
