"""Blocking client: finds the leader, retries what is safe to retry, says what is unknown.

Law: a command whose last byte was sent is never sent again by itself, because the
first copy may still take effect. Only what has definitely changed nothing (a
refusal, a failed connection, a request sent in part) or cannot change anything (a
query) is tried again, until the timeout.

This module must not know how the server works inside: it speaks typed requests
over RESP to one node at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import hiredis
import msgspec

from kvstore import api
from kvstore.config import TIME_MS_CEILING, Address, parse_address, parse_addresses
from kvstore.errors import (
    ConfigError,
    NotLeaderError,
    OutcomeUnknownError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from kvstore.link import Link, NotSent, Unanswered
from kvstore.wire import resp, typed

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_SCAN_PAGE: Final = 100

_ANSWERS: Final[dict[type, type]] = {
    api.Put: api.PutResult,
    api.PutMany: api.PutResult,
    api.Delete: api.DeleteResult,
    api.Increment: api.IncrementResult,
    api.Get: api.GetResult,
    api.Scan: api.ScanResult,
    api.Count: api.CountResult,
    api.Status: api.StatusResult,
}
_R = TypeVar("_R")


class Client:
    """Requests to a cluster through any of its nodes.

    * One TCP connection per node, opened when first needed, and one more for stale
      reads: READONLY holds for a whole connection, and must not leak into others.
    * Not for use by several threads at once: give each its own.
    * Keys and values may be `str` (sent as UTF-8) or `bytes`; answers are bytes.

    Every method may raise RefusedError (nothing was changed), UnreachableError
    (nobody answered, and nothing was changed) and, for commands alone,
    OutcomeUnknownError.
    """

    def __init__(
        self,
        addresses: Sequence[str] | str = ("9001", "9002", "9003"),
        timeout_ms: int = 5_000,
        follow: bool = True,
        on_redirect: Callable[[str, str], None] | None = None,
    ) -> None:
        """Connects to nothing yet.

        `addresses`: some nodes, as `9001`, `host`, `host:port` or `[::1]:9001`; they
        are asked in this order. `timeout_ms` bounds one request with all its
        retries. With `follow` False the first NOTLEADER raises NotLeaderError.
        `on_redirect(from, to)` is told each redirect that is followed. Raises ConfigError.
        """
        # A lone string is a sequence too, of characters: never what was meant.
        texts = addresses if isinstance(addresses, str) else ",".join(addresses)
        self._addresses = parse_addresses(texts)
        if not 1 <= timeout_ms <= TIME_MS_CEILING:
            raise ConfigError(f"the timeout must be 1 to {TIME_MS_CEILING} ms, not {timeout_ms}")
        self._timeout_ms = timeout_ms
        self._follow = follow
        self._on_redirect = on_redirect
        self._leader: Address | None = None
        self._links: dict[tuple[Address, bool], Link] = {}

    # --- Commands -------------------------------------------------------------------------

    def put(
        self,
        key: str | bytes,
        value: str | bytes,
        *,
        if_absent: bool = False,
        if_present: bool = False,
        if_value: str | bytes | None = None,
    ) -> api.PutResult:
        """Write one key, under at most one condition; look at `written` in the result."""
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
        return self._ask(api.Put(_bytes(key), _bytes(value), when, expected), api.PutResult)

    def delete(self, *keys: str | bytes) -> api.DeleteResult:
        """Remove keys in one step; `deleted` in the result counts those that existed."""
        return self._ask(api.Delete(tuple(map(_bytes, keys))), api.DeleteResult)

    def increment(self, key: str | bytes, by: int = 1) -> int:
        """Add to a signed 64-bit decimal integer (absent = 0) and return the sum."""
        return self._ask(api.Increment(_bytes(key), by), api.IncrementResult).value

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
        start: str | bytes = b"",
        with_values: bool = True,
        stale: bool = False,
    ) -> Iterator[api.KeyValue]:
        """All records whose key begins with `prefix`, from `start` on, in byte order.

        Fetched page by page: each page is of one revision, but a later page may see
        later writes. Without values, every value comes as b"".
        """
        request = api.Scan(_bytes(start), _bytes(prefix), _SCAN_PAGE, with_values)
        while True:
            page = self._ask(request, api.ScanResult, stale=stale)
            yield from page.items
            if page.next_start is None:
                return
            if page.next_start <= request.start:
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
        try:
            result = self._attempt(node, api.Status(), False, deadline, deadline)
        except (NotSent, Unanswered) as setback:
            raise UnreachableError(f"node at {node}: {setback}") from None
        if isinstance(result, api.Failure):
            raise RefusedError(_text_of(result))
        return cast(api.StatusResult, result)

    # --- The way of one request -----------------------------------------------------------

    def execute(self, request: api.Request, *, stale: bool = False) -> api.Result:
        """Carry out any typed request; the result is never a `Failure`, that is raised."""
        is_command = isinstance(request, api.COMMANDS)
        if is_command and stale:
            raise ValueError("a command cannot be stale")
        course = _Course(self._nodes(stale), self._deadline(), self._timeout_ms)
        while True:
            node, try_until = course.node, course.try_until()
            reply_until = course.deadline if is_command else try_until
            try:
                result = self._attempt(node, request, stale, try_until, reply_until)
            except (NotSent, Unanswered) as setback:
                self._leader = None
                if is_command and isinstance(setback, Unanswered):
                    raise OutcomeUnknownError(
                        f"{_sent(request, node)}, but {setback}: it may or may not take effect, "
                        "so read the key before you try again"
                    ) from None
                course.failed(str(setback))
                continue
            if not isinstance(result, api.Failure):
                if not stale and not isinstance(request, api.Status):
                    self._leader = node
                return result
            self._leader = None
            self._turn_away(course, request, result)

    def _turn_away(self, course: _Course, request: api.Request, failure: api.Failure) -> None:
        """Set the course for the next attempt, or raise if there must not be one."""
        code, text = failure.code, _text_of(failure)
        if code is api.FailureCode.INVALID:
            raise RefusedError(text)
        if code is api.FailureCode.UNKNOWN and isinstance(request, api.COMMANDS):
            raise OutcomeUnknownError(f"{_sent(request, course.node)}: {failure.message}")
        if code is api.FailureCode.BUSY:
            course.busy(RefusedError(text))
        elif code is api.FailureCode.NOT_LEADER:
            if not self._follow:
                raise NotLeaderError(text, failure.leader)
            asked, leader = course.node, _leader_of(failure)
            if course.redirected(leader, NotLeaderError(text, failure.leader)):
                self._tell_redirect(str(asked), str(leader))
        else:
            course.refused(RefusedError(text))

    def _tell_redirect(self, asked: str, leader: str) -> None:
        if self._on_redirect is not None:
            self._on_redirect(asked, leader)

    def _ask(self, request: api.Request, _answer: type[_R], stale: bool = False) -> _R:
        # _attempt has checked that the answer is the one that belongs to the request.
        return cast(_R, self.execute(request, stale=stale))

    def _attempt(
        self,
        node: Address,
        request: api.Request,
        stale: bool,
        send_until: float,
        reply_until: float,
    ) -> api.Result:
        """Ask one node, once. Raises NotSent or Unanswered; the connection is gone then."""
        try:
            link = self._link(node, stale, send_until)
            link.send(typed.encode_request(request), send_until)
            return _answer_to(request, link.receive(reply_until))
        except BaseException:
            # Ctrl-C included: a later request must not read this one's late reply.
            self._drop(node, stale)
            raise

    def _link(self, node: Address, stale: bool, until: float) -> Link:
        """The open connection to a node, or a new one."""
        link = self._links.get((node, stale))
        if link is not None and link.is_idle():
            return link
        self._drop(node, stale)
        link = self._links[node, stale] = Link(node, until)
        if stale:
            link.send(resp.command(b"READONLY"), until)
            try:
                reply = link.receive(until)
            except Unanswered as setback:
                raise NotSent(str(setback)) from None
            if isinstance(reply, hiredis.ReplyError):
                raise NotSent(f"refused READONLY: {reply}")
        return link

    def _drop(self, node: Address, stale: bool) -> None:
        link = self._links.pop((node, stale), None)
        if link is not None:
            link.close()

    def _nodes(self, stale: bool) -> list[Address]:
        """Whom to ask, in order: the last known leader first, if it is known."""
        if stale or self._leader is None:
            return list(self._addresses)
        return [self._leader, *(node for node in self._addresses if node != self._leader)]

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_ms / 1000

    # --- The end --------------------------------------------------------------------------

    def close(self) -> None:
        """Close all connections; a later request opens them again."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Course:
    """Which node to ask next, and what was learned on the way, for one request.

    * Within a round no node is asked twice; between rounds there is a growing pause.
    * A node that was named as the leader is asked next, and at once.
    """

    def __init__(self, nodes: list[Address], deadline: float, timeout_ms: int) -> None:
        self.node = nodes[0]
        self.deadline = deadline
        self._timeout_ms = timeout_ms
        self._nodes = nodes
        self._tried: set[Address] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._told: set[tuple[Address, Address]] = set()
        self._failures: dict[Address, str] = {}
        self._refusal: RefusedError | None = None

    def try_until(self) -> float:
        """When to give this node up: half of the rest is kept while there are others."""
        now = time.monotonic()
        if len(self._nodes) == 1:
            return self.deadline
        return now + (self.deadline - now) / 2

    def failed(self, reason: str) -> None:
        """The node could not be asked."""
        self._failures[self.node] = reason
        self._go_to_another()

    def refused(self, refusal: RefusedError) -> None:
        """The node does not know who leads."""
        self._refusal = refusal
        self._failures.pop(self.node, None)
        self._go_to_another()

    def busy(self, refusal: RefusedError) -> None:
        """The leader has no room now; nobody else could help."""
        self._refusal = refusal
        self._rest()

    def redirected(self, leader: Address | None, refusal: NotLeaderError) -> bool:
        """The node names a leader. True if it is followed, and for the first time."""
        self._refusal = refusal
        self._failures.pop(self.node, None)
        self._tried.add(self.node)
        if leader is None or leader in self._tried:
            self._go_to_another()
            return False
        if leader not in self._nodes:
            self._nodes.append(leader)
        hop = (self.node, leader)
        is_news = hop not in self._told
        self._told.add(hop)
        self.node = leader
        self._check_deadline()
        return is_news

    def _go_to_another(self) -> None:
        self._tried.add(self.node)
        for node in self._nodes:
            if node not in self._tried:
                self.node = node
                break
        else:
            self._rest()
            self.node = self._nodes[0]
        self._check_deadline()

    def _rest(self) -> None:
        """Pause between two rounds. Raises what is known if the time is up."""
        self._check_deadline()
        time.sleep(min(self._pause_s, max(0.0, self.deadline - time.monotonic())))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._tried.clear()
        self._check_deadline()

    def _check_deadline(self) -> None:
        if time.monotonic() < self.deadline:
            return
        failures = "; ".join(f"{node}: {reason}" for node, reason in self._failures.items())
        if self._refusal is None:
            raise UnreachableError(
                f"no node answered within {self._timeout_ms} ms ({failures}): "
                "check that the cluster runs there, or name other nodes"
            )
        also = f" ({failures})" if failures else ""
        text = f"{self._refusal}; gave up after {self._timeout_ms} ms{also}"
        if isinstance(self._refusal, NotLeaderError):
            raise NotLeaderError(text, self._refusal.leader)
        raise RefusedError(f"{text}: look at the nodes' status and try again")


