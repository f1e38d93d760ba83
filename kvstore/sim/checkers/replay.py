"""What a node makes of its log is what the log says.

Law: the entries that were applied, carried out here once more by a model that shares nothing
with `kvstore.kv`, lead every node to the same revision at every index; and what `kvstore.kv`
tells that an entry changed, for those who watch, is what the model changes. The model also tells
what was there at any revision, for those who judge what clients were shown. Of a write that it
does not know it believes what is told.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple, TypeAlias

import msgspec

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.record import to_key_value, unpack_head
from kvstore.raft.types import Entry, EntryKind
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.transactions import outcome
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import NOTHING, Beginning
from kvstore.sim.words import said

_ALL = 1 << 40
_decode = msgspec.msgpack.Decoder(api.Logged).decode


Contents: TypeAlias = dict[bytes, api.KeyValue]
Changes: TypeAlias = dict[bytes, api.KeyValue | None]
"""What one entry changes: each key with what it leaves there."""


class Change(NamedTuple):
    """What made a revision: the write, and how many keys it changed."""

    write: api.Write
    keys: int


class _Session(NamedTuple):
    used_ms: int
    sequence: int
    write: api.Write | None


class Replay(Checker):
    """The model, and how far it has come.

    * `_revisions`: the revision after each entry, and after what the log begins with.
    * `made_by`: of each revision since then, what made it.
    * `_changes`: of each key, the revisions that changed it, with what they left.
    * `_sessions`: in the order of their last use.
    """

    theorem = "what is applied is what the log says"
    watches = Part.APPLIED

    def __init__(self, members: tuple[int, ...], began_with: Beginning = NOTHING) -> None:
        super().__init__(members, began_with.start)
        self._began_with = began_with
        revision = began_with.applied.revision
        self._revisions = Indexed(self.start.index - 1, [revision])
        self.made_by = Indexed[Change](revision)
        self._changes: dict[bytes, list[tuple[int, api.KeyValue | None]]] = {}
        for key, stored in began_with.new_state("replay").scan(b""):
            record = to_key_value(key, stored)
            self._changes[key] = [(record.mod_revision, record)]
        self._sessions: dict[int, _Session] = {}
        self._time_ms = began_with.applied.time_ms
        self._rules = api.SessionRules()
        self._told_by: StateMachine | None = None

    def changed(self, host: Watched) -> None:
        machine = host.running.machine
        self._rules = host.session_rules
        while self._revisions.last < machine.last_applied:
            start, stop = self._revisions.last + 1, machine.last_applied + 1
            for entry in host.running.raft.log.slice(start, stop, _ALL):
                self._revisions.append(self._newest_revision + bool(self._judged(entry)))
        if machine.last_applied < self.start.index:
            return  # It has a new directory, and none of the data yet.
        expected = self._revisions[machine.last_applied]
        if machine.revision != expected:
            self.fail(
                f"node {host.id} stands at revision {machine.revision} after entry"
                f" {machine.last_applied}, which is {expected}"
            )

    def contents(self, revision: int) -> Contents:
        """What was there, by key, in no order."""
        found = {}
        for key in self._changes:
            record = self.record(key, revision)
            if record is not None:
                found[key] = record
        return found

    def record(self, key: bytes, revision: int) -> api.KeyValue | None:
        """What was there under a key."""
        changes = self._changes.get(key, [])
        position = bisect_right(changes, revision, key=lambda change: change[0])
        return changes[position - 1][1] if position else None

    # --- What is told ---------------------------------------------------------------------

    def _judged(self, entry: Entry) -> Changes:
        """What an entry changes, by the model, and by what is told of it alike."""
        told = self._told(entry)
        changes = self._apply(entry, told)
        if changes != told:
            self.fail(
                f"of entry {entry.index} is told that it changes {said(tuple(told.items()))},"
                f" and it changes {said(tuple(changes.items()))}"
            )
        return changes

    def _told(self, entry: Entry) -> Changes:
        """What the state machine tells, which here begins with the log and never restarts."""
        if self._told_by is None:
            state = self._began_with.new_state("replay")
            self._told_by = StateMachine(state, state.applied(), 0, self._rules)
        if entry.kind is not EntryKind.COMMAND:
            self._told_by.advance(entry.index)
            return {}
        effect = self._told_by.apply(entry.index, entry.data)
        told: dict[bytes, api.KeyValue | None] = {}
        for place, (key, record, old) in enumerate(effect.changes):
            if key in told or (record is not None and unpack_head(record)[4] != place):
                self.fail(f"of entry {entry.index} is told twice, or out of its place: {said(key)}")
            told[key] = _shown(key, record)
            if _shown(key, old) != self._newest(key):
                self.fail(
                    f"of entry {entry.index} is told that {said(key)} was {said(_shown(key, old))},"
                    f" and it was {said(self._newest(key))}"
                )
        revision = self._newest_revision + 1 if told else 0
        if effect.revision != revision:
            self.fail(
                f"of entry {entry.index} is told revision {effect.revision}, and it is {revision}"
            )
        return told

    # --- The model ------------------------------------------------------------------------

    def _apply(self, entry: Entry, told: Changes) -> Changes:
        if entry.kind is not EntryKind.COMMAND:
            return {}
        logged = _decode(entry.data)
        if not isinstance(logged, api.Stamped):
            return self._write(logged, told)
        self._time_ms = max(self._time_ms, logged.time_ms)
        match logged.command:
            case api.Once() as once:
                return self._once(once, told)
            case api.Grant() | api.Revoke() as write:
                return self._write(write, told)
            case api.Renew() | api.Pass():
                return told
        while len(self._sessions) >= self._rules.sessions_max:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[entry.index] = _Session(self._time_ms, 0, None)
        return {}

    def _once(self, once: api.Once, told: Changes) -> Changes:
        session = self._sessions.get(once.session)
        if session is None or self._time_ms - session.used_ms > self._rules.ttl_ms:
            return {}
        is_new = once.sequence > session.sequence
        if not is_new and (once.sequence, once.write) != (session.sequence, session.write):
            return {}
        del self._sessions[once.session]
        self._sessions[once.session] = _Session(self._time_ms, once.sequence, once.write)
        return self._write(once.write, told) if is_new else {}

    def _write(self, write: api.Write, told: Changes) -> Changes:
        if write.guard is not None:
            record = self._newest(write.guard.key)
            if write.guard.mod_revision != (record.mod_revision if record else 0):
                return {}
        revision = self._newest_revision + 1
        changes = self._changes_of(write, told)
        for key, record in changes.items():
            self._changes.setdefault(key, []).append((revision, record))
        if changes:
            self.made_by.append(Change(write, len(changes)))
        return changes

    def _changes_of(self, write: api.Write, told: Changes) -> Changes:
        """What each changed key has then; what is told, of a write that the model does not know."""
        revision = self._newest_revision
        if isinstance(write, api.Txn | api.DeleteRange):
            return outcome(write, self.contents(revision), revision).changes
        values = self._values_left_by(write)
        if values is None:
            return told
        return {
            key: _next_record(key, value, self._newest(key), revision + 1)
            for key, value in values.items()
        }

    @property
    def _newest_revision(self) -> int:
        return self._revisions[self._revisions.last]

    def _newest(self, key: bytes) -> api.KeyValue | None:
        changes = self._changes.get(key)
        return changes[-1][1] if changes else None

    def _values_left_by(self, write: api.Write) -> dict[bytes, bytes | None] | None:
        """What each changed key has then; None for a write that the model does not know."""
        match write:
            case api.Put():
                return {write.key: write.value} if holds(write, self._newest(write.key)) else {}
            case api.PutMany():
                return dict(write.pairs)
            case api.Delete():
                return {key: None for key in dict.fromkeys(write.keys) if self._newest(key)}
            case api.Increment():
                old = self._newest(write.key)
                number = api.parse_integer(old.value) if old else 0
                if number is None or not api.INTEGER_MIN <= number + write.by <= api.INTEGER_MAX:
                    return {}
                return {write.key: b"%d" % (number + write.by)}
            case _:
                return None


def holds(put: api.Put, there: api.KeyValue | None) -> bool:
    """Whether the condition of a put holds where that is there."""
    match put.when:
        case api.When.ALWAYS:
            return True
        case api.When.ABSENT:
            return there is None
        case api.When.PRESENT:
            return there is not None
        case api.When.EQUAL:
            return there is not None and there.value == put.expected


def _shown(key: bytes, record: bytes | None) -> api.KeyValue | None:
    return None if record is None else to_key_value(key, record)


def _next_record(
    key: bytes, value: bytes | None, old: api.KeyValue | None, revision: int
) -> api.KeyValue | None:
    if value is None:
        return None
    if old is None:
        return api.KeyValue(key, value, revision, revision, 1)
    return api.KeyValue(key, value, old.create_revision, revision, old.version + 1)
