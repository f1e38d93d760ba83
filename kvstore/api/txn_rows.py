"""The rows of transactions and of what deletes ranges.

Law: an operation within a transaction is held to what it is held to alone, and all of them
together to what one request may hold. What is too deep or too much is refused before anything
walks through it.

It must not know how a transaction is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from kvstore.api.base import KEY_BYTES_MAX, KEYS_MAX, REVISION_MAX
from kvstore.api.checks import check_key, check_keys
from kvstore.api.data import DeleteResult, Get, Put, When
from kvstore.api.overlaps import changed_twice
from kvstore.api.row import PLACE_BYTES, Bounds, Extent, WriteRow
from kvstore.api.txn import (
    Compare,
    CompareTarget,
    DeleteRange,
    Operation,
    Txn,
    TxnResult,
)

TXN_DEPTH_MAX: Final = 8
"""So deep may transactions stand within each other."""
TXN_REPLY_BYTES_MAX: Final = 4 << 20
"""Values that one transaction, or deletion of a range, may tell. Not a setting: replicas must
agree on what is refused when it is applied."""
_RESULT_BYTES: Final = 64
"""What an operation is answered, beside records."""


def _check_delete_range(delete: DeleteRange, bounds: Bounds) -> str | None:
    if not 0 <= delete.limit <= bounds.request_keys_max:
        return f"a limit of deletions is 0 to {bounds.request_keys_max}, not {delete.limit}"
    return check_key(delete.key) or check_key(delete.range_end or b"")


# --- What a transaction is held to --------------------------------------------------------


def _check_txn(key_rows: Mapping[type, WriteRow], txn: Txn, bounds: Bounds) -> str | None:
    if complaint := _check_shape(txn, bounds):
        return complaint
    keys = size = 0
    for part in _parts(txn):
        if complaint := _check_part(key_rows, part, bounds):
            return complaint
        keys += len(part.keys) if isinstance(part, Get) else 1
        size += _bytes_of(part)
    if keys > bounds.request_keys_max:
        return f"the transaction names {keys} keys, the limit is {bounds.request_keys_max}"
    if size > bounds.value_bytes_max:
        # It is one log entry, which must travel to every node whole.
        return (
            f"the keys and values of the transaction have {size} bytes together, the limit is"
            f" {bounds.value_bytes_max}"
        )
    twice = changed_twice(txn)
    return None if twice is None else f"the transaction would change key {twice!r} twice"


def _check_shape(txn: Txn, bounds: Bounds) -> str | None:
    """How deep it is, and how much there is in each of its lists: level by level."""
    level, limit = [txn], bounds.txn_operations_max
    for _ in range(TXN_DEPTH_MAX):
        for one in level:
            longest = max(map(len, (one.compares, one.then, one.otherwise)))
            if longest > limit:
                return f"a list of a transaction has {longest} entries, the limit is {limit}"
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return None
        if len(level) > bounds.request_keys_max:
            return f"the transaction has {len(level)} within it, too many to look at"
    return f"transactions stand within each other {TXN_DEPTH_MAX} deep at most"


def _inner(txn: Txn) -> Iterator[Txn]:
    for branch in (txn.then, txn.otherwise):
        yield from (one for one in branch if isinstance(one, Txn))


def _parts(txn: Txn) -> Iterator[Compare | Operation]:
    """All comparisons and operations, those within transactions after these."""
    yield from txn.compares
    for branch in (txn.then, txn.otherwise):
        for operation in branch:
            yield operation
            if isinstance(operation, Txn):
                yield from _parts(operation)


def _check_part(
    key_rows: Mapping[type, WriteRow], part: Compare | Operation, bounds: Bounds
) -> str | None:
    match part:
        case Compare():
            return _check_compare(part)
        case Get():
            return check_keys(part, bounds)
        case Put(when=When.ALWAYS, guard=None):
            return key_rows[Put].check(part, bounds)
        case DeleteRange(guard=None):
            return _check_delete_range(part, bounds)
        case Txn(guard=None):
            return None  # What it consists of comes by itself.
    return "within a transaction nothing has a condition or guard of its own: compare instead"


def _check_compare(compare: Compare) -> str | None:
    if compare.target is CompareTarget.VALUE:
        if compare.number:
            return "a comparison of values has no number"
    elif compare.value:
        return "only a comparison of values has a value"
    if not 0 <= compare.number <= REVISION_MAX:
        return f"a comparison is with a number of 0 to {REVISION_MAX}, not {compare.number}"
    return check_key(compare.key) or check_key(compare.range_end or b"")


def _bytes_of(part: Compare | Operation) -> int:
    match part:
        case Compare(key=key, value=value, range_end=end):
            return len(key) + len(value) + len(end or b"")
        case Put(key=key, value=value):
            return len(key) + len(value)
        case DeleteRange(key=key, range_end=end):
            return len(key) + len(end or b"")
        case Get(keys=keys):
            return sum(map(len, keys))
        case Txn():
            return 0


# --- What it takes ------------------------------------------------------------------------


def _extent(key_rows: Mapping[type, WriteRow], txn: Txn) -> Extent:
    """Of whichever branch is taken."""
    then, otherwise = (
        _sum([_extent_of(key_rows, one) for one in branch]) for branch in (txn.then, txn.otherwise)
    )
    return Extent(
        max(then.puts, otherwise.puts),
        max(then.put_bytes, otherwise.put_bytes),
        max(then.deletes, otherwise.deletes),
        keys=_names([then, otherwise]),
    )


def _sum(extents: list[Extent]) -> Extent:
    """No more is deleted than one request may."""
    return Extent(
        sum(extent.puts for extent in extents),
        sum(extent.put_bytes for extent in extents),
        min(KEYS_MAX, sum(extent.deletes for extent in extents)),
        keys=_names(extents),
    )


def _names(extents: list[Extent]) -> tuple[bytes, ...]:
    """All keys, if all are named."""
    if any(extent.puts + extent.deletes and not extent.keys for extent in extents):
        return ()
    return tuple(key for extent in extents for key in extent.keys)


def _extent_of(key_rows: Mapping[type, WriteRow], operation: Operation) -> Extent:
    match operation:
        case Put():
            return key_rows[Put].extent(operation)
        case DeleteRange():
            return _extent_of_deletion(operation)
        case Txn():
            return _extent(key_rows, operation)
        case Get():
            return Extent()


def _extent_of_deletion(delete: DeleteRange) -> Extent:
    if delete.range_end is None:
        return Extent(deletes=1, keys=(delete.key,))
    return Extent(deletes=delete.limit or KEYS_MAX)


def _place_of_deletion(delete: DeleteRange, bounds: Bounds) -> int:
    keys = _extent_of_deletion(delete).deletes
    return PLACE_BYTES + _told_bytes(keys * delete.return_previous, bounds)


def _place_of_txn(txn: Txn, bounds: Bounds) -> int:
    parts = list(_parts(txn))
    return PLACE_BYTES + _RESULT_BYTES * len(parts) + _told_bytes(sum(map(_told, parts)), bounds)


def _told(part: Compare | Operation) -> int:
    """How many records its answer may have."""
    match part:
        case Put(return_previous=True):
            return 1
        case DeleteRange(return_previous=True):
            return _extent_of_deletion(part).deletes
        case Get(keys=keys):
            return len(keys)
        case _:
            return 0


def _told_bytes(records: int, bounds: Bounds) -> int:
    values_bytes = min(records * bounds.value_bytes_max, TXN_REPLY_BYTES_MAX)
    return values_bytes + records * (KEY_BYTES_MAX + _RESULT_BYTES)


# --- The rows -----------------------------------------------------------------------------


def txn_rows(key_rows: tuple[WriteRow, ...]) -> tuple[WriteRow, ...]:
    """Those of what may hold the writes that have the rows given."""
    row_of = {row.request: row for row in key_rows}
    return (
        WriteRow(
            request=DeleteRange,
            result=DeleteResult,
            check=_check_delete_range,
            place_bytes=_place_of_deletion,
            extent=_extent_of_deletion,
            is_wide=True,
        ),
        WriteRow(
            request=Txn,
            result=TxnResult,
            check=partial(_check_txn, row_of),
            place_bytes=_place_of_txn,
            extent=partial(_extent, row_of),
            is_wide=True,
        ),
    )
