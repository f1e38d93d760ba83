"""Watches: to be told of every change of a range of keys, from any revision that is still kept.

Law: a node says on a connection what each watch on it is told of, revision by revision: all events
of a revision for that watch, each once. Whoever has seen revision r whole goes on with r + 1, at
any node of the cluster.

It must not know how events find those who watch, nor how they travel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvstore.api.base import REVISION_MAX, Request, Result, Struct, union
from kvstore.api.checks import check_key
from kvstore.api.data import KeyValue
from kvstore.api.failures import Failure
from kvstore.api.intervals import FROM_KEY
from kvstore.api.row import Bounds, Row

WATCH_NUMBER_MAX: Final = (1 << 32) - 1


class CreateWatch(Request, frozen=True, tag="createwatch"):
    """Tell of changes of `key`, or of the keys from `key` to before `range_end`.

    A `range_end` of one zero byte is behind all keys. `watch` is a number that the client chooses
    for this connection, on which nothing else can be asked for from then on.

    * `start_revision`: the first that is told of; 0: the next one that this node applies.
    * `with_previous`: an event has what was there before as well.
    * `puts`, `deletes`: whether these are told of.
    * `needs_leader`: the watch ends with NOLEADER where the node knows of no leader.
    """

    watch: int
    key: bytes
    range_end: bytes | None = None
    start_revision: int = 0
    with_previous: bool = False
    puts: bool = True
    deletes: bool = True
    needs_leader: bool = False


class CancelWatch(Request, frozen=True, tag="cancelwatch"):
    """Tell this watch nothing more: what waits for it is forgotten."""

    watch: int


class AskProgress(Request, frozen=True, tag="askprogress"):
    """How far the watches of this connection have been told of everything."""


class WatchCreated(Result, frozen=True, tag="watchcreated"):
    """The watch is told of all events from `start_revision` on."""

    watch: int
    start_revision: int


class Event(Struct, frozen=True, forbid_unknown_fields=False):
    """`item` is what the key has now, None if it is gone; `previous` what it had, if asked for."""

    key: bytes
    item: KeyValue | None
    previous: KeyValue | None = None


class WatchEvents(Result, frozen=True, tag="watchevents"):
    """What a revision did in the range of these watches; with `more`, only a part of it."""

    watches: tuple[int, ...]
    revision: int
    events: tuple[Event, ...]
    more: bool = False


class WatchProgress(Result, frozen=True, tag="watchprogress"):
    """All events up to `revision` were sent, for every watch of this connection."""

    revision: int


class WatchCanceled(Result, frozen=True, tag="watchcanceled"):
    """Nothing more is told to the watch: as it was asked for, or for what `failure` says."""

    watch: int
    failure: Failure | None = None


def _check_number(request: CreateWatch | CancelWatch, _bounds: Bounds) -> str | None:
    if not 0 <= request.watch <= WATCH_NUMBER_MAX:
        return f"a watch is numbered 0 to {WATCH_NUMBER_MAX}, not {request.watch}"
    return None


def _check_watch(request: CreateWatch, bounds: Bounds) -> str | None:
    if not 0 <= request.start_revision <= REVISION_MAX:
        return f"a watch starts at revision 0 to {REVISION_MAX}, not {request.start_revision}"
    end = request.range_end
    if end is not None and end != FROM_KEY and end <= request.key:
        return "the end of a range comes behind its beginning"
    complaint = _check_number(request, bounds) or check_key(request.key)
    return complaint or check_key((end or b"")[:-1])


WATCH_ROWS: Final = (
    Row(request=CreateWatch, result=WatchCreated, check=_check_watch),
    Row(request=CancelWatch, result=WatchCanceled, check=_check_number),
    Row(request=AskProgress, result=WatchProgress),
)

if TYPE_CHECKING:
    WatchRequest = CreateWatch | CancelWatch | AskProgress
    WATCHING: Final = (CreateWatch, CancelWatch, AskProgress)
else:
    WATCHING = tuple(row.request for row in WATCH_ROWS)
    WatchRequest = union(WATCHING)
