"""A request of a session takes effect at most once (thesis §6.3).

Law: of all entries that carry one number of one session, only the first may raise the
revision, on every replica, whatever it went through. Judged from the entries that a
node has applied and from how far its revision has moved, and from nothing that the
state machine says of sessions.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.raft.types import Entry, EntryKind, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST

_ALL = 1 << 40
_decode = msgspec.msgpack.Decoder(api.Logged).decode


class ExactlyOnce(Checker):
    """Remembers where each number was applied first, and how far each node has come."""

    theorem = "a request of a session takes effect at most once"
    watches = Part.APPLIED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._first_at: dict[tuple[int, int], int] = {}
        self._judged: dict[int, tuple[Entry, bool]] = {}
        """Index -> the entry that was applied there last, and whether it may change anything."""
        self._progress: dict[int, tuple[int, int]] = {}
        """Node -> (applied index, revision) at its last change."""

    def started(self, host: Watched) -> None:
        machine = host.running.machine
        self._progress[host.id] = (machine.last_applied, machine.revision)

    def changed(self, host: Watched) -> None:
        log, machine = host.running.raft.log, host.running.machine
        applied, revision = self._progress[host.id]
        self._progress[host.id] = (machine.last_applied, machine.revision)
        if applied < log.start.index:
            return  # What a snapshot stands for, `Installed` judges.
        first, changes_max = applied + 1, 0
        while applied < machine.last_applied:
            for entry in log.slice(applied + 1, machine.last_applied + 1, _ALL):
                changes_max += self._may_change(entry)
                applied = entry.index
        if machine.revision - revision > changes_max:
            self.fail(
                f"node {host.id} applies entries {first} to {applied}, of which {changes_max} may"
                f" change anything, and its revision goes from {revision} to {machine.revision}"
            )

    def _may_change(self, entry: Entry) -> bool:
        judged = self._judged.get(entry.index)
        if judged is None or judged[0] is not entry:
            judged = self._judged[entry.index] = (entry, self._judge(entry))
        return judged[1]

    def _judge(self, entry: Entry) -> bool:
        if entry.kind is not EntryKind.COMMAND:
            return False
        match _decode(entry.data):
            case api.Stamped(command=api.OpenSession()):
                return False
            case api.Stamped(command=api.Once(session=session, sequence=sequence)):
                number = (session, sequence)
                return self._first_at.setdefault(number, entry.index) == entry.index
        return True
