"""What transactions and deletions of ranges come to: a model of them.

Law: it shares nothing with `kvstore.kv`, which it judges: keys and their records stand in a
dictionary, a range is whatever of it lies between two keys, and a transaction is carried out on
a copy. Nothing here is bounded: simulated clients ask for too little to be refused for that.

It must not know logs, nor who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kvstore import api

_NUMBERS: Final = {
    api.CompareTarget.VERSION: "version",
    api.CompareTarget.CREATE: "create_revision",
    api.CompareTarget.MOD: "mod_revision",
}


class Outcome(NamedTuple):
    """What a write is answered, and what each key that it changes has then."""

    result: api.Result
    changes: dict[bytes, api.KeyValue | None]


def outcome(
    write: api.Txn | api.DeleteRange, there: Mapping[bytes, api.KeyValue], revision: int
) -> Outcome:
    """Of a write that meets this, at the revision before it."""
    model = _Model(there, revision)
    return Outcome(model.do(write), model.changes)


class _Model:
    """The keys, with what was changed so far: under one revision, however often."""

    def __init__(self, there: Mapping[bytes, api.KeyValue], revision: int) -> None:
        self._before = there
        self._now = dict(there)
        self._revision = revision
        self.changes: dict[bytes, api.KeyValue | None] = {}

    def do(self, operation: api.Operation) -> api.OperationResult:
        match operation:
            case api.Txn():
                succeeded = all(self._holds(compare) for compare in operation.compares)
                branch = operation.then if succeeded else operation.otherwise
                results = tuple(map(self.do, branch))
                return api.TxnResult(self._told, succeeded, results)
            case api.Put(key=key):
                met = self._now.get(key)
                self._change(key, self._next(operation, met))
                return api.PutResult(self._told, True, met if operation.return_previous else None)
            case api.DeleteRange(limit=limit):
                gone = [self._now[key] for key in _within(operation, self._now)]
                gone = gone[: limit or None]
                for record in gone:
                    self._change(record.key, None)
                previous = tuple(gone) if operation.return_previous else ()
                return api.DeleteResult(self._told, len(gone), previous)
            case api.Get(keys=keys):
                return api.GetResult(self._told, tuple(map(self._now.get, keys)))

    @property
    def _told(self) -> int:
        """The revision as it is told: of what was changed, if anything was."""
        return self._revision + (1 if self.changes else 0)

    def _next(self, put: api.Put, met: api.KeyValue | None) -> api.KeyValue:
        revision = self._revision + 1
        create, version = (met.create_revision, met.version + 1) if met else (revision, 1)
        return api.KeyValue(put.key, put.value, create, revision, version)

    def _change(self, key: bytes, record: api.KeyValue | None) -> None:
        self.changes[key] = record
        if record is None:
            del self._now[key]
        else:
            self._now[key] = record

    def _holds(self, compare: api.Compare) -> bool:
        keys = _within(compare, self._before)
        if not keys:
            return compare.target in _NUMBERS and _relates(0, compare.relation, compare.number)
        return all(self._is(self._before[key], compare) for key in keys)

    def _is(self, record: api.KeyValue, compare: api.Compare) -> bool:
        if compare.target is api.CompareTarget.VALUE:
            return _relates(record.value, compare.relation, compare.value)
        number: int = getattr(record, _NUMBERS[compare.target])
        return _relates(number, compare.relation, compare.number)


def _within(
    asked: api.Compare | api.DeleteRange, there: Mapping[bytes, api.KeyValue]
) -> list[bytes]:
    """The keys that are meant, of those that are there."""
    first, end = asked.key, asked.range_end
    if end is None:
        return [first] if first in there else []
    is_open = end == b"\0"
    return sorted(key for key in there if first <= key and (is_open or key < end))


def _relates(one: bytes | int, relation: api.Relation, other: bytes | int) -> bool:
    """Whether it stands so to the other one, which is of the same kind."""
    is_less = one < other  # type: ignore[operator]  # both are bytes, or both numbers
    match relation:
        case api.Relation.EQUAL:
            return one == other
        case api.Relation.NOT_EQUAL:
            return one != other
        case api.Relation.LESS:
            return is_less
        case api.Relation.GREATER:
            return one != other and not is_less
