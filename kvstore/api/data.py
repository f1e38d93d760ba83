"""Keys and values: the requests that write and read them, and what they are answered.

Law: a write says all that applying it needs, and a query all that answering it needs.

It must not know how requests arrive, nor where data rests.
"""

from __future__ import annotations

import enum
from typing import Annotated

from kvstore.api.base import UP_TO_KEYS_MAX, Query, Result, Struct, Write


class When(enum.IntEnum):
    """The condition under which a `Put` writes."""

    ALWAYS = 0
    ABSENT = 1
    PRESENT = 2
    EQUAL = 3
    """The current value equals `Put.expected`."""


# --- Commands: they change data, so they go through the log -------------------------------


class Put(Write, frozen=True, tag="put"):
    """Write one key, if `when` holds; `expected` belongs to `When.EQUAL` alone.

    It is under `lease` then, and gone when that ends; with 0 it is under none any more.
    """

    key: bytes
    value: bytes
    when: When = When.ALWAYS
    expected: bytes | None = None
    return_previous: bool = False
    lease: int = 0


class PutMany(Write, frozen=True, tag="putmany"):
    """Write several keys in one step; the last of equal keys wins."""

    pairs: Annotated[tuple[tuple[bytes, bytes], ...], UP_TO_KEYS_MAX]


class Delete(Write, frozen=True, tag="delete"):
    """Remove keys in one step; absent and repeated keys count as not deleted."""

    keys: Annotated[tuple[bytes, ...], UP_TO_KEYS_MAX]


class Increment(Write, frozen=True, tag="increment"):
    """Add `by` to a signed 64-bit decimal integer; an absent key counts as 0."""

    key: bytes
    by: int


# --- Queries: they read data on one node --------------------------------------------------


class Get(Query, frozen=True, tag="get"):
    """Read keys, in the order asked; without values, items say only that a key exists."""

    keys: Annotated[tuple[bytes, ...], UP_TO_KEYS_MAX]
    with_values: bool = True


class Scan(Query, frozen=True, tag="scan"):
    """Look at `limit` keys that begin with `prefix`, at most, in byte order.

    * `start`: the first key to be looked at, if there is such a key; None for no bound.
    * `reverse`: the other way round, from `start` down, or from the last key.
    * `pattern`: only keys that match it (a glob, as Redis has them) are in the result.
    * A page ends earlier, and may be empty, where looking further would take too long.
    """

    start: bytes | None = None
    prefix: bytes = b""
    limit: int = 100
    with_values: bool = True
    pattern: bytes | None = None
    reverse: bool = False


class Count(Query, frozen=True, tag="count"):
    """Count the keys."""


# --- Results ------------------------------------------------------------------------------


class KeyValue(Struct, frozen=True, forbid_unknown_fields=False):
    """A key with its value and its etcd-style history numbers.

    `create_revision` and `mod_revision` are the store's revision when the key
    was created and last written; `version` counts its writes since creation. `lease` is the one
    that it is under, 0 for none.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class PutResult(Result, frozen=True, tag="put"):
    """`written` is false when the condition did not hold, and then nothing changed.

    If it is true, `revision` is the `mod_revision` of what was written.
    `previous` is the replaced record, if `Put.return_previous` asked for it.
    """

    revision: int
    written: bool
    previous: KeyValue | None = None


class DeleteResult(Result, frozen=True, tag="delete"):
    """How many of the keys existed, and what they had, if `return_previous` asked for it."""

    revision: int
    deleted: int
    previous: tuple[KeyValue, ...] = ()


class IncrementResult(Result, frozen=True, tag="increment"):
    """The value after the addition."""

    revision: int
    value: int


class GuardFailed(Result, frozen=True, tag="guardfailed"):
    """The guard of a write did not hold, so nothing was changed.

    `mod_revision` is what the guard's key really has, 0 if there is no such key.
    """

    revision: int
    mod_revision: int


class Repeated(Result, frozen=True, tag="repeated"):
    """A write came again, and what it was answered the first time was too long to be kept.

    `revision` is as it was then. `succeeded`: whether its condition held, or all comparisons of a
    transaction; without any, it did.
    """

    revision: int
    succeeded: bool


class GetResult(Result, frozen=True, tag="get"):
    """One item for each key asked, None where there is no such key."""

    revision: int
    items: tuple[KeyValue | None, ...]


class ScanResult(Result, frozen=True, tag="scan"):
    """Keys in the order of the scan; `next_start` is where to go on, None at the end."""

    revision: int
    items: tuple[KeyValue, ...]
    next_start: bytes | None


class CountResult(Result, frozen=True, tag="count"):
    """The number of keys."""

    revision: int
    count: int