# --- Small things -------------------------------------------------------------------------


def _answer_to(request: api.Request, reply: object) -> api.Result:
    """Read a reply; raises Unanswered if it is not one to this request."""
    if isinstance(reply, hiredis.ReplyError):
        return _failure_of(str(reply))
    if not isinstance(reply, bytes):
        raise Unanswered("the reply is not one of kvstore")
    try:
        result = typed.decode_result(reply)
    except ProtocolError as error:
        raise Unanswered(str(error)) from None
    if not isinstance(result, (_ANSWERS[type(request)], api.Failure)):
        raise Unanswered("the reply belongs to another request")
    return result


def _failure_of(text: str) -> api.Failure:
    """An error of the Redis kind. Its first word is the code; only known ones are certain."""
    word, _, message = text.partition(" ")
    try:
        return api.Failure(api.FailureCode(word), message)
    except ValueError:
        raise Unanswered(f"the reply is an error that kvstore does not know: {text}") from None


def _leader_of(failure: api.Failure) -> Address | None:
    try:
        return None if failure.leader is None else parse_address(failure.leader)
    except ConfigError:
        return None


def _sent(request: api.Request, node: Address) -> str:
    return f"the {type(request).__name__.lower()} was sent to {node}"


def _text_of(failure: api.Failure) -> str:
    return f"{failure.code.value} {failure.message}"


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"keys and values are str or bytes, not {type(text).__name__}")
