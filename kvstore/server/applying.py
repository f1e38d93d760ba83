"""What is committed, and durable here, goes into the state machine, and who waits for it hears.

Law: entries are applied in the order of the log, as far as there is work left in the turn, and
room. A read as of index i is answered when i is applied and before i + 1 is. It must not know
how entries are committed, nor what a command means.
"""

from __future__ import annotations

from typing import Final

from kvstore.kv.machine import ENTRY_STEPS, StateMachine
from kvstore.raft.core import Raft
from kvstore.raft.events import Event
from kvstore.raft.types import CHECK, COMMAND, VERSION, Entry
from kvstore.server.checkpoints import Checkpoints
from kvstore.server.cluster_version import ClusterVersion
from kvstore.server.own_digest import OwnDigest
from kvstore.server.ticket import Answer
from kvstore.server.waiting.kind import Here
from kvstore.server.waiting.reads import WaitingReads
from kvstore.server.waiting.renewals import WaitingRenewals
from kvstore.server.waiting.writes import WaitingWrites
from kvstore.server.watching.hub import Watches

_APPLY_BYTES: Final = 64 << 10
"""Entry data that is read at once, of which what the turn has no work left for is wasted."""


class Applier:
    """The way of entries into the state machine of one node.

    * A turn applies until its steps are spent, and one entry at least.
    * `events`: what entries told of the cluster; who takes them empties it.
    """

    def __init__(
        self,
        here: Here,
        checkpoints: Checkpoints,
        cluster_version: ClusterVersion,
        writes: WaitingWrites,
        reads: WaitingReads,
        own_digest: OwnDigest,
        watches: Watches,
        renewals: WaitingRenewals,
    ) -> None:
        self._here = here
        self._raft: Raft = here.raft
        self._machine: StateMachine = here.machine
        self._checkpoints = checkpoints
        self._cluster_version = cluster_version
        self._writes = writes
        self._reads = reads
        self._own_digest = own_digest
        self._watches = watches
        self._renewals = renewals
        self._steps_max = here.settings.limits.apply_steps_per_turn_max
        self._steps_end = 0
        """How far the machine's steps may go in this turn."""
        self.events: list[Event] = []

    def begin_turn(self) -> None:
        """There is work for a turn."""
        self._steps_end = self._machine.steps + self._steps_max

    def apply_committed(self, answers: list[Answer]) -> None:
        """Go on as far as may be; what comes of it for who waits is added to `answers`."""
        here, machine, reads = self._here, self._machine, self._reads
        if reads.ready:
            answers += reads.settle(here)
        before = -1
        while before < machine.last_applied and machine.steps < self._steps_end:
            before = machine.last_applied
            count = -(-(self._steps_end - machine.steps) // ENTRY_STEPS)
            if not (entries := self._raft.committed_entries(before, count, _APPLY_BYTES)):
                break
            has_reads = bool(reads.ready)
            for entry in here.room.fitting(entries, self._checkpoints.make):
                self._apply(entry, answers)
                if has_reads:
                    answers += reads.settle(here)
                if machine.steps >= self._steps_end:
                    break

    def _apply(self, entry: Entry, answers: list[Answer]) -> None:
        if entry.kind is not COMMAND:
            self._machine.advance(entry.index)
            if entry.kind is VERSION:
                self.events += self._cluster_version.apply(entry)
            elif entry.kind is CHECK:
                self._own_digest.begin(entry.index)
                self._steps_end = self._machine.steps  # A checkpoint is enough for a turn.
            return
        effect = self._machine.apply(entry.index, entry.data)
        if self._watches.is_wanted and effect.changes:
            self._steps_end -= self._watches.note(effect.revision, effect.changes)
        writes = self._writes.waiting
        write = writes.pop((entry.index, entry.term), None) if writes else None
        if write is not None:
            answers.append(Answer(write.ticket, effect.result))
        elif self._renewals.under_way == (entry.index, entry.term):
            self._renewals.take(effect.result)
