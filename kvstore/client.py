"""Blocking client: finds the leader, retries what is safe to retry, says what is unknown.

Law: nothing that it tries again can take effect twice. A write goes under a client
session and keeps its number, so the cluster carries it out once, however often it
arrives. Without a session, a command whose last byte was sent is never sent again.
What has changed nothing (a refusal, a failed connection, a request sent in part) or
cannot change anything (a query) is tried again until the timeout.

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
from kvstore.address import Address, parse_address, parse_addresses
from kvstore.config import TIME_MS_CEILING
from kvstore.course import Course
from kvstore.errors import (
    ConfigError,
    GuardFailedError,
    NotLeaderError,
    OutcomeUnknownError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from kvstore.link import Link, NotSent, Unanswered
from kvstore.wire import resp, typed

_SCAN_PAGE: Final = 100

_ANSWERS: Final[dict[type, type]] = {
    api.Put: api.PutResult,
    api.PutMany: api.PutResult,
    api.Delete: api.DeleteResult,
    api.Increment: api.IncrementResult,
    api.OpenSession: api.SessionResult,
    api.Get: api.GetResult,
    api.Scan: api.ScanResult,
    api.Count: api.CountResult,
    api.Status: api.StatusResult,
    api.HandOver: api.HandOverResult,
}
_NO_ANSWER: Final[dict[type, str]] = {
    api.OpenSession: "no majority confirmed the session, so the write was not sent",
}
"""What an unknown outcome of a request means to the caller, who did not ask for it."""
_R = TypeVar("_R")


class Client:
    """Requests to a cluster through any of its nodes.

    * One TCP connection per node, opened when first needed, and one more for stale
      reads: READONLY holds for a whole connection, and must not leak into others.
    * Not for use by several threads at once: give each its own.
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
        retries. With `follow` False the first NOTLEADER raises NotLeaderError.
        `on_redirect(from, to)` is told each redirect that is followed. With
        `exactly_once` the first write opens a session, and a write that was not answered
        is sent again under its number, until the timeout; without, it is not sent again,
        and its outcome is unknown. Raises ConfigError.
        """
        # A lone string is a sequence too, of characters: never what was meant.
        texts = addresses if isinstance(addresses, str) else ",".join(addresses)
        self._addresses = parse_addresses(texts)
        if not 1 <= timeout_ms <= TIME_MS_CEILING:
            raise ConfigError(f"the timeout must be 1 to {TIME_MS_CEILING} ms, not {timeout_ms}")
        self._timeout_ms = timeout_ms
        self._follow = follow
        self._on_redirect = on_redirect
        self.reads_from_any = False
        """Whether reads are asked of all nodes in order, leader or not. They are as fresh as
        the leader's: a node that does not lead asks the leader how far it must have come."""
        self._exactly_once = exactly_once
        self._session: int | None = None
        self._sequence = 0
        """Of the last write under the session."""
        self._term = 0
        """The highest in which a leader has answered."""
        self._cluster_id = ""
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
        increment = api.Increment(_bytes(key), by, _guard(guard))
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
        node, deadline = parse_address(address), time.monotonic() + self._timeout_ms / 1000
        try:
            result = self._attempt(node, api.Status(), False, deadline, deadline)
        except (NotSent, Unanswered) as setback:
            raise UnreachableError(f"node at {node}: {setback}") from None
        if isinstance(result, api.Failure):
            raise RefusedError(_text_of(result))
        return cast(api.StatusResult, result)

    def transfer_leader(self, to_node: int | None = None) -> api.HandOverResult:
        """Have that node lead, or the one that lags least; who leads then."""
        return self._ask(api.HandOver(to_node), api.HandOverResult)

    # --- The way of one request -----------------------------------------------------------

    def execute(self, request: api.Request, *, stale: bool = False) -> api.Result:
        """Carry out any typed request; the result is never a `Failure`, that is raised.

        Nor is it a `GuardFailed`. It is `Done` if a put that returns what it replaced was
        answered when it was sent again, and that was too long to be kept.
        """
        is_command = isinstance(request, api.COMMANDS)
        if is_command and stale:
            raise ValueError("a command cannot be stale")
        in_order = stale or self._is_from_any(request)
        course = Course(self._nodes(in_order), self._timeout_ms)
        if self._exactly_once and isinstance(request, api.WRITES):
            result = self._carry_out_once(course, request)
        else:
            result = self._carry_out(course, request, stale=stale, repeats=not is_command)
        if isinstance(result, api.GuardFailed):
            raise _guard_failed(_write_of(request).guard, result)
        return result

    def _carry_out_once(self, course: Course, write: api.Write) -> api.Result:
        """Send a write under the session until it is answered."""
        while True:
            if self._session is None:
                opened = self._carry_out(course, api.OpenSession(), stale=False, repeats=True)
                self._session, self._sequence = cast(api.SessionResult, opened).session, 0
            # A number is used for one write only, also if the write is interrupted.
            self._sequence += 1
            once = api.Once(self._session, self._sequence, write)
            try:
                return self._carry_out(course, once, stale=False, repeats=True)
            except _SessionGoneError as gone:
                self._session = None
                if gone.is_certain:
                    course.doubt = None
                if course.doubt is not None:
                    raise course.end(gone) from None
                course.refused(gone)

    def _carry_out(
        self, course: Course, request: api.Request, *, stale: bool, repeats: bool
    ) -> api.Result:
        """Ask one node after another. With `repeats`, also when a copy may have arrived."""
        while True:
            node, try_until = course.node, course.try_until()
            reply_until = try_until if repeats else course.deadline
            try:
                result = self._attempt(node, request, stale, try_until, reply_until)
            except (NotSent, Unanswered) as setback:
                self._leader = None
                if isinstance(setback, Unanswered):
                    _doubt(course, request, f"but {setback}", repeats)
                course.failed(str(setback))
                continue
            if not isinstance(result, api.Failure):
                if not (stale or isinstance(request, api.Status) or self._is_from_any(request)):
                    self._leader = node
                return result
            self._leader = None
            self._turn_away(course, request, result, repeats)

    def _turn_away(
        self, course: Course, request: api.Request, failure: api.Failure, repeats: bool
    ) -> None:
        """Set the course for the next attempt, or raise if there must not be one."""
        code, text = failure.code, _text_of(failure)
        if code is api.FailureCode.INVALID:
            refusal = RefusedError(text)
            raise refusal if failure.is_final else course.end(refusal)
        if code in (api.FailureCode.NO_SESSION, api.FailureCode.TAKEN):
            raise _SessionGoneError(text, is_certain=failure.is_final)
        if code is api.FailureCode.UNKNOWN:
            _doubt(course, request, f"which said: {failure.message}", repeats)
            course.refused(RefusedError(_NO_ANSWER.get(type(request), text)))
        elif code is api.FailureCode.BUSY:
            course.busy(RefusedError(text))
        elif code is api.FailureCode.NOT_LEADER:
            if not self._follow:
                raise course.end(NotLeaderError(text, failure.leader))
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
            min_term = 0 if stale or isinstance(request, api.Status) else self._term
            call = api.Call(request, min_term, self._cluster_id, self._is_from_any(request))
            link.send(typed.encode_call(call), send_until)
            return self._answer_to(call, link.receive(reply_until), stale)
        except BaseException:
            # Ctrl-C included: a later request must not read this one's late reply.
            self._drop(node, stale)
            raise

    def _answer_to(self, call: api.Call, answer: object, stale: bool) -> api.Result:
        """Read a reply, and learn from it; raises Unanswered if it is not one to this call."""
        if isinstance(answer, hiredis.ReplyError):
            return _failure_of(str(answer))
        if not isinstance(answer, bytes):
            raise Unanswered("the reply is not one of kvstore")
        try:
            reply = typed.decode_reply(answer)
        except ProtocolError as error:
            raise Unanswered(str(error)) from None
        if call.cluster_id not in ("", reply.cluster_id):
            # The node has refused: the call says for which cluster it is.
            raise NotSent(f"it belongs to cluster {reply.cluster_id}, not to {call.cluster_id}")
        self._cluster_id = reply.cluster_id
        if isinstance(reply.result, api.Failure):
            return reply.result
        if not isinstance(reply.result, _answers_to(call.request)):
            raise Unanswered("the reply belongs to another request")
        if not stale and not isinstance(call.request, api.Status):
            # Other answers do not show that anybody was elected in the node's term.
            self._term = max(self._term, reply.term)
        return reply.result

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

    def _is_from_any(self, request: api.Request) -> bool:
        return self.reads_from_any and isinstance(request, api.QUERIES)

    def _nodes(self, in_order: bool) -> list[Address]:
        """Whom to ask: the last known leader first, if it is known and has to be asked."""
        if in_order or self._leader is None:
            return list(self._addresses)
        return [self._leader, *(node for node in self._addresses if node != self._leader)]

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


