"""A recovery keeps what it says, and what it makes is beyond all of the cluster that was lost.

Law: up to the last entry that its directory can read, the recovered data are those that the log
leaves: what is committed, as far as the directory has just that, and behind it what it held alone.
So of what was acknowledged only that is lost which stands behind the end that it told, or in whose
place this directory had another entry, behind what it told to be committed. Term and revision are
higher than any of before, and who counted then counts no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.raft.types import Entry, EntryKind, HardState, LogStart
from kvstore.raft.versions import version_of
from kvstore.recovery import Prospect, Recovery
from kvstore.sim.disk import Disk
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import Beginning
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.storage.tables import TABLES

_ALL: Final = 1 << 40
_Records: TypeAlias = dict[str, list[tuple[bytes, bytes]]]


class Found(NamedTuple):
    """A directory as it is before it is recovered.

    * `tail`: all entries behind what is applied that can be read, and have all before them.
    * `ends`: where its log ends, whether that can be read or not.
    """

    identity: Identity
    tail: Indexed[Entry]
    terms: Indexed[int]
    start: LogStart
    ends: int

    @property
    def last(self) -> LogStart:
        """The last entry that can be read, as what a log may begin after."""
        index = self.tail.last
        return LogStart(index, self.start.term if index == self.start.index else self.terms[index])


def look_at(disk: Disk) -> Found:
    """Before anybody does anything with it."""
    log, applied = disk.log, disk.state.applied().last_applied
    stop = min((index for index in log.unreadable if index > applied), default=log.last_index + 1)
    tail = log.entries(applied + 1, stop, _ALL) if stop > applied + 1 else []
    terms = Indexed(log.terms.start, log.terms)
    return Found(log.identity, Indexed(applied, tail), terms, log.start, log.last_index)


class Lost(NamedTuple):
    """What is known of the cluster that is lost.

    * `committed`: what its nodes applied.
    * `term`, `revision`: the highest that there were.
    """

    began_with: Beginning
    committed: Indexed[Entry]
    term: int
    revision: int
    session_rules: api.SessionRules


def agreed_index(found: Found, committed: Indexed[Entry]) -> int:
    """Up to where the directory has what is committed (log matching)."""
    index = min(found.tail.last, committed.last)
    while index > found.terms.start and found.terms[index] != committed[index].term:
        index -= 1
    return index


def check_recovery(
    found: Found, lost: Lost, prospect: Prospect, recovery: Recovery, disk: Disk
) -> list[str]:
    """What a recovery told, and what it left on `disk`, that is not so; empty if all is."""
    agreed = agreed_index(found, lost.committed)
    if agreed < found.tail.start:
        return [f"the directory applied entry {found.tail.start}, and agrees up to {agreed}"]
    last, log = found.last, disk.log
    machine, outliving = _model(found, lost, agreed)
    alone = [(one.node_id, one.is_voter, one.directory) for one in log.configuration.members]
    findings = [
        *_differing(
            "the recovery tells",
            (prospect.applied_index, prospect.last_index, prospect.last_term, prospect.unreadable),
            (found.tail.start, last.index, last.term, found.ends - last.index),
        ),
        *_differing("the records are", _outliving(disk.state), outliving),
        *_differing("what stays behind is", _staying(disk.state), {}),
        *_differing("the log begins after", (log.start, log.terms.last), (last, last.index)),
        *_differing("the members are", alone, [(found.identity.node_id, True, "")]),
        *_differing("the hard state is", log.hard_state, HardState(recovery.term)),
        *_differing("known peers are", disk.lineage.known, {}),
    ]
    applied, model = disk.state.applied(), machine.applied
    findings += _differing(
        "the data stand at",
        (applied.last_applied, applied.time_ms, applied.cluster_version),
        (model.last_applied, model.time_ms, model.cluster_version),
    )
    if recovery.term <= lost.term or min(recovery.revision, applied.revision) <= lost.revision:
        findings.append(
            f"it goes on from term {recovery.term} and revision {recovery.revision}, and there were"
            f" {lost.term} and {lost.revision}"
        )
    old, new = found.identity, log.identity
    if old.cluster_id == new.cluster_id or old.incarnation == new.incarnation:
        findings.append(f"it is still called {new}")
    return findings


def _differing(what: str, told: Any, expected: Any) -> Iterator[str]:
    if told != expected:
        yield f"{what} {told}, where it is {expected}"


def _model(found: Found, lost: Lost, agreed: int) -> tuple[StateMachine, _Records]:
    """What the log leaves, and the records by then."""
    state = lost.began_with.new_state("recovering")
    machine = StateMachine(state, state.applied(), 0, lost.session_rules)
    for index in range(state.applied().last_applied + 1, found.tail.last + 1):
        entry = lost.committed[index] if index <= agreed else found.tail[index]
        if entry.kind is EntryKind.COMMAND:
            machine.apply(index, entry.data)
            continue
        machine.advance(index)
        if entry.kind is EntryKind.VERSION:
            machine.adopt(version_of(entry))
    return machine, _outliving(state)


def _outliving(state: MemoryState) -> _Records:
    """All records that a recovery leaves, by table."""
    tables = zip(TABLES, state.tables, strict=True)
    return {row.name: [*table.scan(b"")] for row, table in tables if row.outlives}


def _staying(state: MemoryState) -> _Records:
    """All records of tables that a recovery leaves out."""
    tables = zip(TABLES, state.tables, strict=True)
    found = {row.name: [*table.scan(b"")] for row, table in tables if not row.outlives}
    return {name: records for name, records in found.items() if records}
