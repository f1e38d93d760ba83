"""Keys and values: the requests that write and read them, and what they are answered.

Law: a write says all that applying it needs, and a query all that answering it needs.

It must not know how requests arrive, nor where data rests.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, TypeAlias

from kvstore.api.base import UP_TO_KEYS_MAX, Struct


class When(enum.IntEnum):
    """The condition under which a `Put` writes."""

    ALWAYS = 0
    ABSENT = 1
    PRESENT = 2
    EQUAL = 3
    """The current value equals `Put.expected`."""


# --- Commands: they change data, so they go through the log -------------------------------


class Guard(Struct, frozen=True):
    """A further condition of a write: the `mod_revision` that `key` must have, 0 for no key.

    It is checked when the write is applied. With the `mod_revision` of a lock's key it
    is a fencing token: once the lock has changed hands, nothing is written under it.
    """

    key: bytes
    mod_revision: int


class Put(Struct, frozen=True, tag="put"):
    """Write one key, if `when` holds; `expected` belongs to `When.EQUAL` alone."""

    key: bytes
    value: bytes
    when: When = When.ALWAYS
    expected: bytes | None = None
    return_previous: bool = False
    guard: Guard | None = None


class PutMany(Struct, frozen=True, tag="putmany"):
    """Write several keys in one step; the last of equal keys wins."""

    pairs: Annotated[tuple[tuple[bytes, bytes], ...], UP_TO_KEYS_MAX]
    guard: Guard | None = None


class Delete(Struct, frozen=True, tag="delete"):
    """Remove keys in one step; absent and repeated keys count as not deleted."""

    keys: Annotated[tuple[bytes, ...], UP_TO_KEYS_MAX]
    guard: Guard | None = None


class Increment(Struct, frozen=True, tag="increment"):
    """Add `by` to a signed 64-bit decimal integer; an absent key counts as 0."""

    key: bytes
    by: int
    guard: Guard | None = None


Write: TypeAlias = Put | PutMany | Delete | Increment


# --- Queries: they read data on one node --------------------------------------------------


class Get(Struct, frozen=True, tag="get"):
    """Read keys, in the order asked; without values, items say only that a key exists."""

    keys: Annotated[tuple[bytes, ...], UP_TO_KEYS_MAX]
    with_values: bool = True


class Scan(Struct, frozen=True, tag="scan"):
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


class Count(Struct, frozen=True, tag="count"):
    """Count the keys."""


Query: TypeAlias = Get | Scan | Count
QUERIES: Final = (Get, Scan, Count)
WRITES: Final = (Put, PutMany, Delete, Increment)


# --- Results ------------------------------------------------------------------------------


class KeyValue(Struct, frozen=True):
    """A key with its value and its etcd-style history numbers.

    `create_revision` and `mod_revision` are the store's revision when the key
    was created and last written; `version` counts its writes since creation.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int


class PutResult(Struct, frozen=True, tag="put"):
    """`written` is false when the condition did not hold, and then nothing changed.

    If it is true, `revision` is the `mod_revision` of what was written.
    `previous` is the replaced record, if `Put.return_previous` asked for it.
    """

    revision: int
    written: bool
    previous: KeyValue | None = None


class DeleteResult(Struct, frozen=True, tag="delete"):
    """How many of the keys existed."""

    revision: int
    deleted: int


class IncrementResult(Struct, frozen=True, tag="increment"):
    """The value after the addition."""

    revision: int
    value: int


class GuardFailed(Struct, frozen=True, tag="guardfailed"):
    """The guard of a write did not hold, so nothing was changed.

    `mod_revision` is what the guard's key really has, 0 if there is no such key.
    """

    revision: int
    mod_revision: int


class PutRepeated(Struct, frozen=True, tag="put_repeated"):
    """A put came again, and the record that it met was too large to be kept for that.

    The rest is as in the `PutResult` that it was answered with the first time.
    """

    revision: int
    written: bool


class GetResult(Struct, frozen=True, tag="get"):
    """One item for each key asked, None where there is no such key."""

    revision: int
    items: tuple[KeyValue | None, ...]


class ScanResult(Struct, frozen=True, tag="scan"):
    """Keys in the order of the scan; `next_start` is where to go on, None at the end."""

    revision: int
    items: tuple[KeyValue, ...]
    next_start: bytes | None


class CountResult(Struct, frozen=True, tag="count"):
    """The number of keys."""

    revision: int
    count: int
