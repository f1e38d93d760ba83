"""How a transaction is carried out, and the deletion of a range, alone or within one.

Law: whole or not at all, under one revision. Which branches are taken is decided first, from
what was there before; then their operations are done in order, each seeing the earlier ones. How
many keys are deleted, and how much is told of values, is bounded for all of it together.

It must not know how a write got here, nor where its changes go.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from kvstore import api
from kvstore.kv.changing import Changing, Refused
from kvstore.kv.compares import holds
from kvstore.kv.record import HEAD_BYTES, to_key_value

LIMITED_STEPS: Final = 20_000
"""Where that much was done, a deletion with a limit ends before it."""
_TOO_MANY_DELETED = api.Failure(
    api.FailureCode.INVALID,
    f"more than {api.KEYS_MAX} keys would be deleted: delete in pieces, with a limit",
    is_final=True,
)
_TOO_MUCH_TOLD = api.Failure(
    api.FailureCode.INVALID,
    f"the values told would exceed {api.TXN_REPLY_BYTES_MAX} bytes: ask for fewer at once",
    is_final=True,
)


def carry_out(write: api.Txn | api.DeleteRange, changing: Changing) -> api.Result:
    """Decide all that it changes. Raises `Refused`."""
    return _CarryingOut(write, changing).do(write)


def _decisions(operation: api.Operation, changing: Changing) -> Iterator[bool]:
    """Whether the comparisons hold, of this and of what is within the branch that is taken."""
    if isinstance(operation, api.Txn):
        succeeded = all(holds(compare, changing) for compare in operation.compares)
        yield succeeded
        for inner in operation.then if succeeded else operation.otherwise:
            yield from _decisions(inner, changing)


class _CarryingOut:
    """What is left of the bounds of one write, and the decisions that are still to be used."""

    def __init__(self, write: api.Txn | api.DeleteRange, changing: Changing) -> None:
        self._changing = changing
        self._decisions = iter([*_decisions(write, changing)])
        self._deletions_left = api.KEYS_MAX
        self._bytes_left = api.TXN_REPLY_BYTES_MAX

    def do(self, operation: api.Operation) -> api.OperationResult:
        """The next operation, in the order in which it was decided."""
        match operation:
            case api.Put():
                return self._put(operation)
            case api.DeleteRange():
                return self._delete_range(operation)
            case api.Get():
                return self._get(operation)
            case api.Txn():
                return self._txn(operation)

    def _txn(self, txn: api.Txn) -> api.TxnResult:
        succeeded = next(self._decisions)
        results = tuple([self.do(one) for one in (txn.then if succeeded else txn.otherwise)])
        return api.TxnResult(self._changing.revision, succeeded, results)

    def _put(self, put: api.Put) -> api.PutResult:
        old = self._changing.put(put.key, put.value, put.lease)
        previous = None
        if put.return_previous and old is not None:
            previous = self._told(put.key, old)
        return api.PutResult(self._changing.revision, True, previous)

    def _get(self, get: api.Get) -> api.GetResult:
        items: list[api.KeyValue | None] = []
        for key in get.keys:
            record = self._changing.get(key)
            item = None if record is None else self._told(key, record, with_value=get.with_values)
            items.append(item)
        return api.GetResult(self._changing.revision, tuple(items))

    def _delete_range(self, delete: api.DeleteRange) -> api.DeleteResult:
        gone = self._first(delete)
        self._deletions_left -= len(gone)
        if self._deletions_left < 0:
            raise Refused(_TOO_MANY_DELETED)
        previous: tuple[api.KeyValue, ...] = ()
        if delete.return_previous:
            previous = tuple([self._told(key, record) for key, record in gone])
        for key, record in gone:
            self._changing.delete(key, record)
        return api.DeleteResult(self._changing.revision, len(gone), previous)

    def _first(self, delete: api.DeleteRange) -> list[tuple[bytes, bytes]]:
        """What is to be deleted: all of the range, if it has no limit, and else what may be."""
        found = self._changing.scan(api.interval(delete.key, delete.range_end))
        if not delete.limit:
            return [*islice(found, self._deletions_left + 1)]
        first = []
        for one in islice(found, delete.limit):
            first.append(one)
            if self._changing.steps >= LIMITED_STEPS:
                break
        return first

    def _told(self, key: bytes, record: bytes, *, with_value: bool = True) -> api.KeyValue:
        if with_value:
            self._bytes_left -= len(record) - HEAD_BYTES
        if self._bytes_left < 0:
            raise Refused(_TOO_MUCH_TOLD)
        return to_key_value(key, record, with_value=with_value)
