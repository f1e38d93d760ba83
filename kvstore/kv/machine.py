"""The state machine: applies commands to a key space, and answers queries on it.

Law: deterministic. A result depends on the entries applied so far and on nothing
else: no clock, no chance, no node. A command that changes something raises the
revision by one, however many keys it touches; one that changes nothing does not.

It must not know Raft, sockets or LMDB: it sees a `View`. How sessions make a write
happen once is `sessions.py`'s business, and when enough is done in one turn, the node's:
`steps` tells it what was done, in units that follow from requests and data alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from kvstore import api
from kvstore.api.glob import compiled
from kvstore.api.intervals import after_all_with
from kvstore.errors import DirectoryRefusedError
from kvstore.kv.changing import READ_STEPS, WRITE_STEPS, Changing, Refused
from kvstore.kv.clock import LogClock
from kvstore.kv.effect import Change, Effect
from kvstore.kv.events import Events
from kvstore.kv.footprint import footprint, is_wide
from kvstore.kv.keyspace import Keyspace
from kvstore.kv.leases import Due, Leases, no_lease
from kvstore.kv.ranges import Ranging
from kvstore.kv.record import HEAD_BYTES, lease_of, to_key_value, unpack_head
from kvstore.kv.sessions import Sessions
from kvstore.kv.txn import carry_out
from kvstore.kv.undo import Position
from kvstore.kv.view import NO_FOOTPRINT, Applied, Footprint, View

SCAN_STEPS_MAX: Final = 4_000
"""A page of a scan ends there. A step is about a microsecond of one processor in 2026."""
ENTRY_STEPS: Final = 8
"""What each entry costs, whatever it holds."""
_MATCHES_PER_STEP: Final = 128
_REPLACED_BYTES_MAX: Final = 64 << 20
"""A put of several keys reads so much of what it replaces. Not a setting: replicas must agree."""

_LEASE_RULES: Final = api.LeaseRules()
_decode_logged = msgspec.msgpack.Decoder(api.Logged).decode
_ALWAYS: Final = api.When.ALWAYS  # A look-up in the class takes longer than a put's other checks.
_NOT_AN_INTEGER = api.Failure(
    api.FailureCode.INVALID, "value is not an integer or out of range", is_final=True
)
_OVERFLOW = api.Failure(
    api.FailureCode.INVALID, "increment or decrement would overflow", is_final=True
)
_REPLACES_TOO_MUCH = api.Failure(
    api.FailureCode.INVALID,
    f"the values of these keys exceed {_REPLACED_BYTES_MAX} bytes; set fewer at once, or delete"
    " them first",
    is_final=True,
)


class StateMachine:
    """A key space with its revision.

    * Entries are applied once each, in index order; `last_applied` never goes back.
    * `revision` equals the largest `mod_revision` that was ever given.
    * `cluster_version` never goes back.
    * `steps`, the work of all entries and queries so far, only grows.
    """

    def __init__(
        self,
        view: View,
        applied: Applied,
        reply_bytes_max: int,
        sessions: api.SessionRules,
        leases: api.LeaseRules = _LEASE_RULES,
    ) -> None:
        self._view = view
        self._rules = sessions
        self._lease_rules = leases
        self._reply_bytes_max = reply_bytes_max
        self._steps = 0
        self._begin(applied)

    def go_on_from(self, applied: Applied) -> None:
        """The view holds what all entries up to `applied` left, from elsewhere."""
        self._steps += self._keys.steps
        self._begin(applied)

    def _begin(self, applied: Applied) -> None:
        self.clock = LogClock(applied.time_ms)
        self.leases = Leases(self._view, self._lease_rules, self.clock)
        self._keys = Keyspace(self._view, applied.past, self.leases)
        self._sessions = Sessions(self._view.sessions, self._rules, self.clock)
        self.last_applied = applied.last_applied
        self.revision = applied.revision
        self.cluster_version = applied.cluster_version

    @property
    def applied(self) -> Applied:
        """What a commit of the view must carry."""
        return Applied(
            self.last_applied,
            self.revision,
            self.clock.time_ms,
            self.cluster_version,
            self._keys.past,
        )

    @property
    def steps(self) -> int:
        """The work of all entries and queries so far."""
        return self._steps + self._keys.steps

    def apply(self, index: int, data: bytes) -> Effect:
        """Apply the command that the log holds at `index`.

        Raises `DirectoryRefusedError` for bytes that are no command of this version.
        """
        self.advance(index)
        self._steps += len(data) >> 10
        try:
            logged: api.Logged = _decode_logged(data)
        except msgspec.DecodeError as error:
            raise DirectoryRefusedError(
                f"log entry {index} is whole, and not a command that this version knows ({error}): "
                "use the kvstore release that wrote it"
            ) from None
        if not isinstance(logged, api.Stamped):
            return self._write_guarded(logged)
        self.clock.move_to(logged.time_ms)
        command = logged.command
        if isinstance(command, api.OpenSession):
            return Effect(self._sessions.open(index))
        if isinstance(command, api.Once):
            return self._sessions.once(index, command, self._write_guarded)
        if isinstance(command, api.Renew):
            self._steps += WRITE_STEPS * len(command.leases)
            return Effect(api.KeptResult(self.leases.renew(command.leases)))
        if isinstance(command, api.Pass):
            return self._pass(command)
        return self._write_guarded(command)

    def footprint(self, data: bytes) -> Footprint:
        """How much the command in a log entry changes, at most."""
        try:
            return footprint(_decode_logged(data), self._rules, self._keys)
        except msgspec.DecodeError:
            return NO_FOOTPRINT  # `apply` says what is wrong with it

    is_wide = staticmethod(is_wide)

    def advance(self, index: int) -> None:
        """Pass an entry: one that holds no command, unless `apply` does the rest."""
        assert index == self.last_applied + 1
        self.last_applied = index
        self._steps += ENTRY_STEPS

    def adopt(self, version: int) -> bool:
        """The entry passed last gives the cluster a version; whether it is newer than before."""
        is_newer = version > self.cluster_version
        self.cluster_version = max(version, self.cluster_version)
        return is_newer

    def query(self, query: api.Query) -> api.Result:
        """Answer from the entries applied so far."""
        self._steps += READ_STEPS
        return QUERIES[type(query)](self, query)

    @property
    def floor(self) -> int:
        """The first revision whose changes are all kept."""
        return self._keys.floor

    def events(self, position: Position, steps: int, wanted: Callable[[bytes], bool]) -> Events:
        """What changed from `position` on, not below the floor, of keys that are wanted."""
        return self._keys.events(position, self.revision, steps, wanted)

    # --- Commands -------------------------------------------------------------------------

    def _write_guarded(self, write: api.Write) -> Effect:
        """Carry out a write, unless it has a guard that does not hold."""
        if write.guard is not None:
            mod_revision = self._mod_revision(write.guard.key)
            if mod_revision != write.guard.mod_revision:
                return Effect(api.GuardFailed(self.revision, mod_revision))
        return WRITES[type(write)](self, write)

    def _mod_revision(self, key: bytes) -> int:
        record = self._record(key)
        if record is None:
            return 0
        mod_revision: int = unpack_head(record)[1]
        return mod_revision

    def _put(self, put: api.Put) -> Effect:
        old = self._record(put.key)
        previous = None
        if put.return_previous and old is not None:
            previous = to_key_value(put.key, old)
        if put.when is not _ALWAYS and not _may_write(put, old):
            return Effect(api.PutResult(self.revision, False, previous))
        if put.lease and not self.leases.is_alive(put.lease):
            return Effect(no_lease(put.lease))
        self.revision += 1
        change = self._write(put.key, put.value, old, lease=put.lease)
        return self._changed(api.PutResult(self.revision, True, previous), change)

    def _put_many(self, put: api.PutMany) -> Effect:
        last_of_each = dict(put.pairs)
        self._steps += WRITE_STEPS * len(put.pairs)
        room = _REPLACED_BYTES_MAX
        for key in last_of_each:
            old = self._record(key)
            if old is not None:
                room -= len(old) - HEAD_BYTES
            if room < 0:
                return Effect(_REPLACES_TOO_MUCH)
        if not last_of_each:
            return Effect(api.PutResult(self.revision, False))
        self.revision += 1
        changes = []
        for sub, (key, value) in enumerate(last_of_each.items()):
            # Read again, as together they are long.
            changes.append(self._write(key, value, self._record(key), sub))
        return self._changed(api.PutResult(self.revision, True), *changes)

    def _delete(self, delete: api.Delete) -> Effect:
        self._steps += WRITE_STEPS * len(delete.keys)
        gone: list[Change] = []
        for key in delete.keys:
            old = self._record(key)
            if old is not None:
                gone.append(self._keys.remove(key, old, self.revision + 1, len(gone)))
        deleted = len(gone)
        if not deleted:
            return Effect(api.DeleteResult(self.revision, 0))
        self.revision += 1
        return self._changed(api.DeleteResult(self.revision, deleted), *gone)

    def _increment(self, increment: api.Increment) -> Effect:
        old = self._record(increment.key)
        current = 0 if old is None else api.parse_integer(old[HEAD_BYTES:])
        if current is None:
            return Effect(_NOT_AN_INTEGER)
        value = current + increment.by
        if not api.INTEGER_MIN <= value <= api.INTEGER_MAX:
            return Effect(_OVERFLOW)
        self.revision += 1
        change = self._write(increment.key, b"%d" % value, old, lease=lease_of(old))
        return self._changed(api.IncrementResult(self.revision, value), change)

    def _transact(self, write: api.Txn | api.DeleteRange) -> Effect:
        changing = Changing(self._keys, self.revision)
        try:
            result = carry_out(write, changing)
        except Refused as refused:
            return Effect(refused.failure)
        finally:
            self._steps += changing.steps
        changes = changing.commit()
        if not changes:
            return Effect(result)
        self.revision = changing.revision
        return self._changed(result, *changes)

    def _record(self, key: bytes) -> bytes | None:
        return self._keys.record(key)

    def _write(
        self, key: bytes, value: bytes, old: bytes | None, sub: int = 0, lease: int = 0
    ) -> Change:
        """Set a key whose record is `old`, as change number `sub` of the current revision."""
        return self._keys.write(key, value, old, self.revision, sub, lease)

    def _changed(self, result: api.Result, *changes: Change) -> Effect:
        """All that the current revision changed was written."""
        if not changes:
            return Effect(result)
        self._keys.settle(self.revision, len(changes))
        return Effect(result, changes, self.revision)

    # --- Leases ---------------------------------------------------------------------------

    def _grant(self, grant: api.Grant) -> Effect:
        self._steps += WRITE_STEPS
        return Effect(self.leases.grant(self.last_applied, grant))

    def _revoke(self, revoke: api.Revoke) -> Effect:
        due = self.leases.end_now(revoke.lease)
        if due is None:
            return Effect(no_lease(revoke.lease))
        gone = self._end(due)
        return self._changed(api.RevokeResult(self.revision, len(gone)), *gone)

    def _pass(self, passing: api.Pass) -> Effect:
        """Do what the log's clock has made due."""
        due = self.leases.due(passing.ends_max) if passing.ends_max else Due()
        gone = self._end(due)
        return self._changed(api.PassResult(len(due.leases), due.has_more), *gone)

    def _end(self, due: Due) -> list[Change]:
        """Leases end, and their keys are gone, all under one revision."""
        self._steps += WRITE_STEPS * (len(due.keys) + len(due.leases))
        gone: list[Change] = []
        for key in due.keys:
            old = self._record(key)
            assert old is not None
            gone.append(self._keys.remove(key, old, self.revision + 1, len(gone)))
        self.leases.end(due)
        self.revision += bool(gone)
        return gone

    # --- Queries --------------------------------------------------------------------------

    def _get(self, get: api.Get) -> api.Result:
        items: list[api.KeyValue | None] = []
        room = self._reply_bytes_max
        self._steps += READ_STEPS * len(get.keys)
        for key in get.keys:
            record = self._record(key)
            item = None
            if record is not None:
                item = to_key_value(key, record, with_value=get.with_values)
                room -= len(record) - HEAD_BYTES
            if room < 0:
                return self._too_much(get)
            items.append(item)
        return api.GetResult(self.revision, tuple(items))

    def _scan(self, scan: api.Scan) -> api.Result:
        items: list[api.KeyValue] = []
        room = self._reply_bytes_max
        glob = None if scan.pattern is None else compiled(scan.pattern)
        steps_max = self.steps + SCAN_STEPS_MAX
        looked_at = 0
        for key, record in self._walk(scan):
            if not key.startswith(scan.prefix):
                break
            room -= len(key) + (len(record) if scan.with_values else 0)
            if looked_at == scan.limit or (looked_at and (room < 0 or self.steps >= steps_max)):
                return api.ScanResult(self.revision, tuple(items), next_start=key)
            looked_at += 1
            self._steps += READ_STEPS + (len(record) >> 10)
            if glob is not None:
                self._steps += glob.width * len(key) // _MATCHES_PER_STEP
                if not glob.matches(key):
                    continue
            items.append(to_key_value(key, record, with_value=scan.with_values))
        return api.ScanResult(self.revision, tuple(items), next_start=None)

    def _walk(self, scan: api.Scan) -> Iterator[tuple[bytes, bytes]]:
        """The records from where a scan begins, whatever comes behind its end."""
        if not scan.reverse:
            return self._keys.scan(max(scan.start or b"", scan.prefix))
        before = after_all_with(scan.prefix)
        if scan.start is not None:
            behind_start = scan.start + b"\x00"
            before = behind_start if before is None else min(before, behind_start)
        return self._keys.scan_back(before)

    def _count(self, _count: api.Count) -> api.Result:
        return api.CountResult(self.revision, self._keys.count())

    def _time_to_live(self, query: api.TimeToLive) -> api.Result:
        ttl_ms, left_ms = self.leases.times(query.lease)
        keys: tuple[bytes, ...] = ()
        if query.with_keys and ttl_ms:
            keys = tuple(islice(self.leases.keys(query.lease), api.KEYS_MAX))
            self._steps += READ_STEPS * len(keys)
        return api.TimeToLiveResult(self.revision, ttl_ms, left_ms, keys)

    def _list_leases(self, query: api.Leases) -> api.Result:
        found = [*islice(self.leases.numbers(query.after), query.limit + 1)]
        self._steps += READ_STEPS * len(found)
        told = found[: query.limit]
        next_after = told[-1] if len(found) > len(told) else None
        return api.LeasesResult(self.revision, tuple(told), next_after)

    def _range(self, query: api.Range) -> api.Result:
        return self._ranging(lambda ranging: ranging.range(query))

    def _versions(self, query: api.History) -> api.Result:
        return self._ranging(lambda ranging: ranging.versions(query))

    def _ranging(self, answer: Callable[[Ranging], api.Result]) -> api.Result:
        ranging = Ranging(self._keys, self.revision, self._reply_bytes_max)
        result = answer(ranging)
        self._steps += ranging.steps
        return result

    def _too_much(self, get: api.Get) -> api.Failure:
        """A record is read whole, also to see that it is there."""
        what = "reply would exceed" if get.with_values else "values of these keys exceed"
        return api.Failure(
            api.FailureCode.INVALID,
            f"the {what} {self._reply_bytes_max} bytes; ask for fewer keys at once",
        )


def _may_write(put: api.Put, old: bytes | None) -> bool:
    if put.when is api.When.ABSENT:
        return old is None
    if put.when is api.When.PRESENT:
        return old is not None
    return old is not None and old[HEAD_BYTES:] == put.expected


WRITES: Final[dict[type, Callable[[StateMachine, Any], Effect]]] = {
    api.Put: StateMachine._put,
    api.PutMany: StateMachine._put_many,
    api.Delete: StateMachine._delete,
    api.Increment: StateMachine._increment,
    api.Grant: StateMachine._grant,
    api.Revoke: StateMachine._revoke,
    api.DeleteRange: StateMachine._transact,
    api.Txn: StateMachine._transact,
}
"""What carries out a write, by its type."""

QUERIES: Final[dict[type, Callable[[StateMachine, Any], api.Result]]] = {
    api.Get: StateMachine._get,
    api.Scan: StateMachine._scan,
    api.Count: StateMachine._count,
    api.TimeToLive: StateMachine._time_to_live,
    api.Leases: StateMachine._list_leases,
    api.Range: StateMachine._range,
    api.History: StateMachine._versions,
}
"""What answers a query, by its type."""
