"""Only what is durable elsewhere is dropped from the front of a log (Raft §7).

Law: when a log begins later than it did, the state on the same disk reaches to its new start,
for certain, or one does that a start would put in its place; what is dropped is committed; and
a log never begins earlier again.
"""

from __future__ import annotations

from kvstore.raft.types import DurableUpdate, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST


class Dropping(Checker):
    """Remembers what is committed, and after what each directory's log begins."""

    theorem = "only what is durable is dropped"
    watches = Part.COMMITTED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._terms = Indexed[int](start.index)
        """Of the committed entries."""
        self._starts: dict[int, int] = {}

    def started(self, host: Watched) -> None:
        self._check_start(host, host.running.raft.log.start)

    def directory_changed(self, host: Watched) -> None:
        self._starts.pop(host.id, None)

    def changed(self, host: Watched) -> None:
        log = host.running.raft.log
        for index in range(self._terms.last + 1, log.commit_index + 1):
            self._terms.append(log.term(index))

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        if update.start is not None:
            self._check_start(host, update.start)

    def _check_start(self, host: Watched, start: LogStart) -> None:
        if start.index < self._starts.setdefault(host.id, start.index):
            self.fail(f"node {host.id} begins after entry {start.index} again")
        self._starts[host.id] = start.index
        if start.index > self.start.index and self._terms.get(start.index) != start.term:
            self.fail(
                f"node {host.id} drops entry {start.index} of term {start.term}, which is not known"
                " to be committed"
            )
        applied = host.disk.certain_index
        if applied < start.index:
            self.fail(
                f"node {host.id} drops its log up to entry {start.index}, its state is durable up"
                f" to {applied}"
            )
