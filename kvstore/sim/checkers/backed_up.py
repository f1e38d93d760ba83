"""A backup is the state as of its index, byte for byte.

Law: whichever node gave it, and whatever went wrong meanwhile, a whole backup is what the entries
up to its index leave, with sessions, revision, time, version and members, written by the same
format. Judged by a state machine that applied each entry once.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvstore import api
from kvstore.errors import DamagedSnapshotError
from kvstore.kv.machine import StateMachine
from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import configuration_of
from kvstore.raft.types import CONFIGURE, Entry, EntryKind
from kvstore.raft.versions import version_of
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import Beginning
from kvstore.storage.snapshot_format import Header, SnapshotDecoder
from kvstore.storage.snapshot_stream import SnapshotStream

_ALL = 1 << 40


class _Model:
    """The data, as far as a backup goes."""

    def __init__(
        self, began_with: Beginning, founders: Configuration, rules: api.SessionRules
    ) -> None:
        self._state = began_with.new_state("backing up")
        self._machine = StateMachine(self._state, self._state.applied(), 0, rules)
        self._configuration, self._term = founders, began_with.start.term

    @property
    def index(self) -> int:
        return self._machine.last_applied

    def apply(self, entry: Entry) -> None:
        self._term = entry.term
        if entry.kind is EntryKind.COMMAND:
            self._machine.apply(entry.index, entry.data)
            return
        self._machine.advance(entry.index)
        if entry.kind is EntryKind.VERSION:
            self._machine.adopt(version_of(entry))
        elif entry.kind is CONFIGURE:
            self._configuration = configuration_of(entry)

    def backup(self, cluster_id: str) -> bytes:
        """What a node gives that stands here."""
        self._state.commit(self._machine.applied)
        reading = self._state.reading()
        stream = SnapshotStream(reading, cluster_id, self._term, self._configuration)
        data = b""
        while not stream.is_at_end:
            data += stream.read(_ALL)
        return data


def check_backups(
    backups: Iterable[bytes],
    cluster_id: str,
    began_with: Beginning,
    founders: Configuration,
    applied: Indexed[Entry],
    rules: api.SessionRules,
) -> list[str]:
    """Backups that are not whole, or of another state than the log leaves; empty if all are."""
    findings: list[str] = []
    found: list[tuple[int, bytes]] = []
    for backup in backups:
        header = _header_of(backup)
        if header is None or not applied.start <= header.index <= applied.last:
            findings.append(f"a backup is not whole, or of what nobody applied: {header}")
        else:
            found.append((header.index, backup))
    model = _Model(began_with, founders, rules)
    for index, backup in sorted(found):
        while model.index < index:
            model.apply(applied[model.index + 1])
        if backup != model.backup(cluster_id):
            findings.append(f"a backup as of entry {index} is not what the log leaves there")
    return findings


def _header_of(backup: bytes) -> Header | None:
    """None if it is not whole."""
    decoder = SnapshotDecoder()
    try:
        decoder.feed(backup)
        decoder.finish()
    except DamagedSnapshotError:
        return None
    return decoder.header
