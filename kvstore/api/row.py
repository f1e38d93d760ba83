"""What is told of every type of request, in one row.

Law: whoever treats requests by their type asks the row, so that a new request is known
everywhere by having one.

It must not know any one request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from kvstore.api.base import Query, Request, Result, Write


class Bounds(Protocol):
    """What requests are held to, as a server or a client has it set."""

    @property
    def value_bytes_max(self) -> int: ...

    @property
    def request_keys_max(self) -> int: ...

    @property
    def reply_bytes_max(self) -> int: ...

    @property
    def scan_keys_max(self) -> int: ...

    @property
    def txn_operations_max(self) -> int: ...


Check: TypeAlias = Callable[[Any, Bounds], str | None]
"""Why a request is beyond the bounds; None if it is not."""
Measure: TypeAlias = Callable[[Any, Bounds], int]

PLACE_BYTES: Final = 256
"""What a reply takes that does not exist yet, or is short."""
KEY_STEPS: Final = 4
"""Of a query, for itself and for each key, as the state machine counts them."""


class Extent(msgspec.Struct, frozen=True, gc=False):
    """How much a write changes, at most: records put, their keys with their values, deletions.

    * `leases`: those that get another time, or end.
    * `keys`: all that it may put or delete; none where it does not name each of them.
    """

    puts: int = 0
    put_bytes: int = 0
    deletes: int = 0
    leases: int = 0
    keys: tuple[bytes, ...] = ()


def _within(_request: Request, _bounds: Bounds) -> None:
    return None


def _short(_request: Request, _bounds: Bounds) -> int:
    return PLACE_BYTES


def _one_look(_query: Query, _bounds: Bounds) -> int:
    return KEY_STEPS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A request.

    * `result` is the type of its answer, if it is carried out; None where that is the answer
      of the write that it carries.
    * `check`: its bounds. A guard is looked at for all writes alike.
    * `place_bytes` is what is booked until its reply is there. A write may be answered at any
      time, so it is its longest reply; a query is answered when there is memory, so it is what
      the query itself takes.
    """

    request: type[Request]
    result: type[Result] | None
    check: Check = _within
    place_bytes: Measure = _short


class CommandRow(Row, frozen=True, kw_only=True):
    """What the log may hold.

    * `extent`: how much it changes of the keys, at most. `changes_sessions`: of those, too.
      `is_of_one_key`: it is one record, whatever it says, and no session. `is_wide`: it may
      change many keys without naming them, up to `KEYS_MAX`.
    * `needs_time`: its entry carries the cluster's time (`logged.py`).
    * `since`: the version of the protocol since which there is such a one. No log gets it
      before its cluster has that version; 0 where every log may have it.
    """

    extent: Callable[[Any], Extent]
    is_of_one_key: bool = False
    is_wide: bool = False
    changes_sessions: bool = False
    needs_time: bool = False
    since: int = 0


class WriteRow(CommandRow, frozen=True, kw_only=True):
    """A write."""

    request: type[Write]


class QueryRow(Row, frozen=True, kw_only=True):
    """A query. `steps_max`: what it may cost the state machine, in its steps."""

    request: type[Query]
    steps_max: Measure = _one_look