# --- Small things -------------------------------------------------------------------------


class _SessionGoneError(RefusedError):
    """The cluster does not know the session, or somebody else writes under it.

    `is_certain`: no copy of the request was carried out under it, or ever will be.
    """

    def __init__(self, message: str, *, is_certain: bool) -> None:
        super().__init__(message)
        self.is_certain = is_certain


def _answers_to(request: api.Request) -> tuple[type, ...]:
    """The results that answer a request, failures aside."""
    if isinstance(request, api.Once):
        return (api.Done, *_answers_to(request.write))
    if isinstance(request, api.WRITES):
        return (api.GuardFailed, _ANSWERS[type(request)])
    return (_ANSWERS[type(request)],)


def _doubt(course: Course, request: api.Request, why: str, repeats: bool) -> None:
    """Note, or raise if nothing may be repeated, that a command may have been carried out."""
    if isinstance(request, api.OpenSession) or not isinstance(request, api.COMMANDS):
        return
    doubt = f"the {type(_write_of(request)).__name__.lower()} was sent to {course.node}, {why}"
    if not repeats:
        raise OutcomeUnknownError(
            f"{doubt}: it may or may not take effect, so read the key before you try again"
        )
    course.doubt = doubt


def _write_of(request: api.Request) -> api.Write:
    write = request.write if isinstance(request, api.Once) else request
    assert isinstance(write, api.WRITES)
    return write


def _guard_failed(guard: api.Guard | None, result: api.GuardFailed) -> GuardFailedError:
    assert guard is not None
    return GuardFailedError(guard.key, guard.mod_revision, result.mod_revision)


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


def _text_of(failure: api.Failure) -> str:
    return f"{failure.code.value} {failure.message}"


def _guard(guard: tuple[str | bytes, int] | None) -> api.Guard | None:
    return None if guard is None else api.Guard(_bytes(guard[0]), guard[1])


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"keys and values are str or bytes, not {type(text).__name__}")
