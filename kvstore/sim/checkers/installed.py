"""What a snapshot brings is what was applied as of its entry, byte for byte.

Law: data that a node did not come by through its own log are those that the entries up to there
leave, with sessions, revision, time and version, whatever was lost, doubled or broken off on the
way, and wherever the node ended meanwhile. Judged by a state machine that applied each entry once.
"""

from __future__ import annotations

from typing import Any

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.raft.types import Entry, EntryKind
from kvstore.raft.versions import version_of
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import NOTHING, Beginning
from kvstore.storage.memory import MemoryState
from kvstore.storage.tables import TABLES

_ALL = 1 << 40


class Installed(Checker):
    """Remembers the entries that were applied, and how far each node came by its own log.

    * `entries`: all that any node applied.
    * `_model` has applied them up to the last snapshot that was judged.
    """

    theorem = "what is installed is what was applied"
    watches = Part.APPLIED

    def __init__(self, members: tuple[int, ...], began_with: Beginning = NOTHING) -> None:
        super().__init__(members, began_with.start)
        self._began_with = began_with
        self.entries = Indexed[Entry](self.start.index)
        self._applied: dict[int, int] = {}
        """Node -> how far its state machine was at its last change."""
        self._durable: dict[int, int] = {}
        """Node -> how far its state was durable, by its own log, before its present life."""
        self._rules = api.SessionRules()
        self._state, self._model = self._new_model()

    def _new_model(self) -> tuple[MemoryState, StateMachine]:
        state = self._began_with.new_state("installing")
        return state, StateMachine(state, state.applied(), 0, self._rules)

    def started(self, host: Watched) -> None:
        """It may have finished what was interrupted."""
        self._rules = host.session_rules
        applied = host.running.machine.last_applied
        if applied > self._applied.get(host.id, self.start.index):
            self._check(host)
        self._applied[host.id] = applied

    def directory_changed(self, host: Watched) -> None:
        self._applied.pop(host.id, None)

    def changed(self, host: Watched) -> None:
        log, applied = host.running.raft.log, host.running.machine.last_applied
        before = self._applied[host.id]
        self._applied[host.id] = applied
        if before < log.start.index:
            self._check(host)
            return
        first = max(before, self.entries.last)
        while first < applied:
            self.entries.extend(log.slice(first + 1, applied + 1, _ALL))
            first = self.entries.last

    def _check(self, host: Watched) -> None:
        index = host.running.machine.last_applied
        if index > self.entries.last:
            self.fail(f"node {host.id} has data up to entry {index}, which nobody has applied")
        if index < self._model.last_applied or not self._model.last_applied > self.start.index:
            self._state, self._model = self._new_model()
        while self._model.last_applied < index:
            self._apply(self.entries[self._model.last_applied + 1])
        found, machine = host.disk.state, host.running.machine
        compared: list[tuple[str, Any, Any]] = []
        compared.append(("what it stands at", machine.applied, self._model.applied))
        for row, here, there in zip(TABLES, found.tables, self._state.tables, strict=True):
            compared.append((row.name, [*here.scan(b"")], [*there.scan(b"")]))
        for name, theirs, ours in compared:
            if theirs != ours:
                self.fail(
                    f"node {host.id} installs the data up to entry {index}, and its {name} are"
                    f" {theirs}, where the log tells {ours}"
                )

    def _apply(self, entry: Entry) -> None:
        if entry.kind is EntryKind.COMMAND:
            self._model.apply(entry.index, entry.data)
            return
        self._model.advance(entry.index)
        if entry.kind is EntryKind.VERSION:
            self._model.adopt(version_of(entry))
