"""Blocking client: what callers see of a cluster, and what they may do with one client.

Law: a session, its numbers and its connections belong to one client in one process, and
serve one request at a time. Threads take turns. A copy (copied, pickled, or in a forked
child) has the same settings and begins its own; what belongs to another is neither used
nor ended by it.

How a request finds the leader, and what is tried again, is `caller.py`'s business, and
waiting for sockets that of `links.py`; this
module must not know how the server works inside.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import msgspec

from kvstore import api
from kvstore.address import parse_address, parse_addresses
from kvstore.caller import Caller, Source
from kvstore.config import TIME_MS_CEILING, VALUE_BYTES_CEILING, Limits
from kvstore.errors import ConfigError, GuardFailedError, ProtocolError, RefusedError
from kvstore.gate import Gate, InsideError
from kvstore.links import Links
from kvstore.wire.limits import complaint_about

_SCAN_PAGE: Final = 100
_WIDEST: Final = Limits.for_values(VALUE_BYTES_CEILING)
"""The limits of a node that takes as much as any may."""
_R = TypeVar("_R")


class Client:
    """Requests to a cluster through any of its nodes.

    * Threads may share one, and take turns, in the order of coming: there is one session
      with one request under way. Who wants more at a time gives each thread its own.
    * `copy`, `deepcopy` and `pickle` give a client with the same settings that has not
      connected yet, and so does a fork to the child's.
    * Keys and values may be `str` (sent as UTF-8) or `bytes`; answers are bytes.
    * It never goes back in time: a node whose term is below that of an earlier answer
      refuses it, but for stale reads. All answers come from one cluster.

    Every method may raise RefusedError (nothing was changed), UnreachableError
    (nobody answered, and nothing was changed) and, for commands alone,
    OutcomeUnknownError. A write with a guard may raise GuardFailedError. A guard is
    a key and the `mod_revision` that it must have when the write is applied, 0 for
    no such key; as the key of a lock that the caller holds it is a fencing token.
    """

    def __init__(
        self,
        addresses: Sequence[str] | str = ("9001", "9002", "9003"),
        timeout_ms: int = 5_000,
        follow: bool = True,
        on_redirect: Callable[[str, str], None] | None = None,
        exactly_once: bool = True,
    ) -> None:
        """Connects to nothing yet.

        `addresses`: some nodes, as `9001`, `host`, `host:port` or `[::1]:9001`; they
        are asked in this order. `timeout_ms` bounds one request with all its
        retries, and with the wait for its turn. With `follow` False the first NOTLEADER
        raises NotLeaderError. `on_redirect(from, to)` is told each redirect that is followed,
        in the middle of the request: it cannot make another one with this client. With
        `exactly_once` the first write opens a session, and a write that was not answered
        is sent again under its number, until the timeout; without, it is not sent again,
        and its outcome is unknown. Raises ConfigError.
        """
        # A lone string is a sequence too, of characters: never what was meant.
        texts = addresses if isinstance(addresses, str) else ",".join(addresses)
        nodes = parse_addresses(texts)
        if not 1 <= timeout_ms <= TIME_MS_CEILING:
            raise ConfigError(f"the timeout must be 1 to {TIME_MS_CEILING} ms, not {timeout_ms}")
        self._timeout_ms = timeout_ms
        self.reads_from_any = False
        """Whether reads are asked of all nodes in order, leader or not. They are as fresh as
        the leader's: a node that does not lead asks the leader how far it must have come."""
        self._caller = Caller(nodes, follow, on_redirect, exactly_once, time.monotonic)
        self._links = Links()
        self._gate = Gate()
        _clients.add(self)

    # --- Commands -------------------------------------------------------------------------

    def put(
        self,
        key: str | bytes,
        value: str | bytes,
        *,
        if_absent: bool = False,
        if_present: bool = False,
        if_value: str | bytes | None = None,
        guard: tuple[str | bytes, int] | None = None,
    ) -> api.PutResult:
        """Write one key, under at most one condition; look at `written` in the result.

        A `guard` stands beside the condition, and raises if it does not hold.
        """
        if if_absent + if_present + (if_value is not None) > 1:
            raise ValueError("give at most one of if_absent, if_present and if_value")
        expected = None if if_value is None else _bytes(if_value)
        when = api.When.ALWAYS
        if if_absent:
            when = api.When.ABSENT
        elif if_present:
            when = api.When.PRESENT
        elif expected is not None:
            when = api.When.EQUAL
        put = api.Put(_bytes(key), _bytes(value), when, expected, guard=_guard(guard))
        return self._ask(put, api.PutResult)

    def delete(
        self, *keys: str | bytes, guard: tuple[str | bytes, int] | None = None
    ) -> api.DeleteResult:
        """Remove keys in one step; `deleted` in the result counts those that existed."""
        delete = api.Delete(tuple(map(_bytes, keys)), _guard(guard))
        return self._ask(delete, api.DeleteResult)

    def increment(
        self, key: str | bytes, by: int = 1, *, guard: tuple[str | bytes, int] | None = None
    ) -> int:
        """Add to a signed 64-bit decimal integer (absent = 0) and return the sum."""
        increment = api.Increment(_bytes(key), _integer(by, "an increment"), _guard(guard))
        return self._ask(increment, api.IncrementResult).value

    # --- Queries --------------------------------------------------------------------------

    def get(self, key: str | bytes, *, stale: bool = False) -> api.KeyValue | None:
        """The record of a key, or None.

        `stale` reads what the first reachable node has applied, leader or not: it
        may be old, but it needs no majority.
        """
        return self.get_many([key], stale=stale)[0]

    def get_many(
        self, keys: Sequence[str | bytes], *, stale: bool = False
    ) -> list[api.KeyValue | None]:
        """The records of several keys at one revision, in the order asked."""
        request = api.Get(tuple(map(_bytes, keys)))
        return list(self._ask(request, api.GetResult, stale=stale).items)

    def scan(
        self,
        prefix: str | bytes = b"",
        *,
        start: str | bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
        with_values: bool = True,
        stale: bool = False,
    ) -> Iterator[api.KeyValue]:
        """The records whose key begins with `prefix`, in byte order, from the key `start` on.

        With `reverse` the other way round, from `start` down; `limit` bounds their number.
        Fetched page by page: each page is of one revision, but a later page may see
        later writes. Without values, every value comes as b"".
        """
        first = None if start is None else _bytes(start)
        request = api.Scan(first, _bytes(prefix), _SCAN_PAGE, with_values, reverse=reverse)
        return self._pages(request, limit, stale)

    def _pages(self, request: api.Scan, limit: int | None, stale: bool) -> Iterator[api.KeyValue]:
        left = sys.maxsize if limit is None else limit
        while True:
            request = msgspec.structs.replace(request, limit=min(left, _SCAN_PAGE))
            page = self._ask(request, api.ScanResult, stale=stale)
            yield from page.items
            left -= len(page.items)
            if page.next_start is None or not left:
                return
            if not _advances(request, page.next_start):
                raise ProtocolError("the node's scan does not advance: are client and node alike?")
            request = msgspec.structs.replace(request, start=page.next_start)

    def count(self, *, stale: bool = False) -> int:
        """The number of keys."""
        return self._ask(api.Count(), api.CountResult, stale=stale).count

    def status(self, address: str | None = None) -> api.StatusResult:
        """What one node knows: the one at `address` and no other, or any that answers."""
        if address is None:
            return self._ask(api.Status(), api.StatusResult)
        node, deadline = parse_address(address), self._deadline()
        with self._gate.turn(deadline):
            way = self._caller.ask_node(node, api.Status(), deadline)
            return cast(api.StatusResult, self._links.carry_out(way))

    def transfer_leader(self, to_node: int | None = None) -> api.HandOverResult:
        """Have that node lead, or the one that lags least; who leads then.

        Leadership moves once, however often it has to be asked for. If another leader has
        come in the meantime, that is the answer, or to `to_node` a RefusedError.
        """
        return self._ask(api.HandOver(to_node), api.HandOverResult)

    # --- Any request ----------------------------------------------------------------------

    def execute(self, request: api.Request, *, stale: bool = False) -> api.Result:
        """Carry out any typed request; the result is never a `Failure`, that is raised.

        Nor is it a `GuardFailed`. It is `PutRepeated` if a put that returns what it
        replaced was answered when it was sent again, and that was too long to be kept.
        """
        if stale and isinstance(request, api.COMMANDS):
            raise ValueError("a command cannot be stale")
        if complaint := complaint_about(request, _WIDEST):
            code = api.FailureCode.INVALID.value
            raise RefusedError(f"{code} {complaint}: no node takes more, so nothing was sent")
        source = Source.STALE if stale else Source.LEADER
        if self.reads_from_any and isinstance(request, api.QUERIES) and not stale:
            source = Source.ANY
        deadline = self._deadline()
        with self._gate.turn(deadline):
            way = self._caller.ask(request, source, self._timeout_ms, deadline)
            result = self._links.carry_out(way)
        if isinstance(result, api.GuardFailed):
            raise _guard_failed(request, result)
        return result

    def _ask(self, request: api.Request, _answer: type[_R], stale: bool = False) -> _R:
        # The caller has checked that the answer is the one that belongs to the request.
        return cast(_R, self.execute(request, stale=stale))

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_ms / 1000

    # --- Copies, and the end --------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has in common with this client: settings, and what is known."""
        return {**vars(self), "_caller": self._caller.fresh(), "_links": None, "_gate": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._links, self._gate = Links(), Gate()
        _clients.add(self)

    def _leave_to_parent(self) -> None:
        """This process was forked: begin anew, with what the parent's client knows.

        Another thread of the parent may have been inside; here, nobody is.
        """
        self._caller.abandon()
        # To close a descriptor here ends no connection there.
        self._links.close()
        self._caller = self._caller.fresh()
        self._links, self._gate = Links(), Gate()

    def close(self) -> None:
        """Close all connections, once other threads are done; a later request opens them again.

        Raises RefusedError if they are not done within the timeout.
        """
        try:
            with self._gate.turn(self._deadline()):
                self._links.close()
        except InsideError:
            # A callback or a signal handler: the request goes on, over a new connection.
            self._links.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()
"""All of this process, for the moment at which it is forked."""


def _leave_all_to_parent() -> None:
    for client in tuple(_clients):
        client._leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)


# --- Small things -------------------------------------------------------------------------


def _advances(scan: api.Scan, next_start: bytes) -> bool:
    """Whether a page leads on, away from where it began."""
    if scan.reverse:
        return scan.start is None or next_start < scan.start
    return next_start > (scan.start or b"")


def _guard_failed(request: api.Request, result: api.GuardFailed) -> GuardFailedError:
    write = request.write if isinstance(request, api.Once) else request
    assert isinstance(write, api.WRITES)
    assert write.guard is not None
    return GuardFailedError(write.guard.key, write.guard.mod_revision, result.mod_revision)


def _guard(guard: tuple[str | bytes, int] | None) -> api.Guard | None:
    if guard is None:
        return None
    key, mod_revision = guard
    return api.Guard(_bytes(key), _integer(mod_revision, "a guard's revision"))


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"keys and values are str or bytes, not {type(text).__name__}")


def _integer(number: int, what: str) -> int:
    if type(number) is not int:
        raise TypeError(f"{what} is an int, not {type(number).__name__}")
    return number
