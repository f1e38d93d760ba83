"""No two nodes apply different entries at one index (Raft Figure 3).

Law: what the first node applies at an index is what every node applies there, also
after any number of restarts; and what is committed at an index is one entry.
"""

from __future__ import annotations

from kvstore.raft.types import Entry, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST

_ALL = 1 << 40


class StateMachineSafety(Checker):
    """Remembers the entries applied, and how far each node has come in its present life."""

    theorem = "state machine safety"
    watches = Part.COMMITTED | Part.APPLIED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._applied = Indexed[Entry](start.index)
        self._terms = Indexed[int](start.index)
        """Terms of the committed entries."""
        self._progress: dict[int, tuple[int, int]] = {}
        """Node -> (applied index, commit index) at its last change."""

    def started(self, host: Watched) -> None:
        applied = host.running.machine.last_applied
        self._progress[host.id] = (applied, applied)

    def changed(self, host: Watched) -> None:
        log, last_applied = host.running.raft.log, host.running.machine.last_applied
        applied, committed = self._progress[host.id]
        self._progress[host.id] = (last_applied, log.commit_index)
        # What a snapshot stands for, `Installed` judges.
        applied, committed = max(applied, log.start.index), max(committed, log.start.index)
        for index in range(committed + 1, log.commit_index + 1):
            self._check_committed(host, index, log.term(index))
        while applied < last_applied:
            for entry in log.slice(applied + 1, last_applied + 1, _ALL):
                self._check_applied(host, entry)
                applied = entry.index

    def _check_committed(self, host: Watched, index: int, term: int) -> None:
        if index > self._terms.last:
            self._terms.append(term)
        if self._terms[index] != term:
            self.fail(
                f"node {host.id} commits entry {index} of term {term}, but that of term"
                f" {self._terms[index]} is committed"
            )

    def _check_applied(self, host: Watched, entry: Entry) -> None:
        if entry.index > self._applied.last:
            self._applied.append(entry)
        known = self._applied[entry.index]
        if known is not entry and known != entry:
            self.fail(
                f"node {host.id} applies entry {entry.index} of term {entry.term}, another node"
                f" applied that of term {known.term}"
            )
