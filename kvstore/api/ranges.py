"""Ranges and versions of keys, as of any revision that is kept: requests, results, and their rows.

Law: what a range is answered follows from it and from the data at one revision: the conventions
are etcd's.

It must not know how requests arrive, nor where data rests.
"""

from __future__ import annotations

import enum
from typing import Final

from kvstore.api.base import REVISION_MAX, Query, Result, Struct
from kvstore.api.checks import check_key
from kvstore.api.data import KeyValue
from kvstore.api.row import Bounds, QueryRow

RANGE_STEPS_MAX: Final = 10_000
"""What looking at a range may take, as the state machine counts it, beside its last record."""
_RECORDS_MAX: Final = 9
"""So many are read for one key, at most, where it is looked for at an earlier revision."""


class Order(enum.IntEnum):
    """In which order a range is answered."""

    NONE = 0
    """That of the keys; by anything else, ascending."""
    ASCEND = 1
    DESCEND = 2


class Target(enum.IntEnum):
    """By what of a key a range is ordered; what is equal by that is in the order of the keys."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class Range(Query, frozen=True, tag="range"):
    """Read the keys from `key` on and before `range_end`; without that, the key itself.

    * `revision`: as of when, 0 for now. `limit`: so many at most, 0 for all.
    * `min_mod` to `max_create`: only records with such revisions, 0 for any.
    """

    key: bytes
    range_end: bytes | None = None
    revision: int = 0
    limit: int = 0
    order: Order = Order.NONE
    target: Target = Target.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod: int = 0
    max_mod: int = 0
    min_create: int = 0
    max_create: int = 0


class RangeResult(Result, frozen=True, tag="range"):
    """The records; `more` if the limit left some out.

    `count` is how many keys the range has, whatever limit and revisions were asked for.
    `revision` is the newest one, whichever was asked for.
    """

    revision: int
    items: tuple[KeyValue, ...]
    more: bool
    count: int


class History(Query, frozen=True, tag="history"):
    """Read what a key was before revision `before` (0: to this day), the last version first.

    At most `limit` versions, and fewer where more would take too long.
    """

    key: bytes
    before: int = 0
    limit: int = 100


class Version(Struct, frozen=True, forbid_unknown_fields=False):
    """What a key became at a revision; no item where it was deleted."""

    revision: int
    item: KeyValue | None


class HistoryResult(Result, frozen=True, tag="history"):
    """The versions; `more` if there are further ones, before the last of these.

    They go back to what the key was at revision `floor`, from which on history is whole.
    """

    revision: int
    versions: tuple[Version, ...]
    more: bool
    floor: int


def check_revision(revision: int, what: str = "revision") -> str | None:
    """One that a request names."""
    if not 0 <= revision <= REVISION_MAX:
        return f"a {what} is 0 to {REVISION_MAX}, not {revision}"
    return None


def _check_range(query: Range, _bounds: Bounds) -> str | None:
    numbers = {
        "revision": query.revision,
        "limit": query.limit,
        "least mod_revision": query.min_mod,
        "greatest mod_revision": query.max_mod,
        "least create_revision": query.min_create,
        "greatest create_revision": query.max_create,
    }
    for what, number in numbers.items():
        if complaint := check_revision(number, what):
            return complaint
    # The next key after the longest one may be where a range ends, or goes on.
    return check_key(query.key[:-1]) or check_key((query.range_end or b"")[:-1])


def _check_history(query: History, bounds: Bounds) -> str | None:
    if not 1 <= query.limit <= bounds.scan_keys_max:
        return f"versions are read 1 to {bounds.scan_keys_max} at once, not {query.limit}"
    return check_revision(query.before) or check_key(query.key)


def _steps_of_range(_query: Query, bounds: Bounds) -> int:
    return RANGE_STEPS_MAX + _RECORDS_MAX * (2 + (bounds.value_bytes_max >> 10))


RANGE_ROWS: Final = (
    QueryRow(request=Range, result=RangeResult, check=_check_range, steps_max=_steps_of_range),
    QueryRow(
        request=History, result=HistoryResult, check=_check_history, steps_max=_steps_of_range
    ),
)
