"""The rows of all writes: of what changes data, alone or under a session.

Law: a row says what must be known of a write before it is applied, and never too little.

It must not know how a write is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvstore.api.base import INTEGER_MAX, INTEGER_MIN, KEY_BYTES_MAX, union
from kvstore.api.checks import check_count, check_key, check_keys, check_value
from kvstore.api.data import (
    Delete,
    DeleteResult,
    Increment,
    IncrementResult,
    Put,
    PutMany,
    PutResult,
    When,
)
from kvstore.api.leases import LEASE_WRITE_ROWS, check_lease
from kvstore.api.row import PLACE_BYTES, Bounds, Extent, WriteRow
from kvstore.api.txn_rows import txn_rows

_EQUAL: Final = When.EQUAL  # A look-up in the class takes longer than the other checks.
_INTEGER_BYTES: Final = 20


def _check_put(put: Put, bounds: Bounds) -> str | None:
    if put.when is _EQUAL or put.expected is not None:
        if put.when is not _EQUAL or put.expected is None:
            return "an expected value goes with the condition EQUAL, and only with it"
        if complaint := check_value(put.expected, bounds):
            return complaint
    if put.lease and (complaint := check_lease(put.lease)):
        return complaint
    return check_key(put.key) or check_value(put.value, bounds)


def _place_of_put(put: Put, bounds: Bounds) -> int:
    if put.return_previous:
        return PLACE_BYTES + KEY_BYTES_MAX + bounds.value_bytes_max
    return PLACE_BYTES


def _check_put_many(put: PutMany, bounds: Bounds) -> str | None:
    if complaint := check_count(put.pairs, bounds):
        return complaint
    total = _pairs_bytes(put)
    if total > bounds.value_bytes_max:
        # They are one log entry, which must travel to every node whole.
        return (
            f"the pairs have {total} bytes together, the limit is {bounds.value_bytes_max}; "
            "write fewer at once"
        )
    return check_key(max((key for key, _ in put.pairs), key=len, default=b""))


def _pairs_bytes(put: PutMany) -> int:
    return sum(len(key) + len(value) for key, value in put.pairs)


def _check_increment(increment: Increment, _bounds: Bounds) -> str | None:
    if not INTEGER_MIN <= increment.by <= INTEGER_MAX:
        return "increment is not a signed 64-bit integer"
    return check_key(increment.key)


_KEY_ROWS: Final = (
    WriteRow(
        request=Put,
        result=PutResult,
        check=_check_put,
        place_bytes=_place_of_put,
        extent=lambda put: Extent(1, len(put.key) + len(put.value), keys=(put.key,)),
        is_of_one_key=True,
    ),
    WriteRow(
        request=PutMany,
        result=PutResult,
        check=_check_put_many,
        extent=lambda put: Extent(
            len(put.pairs), _pairs_bytes(put), keys=tuple(key for key, _ in put.pairs)
        ),
    ),
    WriteRow(
        request=Delete,
        result=DeleteResult,
        check=check_keys,
        extent=lambda delete: Extent(deletes=len(delete.keys), keys=delete.keys),
    ),
    WriteRow(
        request=Increment,
        result=IncrementResult,
        check=_check_increment,
        extent=lambda increment: Extent(
            1, len(increment.key) + _INTEGER_BYTES, keys=(increment.key,)
        ),
        is_of_one_key=True,
    ),
)
WRITE_ROWS: Final = (
    *_KEY_ROWS,
    *txn_rows(_KEY_ROWS),
    *LEASE_WRITE_ROWS,
)

if TYPE_CHECKING:
    from kvstore.api.base import Write as Write

    WRITES: Final = (Write,)
else:
    WRITES = tuple(row.request for row in WRITE_ROWS)
    Write = union(WRITES)
