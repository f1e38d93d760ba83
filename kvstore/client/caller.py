"""A sequential caller of a cluster: its session, and the way of a request.

Law: nothing that it tries again can take effect twice. A write goes under a client
session and keeps its number, so the cluster carries it out once, however often it
arrives. It is not sent before each earlier one of the same client, whose outcome nobody
knows, can take effect no more. Without a session, a command whose last byte was sent is never
sent again. What has changed nothing (a refusal, a failed connection, a request sent in part) or
cannot change anything (a query) is tried again until the timeout.

This module must not know how the server works inside, nor sockets, clocks or threads: it
decides, step by step, and is told what came of it (`attempt.py`). Who has several callers, one
for each request at a time, has them share what they know and what is in doubt (`beside`).
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable, Generator, Sequence
from typing import Final, cast

import hiredis
import msgspec

from kvstore import api
from kvstore.address import Address, parse_address
from kvstore.client.attempt import (
    Attempt,
    Foreign,
    Full,
    HangUp,
    NotSent,
    Setback,
    Step,
    Unanswered,
    Way,
)
from kvstore.client.course import Course
from kvstore.client.doubts import Doubts, Number
from kvstore.client.knowledge import Knowledge
from kvstore.errors import (
    CompactedError,
    ConfigError,
    NotLeaderError,
    OutcomeUnknownError,
    ProtocolError,
    RefusedError,
    RequestError,
    UnreachableError,
)
from kvstore.wire import typed

_NO_LEADER: Final = api.FailureCode.NO_LEADER.value
_NOT_CONFIRMED: Final[dict[type, RefusedError]] = {
    api.OpenSession: RefusedError(
        "no majority confirmed the session, so the write was not sent", _NO_LEADER
    ),
}
"""What an unknown outcome of a request means to the caller, who did not ask for it."""
_NOTHING: Final = api.Delete(())
"""A write that changes nothing, but uses up its number."""


_NOT_OF_WHO_LEADS: Final = (
    api.FailureCode.INVALID,
    api.FailureCode.NO_HEIR,
    api.FailureCode.NO_CHANGE,
    api.FailureCode.BUSY,
    api.FailureCode.NO_SESSION,
    api.FailureCode.TAKEN,
    api.FailureCode.COMPACTED,
    api.FailureCode.FUTURE,
)
"""Refusals for reasons of the request: the node may lead as before."""


_ENDS: Final = (
    api.FailureCode.INVALID,
    api.FailureCode.NO_HEIR,
    api.FailureCode.NO_CHANGE,
    api.FailureCode.COMPACTED,
    api.FailureCode.FUTURE,
)
"""Refusals that the caller has to know of: to ask at once again does not help."""


_WHO_LEADS: Final = api.Get(())
"""A read that asks for nothing: whoever answers it leads, by the word of a majority."""


class Source(enum.Enum):
    """Who may answer a request."""

    LEADER = enum.auto()
    ANY = enum.auto()
    """Any node, as freshly as the leader would."""
    STALE = enum.auto()
    """Any node, from what it has applied."""


class Caller:
    """One caller, which has at most one request under way.

    * `_session` and `_sequence` (of the last write under it) are its own: no two callers,
      and no two processes, go on with the same ones.
    * `_doubts` are those of all callers of one client.
    * `_knowledge` may be shared with others. None of them goes back in time: a node whose term
      is below that of an earlier answer refuses the request, but for stale reads.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        follow: bool,
        on_redirect: Callable[[str, str], None] | None,
        exactly_once: bool,
        clock: Callable[[], float],
    ) -> None:
        """`clock`: a monotonic one, in s; deadlines are by it."""
        self._clock = clock
        self._addresses = addresses
        self._follow = follow
        self._on_redirect = on_redirect
        self._exactly_once = exactly_once
        self._knowledge = Knowledge()
        self._doubts = Doubts()
        self._begin()

    def _begin(self) -> None:
        """Have nothing yet."""
        self.course: Course | None = None
        """The way of the request under way, with what was learned on it; None if there is none."""
        self._session: int | None = None
        self._sequence = 0
        self._is_abandoned = False

    def beside(self) -> Caller:
        """Another one for the same client, which may have a request under way at the same time."""
        other = copy.copy(self)
        other._begin()
        return other

    def fresh(self) -> Caller:
        """One for another client, with the same settings, and as much knowledge to begin with."""
        other = self.beside()
        other._knowledge = self._knowledge.copied()
        other._doubts = Doubts()
        return other

    def abandon(self) -> None:
        """This is a child's copy of its parent's caller: ask nobody any more."""
        self._is_abandoned = True

    # --- The way of one request -----------------------------------------------------------

    def ask(self, request: api.Request, source: Source, timeout_ms: int, deadline: float) -> Way:
        """Carry out a request; the result is never a `Failure`, that is raised."""
        try:
            if self._exactly_once and isinstance(request, api.WRITES):
                yield from self._settle(timeout_ms, deadline)
            course = self._set_out(source, timeout_ms, deadline)
            result = yield from self._ask(course, request, source)
            known = self._knowledge.now
            if known.newest_members_at > known.members_at and source is Source.LEADER:
                yield from self._learn_members(course)
            return result
        finally:
            if (begun := self.course) is not None:
                begun.is_over = True
            self.course = None

    def _set_out(self, source: Source, timeout_ms: int, deadline: float) -> Course:
        self.course = Course(self._nodes(source), timeout_ms, deadline, self._clock)
        return self.course

    def _settle(self, timeout_ms: int, deadline: float) -> Generator[Step, object, None]:
        """Have nothing be carried out under a number in doubt, if it was not until now."""
        for number in self._doubts.of_others(self._session):
            course = self._set_out(Source.LEADER, timeout_ms, deadline)
            try:
                yield from self._carry_out(course, api.Once(*number, _NOTHING), Source.LEADER)
            except _SessionGoneError:
                pass  # The write itself was carried out before, or the session is no more.
            except OutcomeUnknownError as error:
                raise RefusedError(
                    "an earlier write of this client may still take effect, and no node said that "
                    f"it will not, so this one was not sent: {error}",
                    _NO_LEADER,
                ) from None
            self._doubts.end_through(number)

    def _learn_members(self, course: Course) -> Generator[Step, object, None]:
        """Ask the leader who the members are by now; if that fails, the next request does.

        The nodes that the caller was given may all be gone one day.
        """
        if (leader := self._knowledge.now.leader) is None:
            return
        until = course.try_until()
        try:
            found = yield from self._attempt(leader, api.Members(), Source.LEADER, until, until)
        except Setback:
            return
        if isinstance(found, api.MembersResult):
            self._knowledge.meet(found)

    def _ask(self, course: Course, request: api.Request, source: Source) -> Way:
        if self._exactly_once and isinstance(request, api.WRITES):
            return (yield from self._carry_out_once(course, request))
        # Said of what it is meant, so that a copy which comes late does nothing a second time.
        if isinstance(request, api.HandOver) and not request.term:
            yield from self._carry_out(course, _WHO_LEADS, Source.LEADER)
            request = api.HandOver(request.heir, self._knowledge.now.term)
        elif isinstance(request, api.CHANGES) and request.after is None:
            found = yield from self._carry_out(course, api.Members(), Source.LEADER)
            index = cast(api.MembersResult, found).index
            request = msgspec.structs.replace(request, after=index)
        try:
            return (yield from self._carry_out(course, request, source))
        except _SessionGoneError as gone:
            raise gone if gone.is_certain else course.end(gone) from None

    def ask_node(self, node: Address, request: api.NodeQuery, deadline: float) -> Way:
        """Ask this node and no other, once."""
        try:
            result = yield from self._attempt(node, request, Source.LEADER, deadline, deadline)
        except (NotSent, Unanswered) as setback:
            raise UnreachableError(f"node at {node}: {setback}") from None
        if isinstance(result, api.Failure):
            raise _refusal_of(result)
        return result

    def _carry_out_once(self, course: Course, write: api.Write) -> Way:
        """Send a write under the session until it is answered."""
        while True:
            if self._session is None:
                opened = yield from self._carry_out(course, api.OpenSession(), Source.LEADER)
                self._session, self._sequence = cast(api.SessionResult, opened).session, 0
            number = self._take_number(self._session, course)
            once = api.Once(*number, write)
            try:
                result = yield from self._carry_out(course, once, Source.LEADER)
            except _SessionGoneError as gone:
                self._doubts.end_through(number)
                self._session = None
                if gone.is_certain:
                    course.doubt = None
                if course.doubt is not None:
                    raise course.end(gone) from None
                course.refused(RefusedError(f"{gone}, and no new one was opened", _NO_LEADER))
            except OutcomeUnknownError:
                raise
            except RequestError:
                self._doubts.end(number)
                raise
            else:
                self._doubts.end_through(number)
                return result

    def _take_number(self, session: int, course: Course) -> Number:
        """One that is used for this write only, whatever becomes of it."""
        self._sequence += 1
        number = Number(session, self._sequence)
        self._doubts.begin(number, course)
        return number

    def _carry_out(self, course: Course, request: api.Request, source: Source) -> Way:
        """Ask one node after another, also when a copy may have arrived, if that is safe."""
        while True:
            if (rest := course.take_rest()) is not None:
                yield rest
            self._check_whose(course)
            course.check_deadline()
            node, try_until = course.node, course.try_until()
            reply_until = try_until if _may_be_repeated(request) else course.deadline
            try:
                result = yield from self._attempt(node, request, source, try_until, reply_until)
            except (NotSent, Unanswered) as setback:
                self._knowledge.forget_leader(node)
                if isinstance(setback, Unanswered):
                    _doubt(course, request, f"but {setback}")
                self._check_whose(course)
                if isinstance(setback, Full):
                    course.full(str(setback))
                elif isinstance(setback, Foreign):
                    course.foreign(str(setback))
                else:
                    course.failed(str(setback), is_silence=setback.is_silence)
                continue
            if not isinstance(result, api.Failure):
                if source is Source.LEADER and not isinstance(request, api.NodeQuery):
                    self._knowledge.lead(node)
                return result
            if result.code not in _NOT_OF_WHO_LEADS:
                self._knowledge.forget_leader(node)
            self._turn_away(course, request, result)

    def _check_whose(self, course: Course) -> None:
        """A child that was forked in the middle must not go on: its parent does."""
        if self._is_abandoned:
            what = "this process was forked in the middle of a request, which is its parent's"
            raise course.end(RefusedError(f"{what}: ask again", "FORKED"))

    def _turn_away(self, course: Course, request: api.Request, failure: api.Failure) -> None:
        """Set the course for the next attempt, or raise if there must not be one."""
        code, refusal = failure.code, _refusal_of(failure)
        if code in _ENDS:
            raise refusal if failure.is_final else course.end(refusal)
        if code in (api.FailureCode.NO_SESSION, api.FailureCode.TAKEN):
            raise _SessionGoneError(str(refusal), code.value, is_certain=failure.is_final)
        if code is api.FailureCode.UNKNOWN:
            _doubt(course, request, f"which said: {failure.message}")
            course.refused(_NOT_CONFIRMED.get(type(request), refusal))
        elif code is api.FailureCode.BUSY:
            course.busy(refusal)
        elif isinstance(refusal, NotLeaderError):
            if not self._follow:
                raise course.end(refusal)
            asked, leader = course.node, _leader_of(failure)
            if course.redirected(leader, refusal):
                self._tell_redirect(str(asked), str(leader))
        else:
            course.refused(refusal)

    def _tell_redirect(self, asked: str, leader: str) -> None:
        if self._on_redirect is not None:
            self._on_redirect(asked, leader)

    def _nodes(self, source: Source) -> list[Address]:
        """Whom to ask: the last known leader first, if it is known and has to be asked."""
        known = self._knowledge.now
        first = () if source is not Source.LEADER or known.leader is None else (known.leader,)
        return [*dict.fromkeys((*first, *known.members, *self._addresses))]

    @property
    def addresses(self) -> Sequence[Address]:
        """The nodes, as they were given."""
        return self._addresses

    @property
    def knowledge(self) -> Knowledge:
        """What it knows of its cluster, and may share with others."""
        return self._knowledge

    # --- One attempt ----------------------------------------------------------------------

    def _attempt(
        self,
        node: Address,
        request: api.Request,
        source: Source,
        send_until: float,
        reply_until: float,
    ) -> Way:
        """Ask one node, once. Raises NotSent or Unanswered; the connection is gone then."""
        stale = source is Source.STALE
        known = self._knowledge.now
        min_term = 0 if stale or isinstance(request, api.NodeQuery) else known.term
        call = api.Call(request, min_term, known.cluster_id, source is Source.ANY)
        answer = yield Attempt(node, stale, call, send_until, reply_until)
        try:
            return self._answer_to(call, answer, stale)
        except Setback:
            yield HangUp(node, stale)
            raise

    def _answer_to(self, call: api.Call, answer: object, stale: bool) -> api.Result:
        """Read a reply, and learn from it; raises Unanswered if it is not one to this call."""
        if isinstance(answer, hiredis.ReplyError):
            if str(answer).startswith(Full.words):
                raise Full
            return _failure_of(str(answer))
        if not isinstance(answer, bytes):
            raise Unanswered("the reply is not one of kvstore")
        try:
            reply = typed.decode_reply(answer)
        except ProtocolError as error:
            raise Unanswered(str(error)) from None
        if call.cluster_id not in ("", reply.cluster_id):
            # The node has refused: the call says for which cluster it is.
            raise Foreign(f"it belongs to cluster {reply.cluster_id}, not to {call.cluster_id}")
        failed = isinstance(reply.result, api.Failure)
        fits = isinstance(reply.result, api.answers_to(call.request))
        # Other answers do not show that anybody was elected in the node's term.
        of_leader = fits and not stale and not isinstance(call.request, api.NodeQuery)
        if not self._knowledge.hear(reply, of_leader=of_leader):
            raise Unanswered(f"it belongs to cluster {reply.cluster_id}, and others came first")
        if not (failed or fits):
            raise Unanswered("the reply belongs to another request")
        return reply.result


# --- Small things -------------------------------------------------------------------------


class _SessionGoneError(RefusedError):
    """The cluster does not know the session, or somebody else writes under it.

    `is_certain`: no copy of the request was carried out under it, or ever will be.
    """

    def __init__(self, message: str, code: str, *, is_certain: bool) -> None:
        super().__init__(message, code)
        self.is_certain = is_certain


def _may_be_repeated(request: api.Request) -> bool:
    """Whether a copy that may have arrived does no harm: only a bare write may have two effects."""
    return not isinstance(request, api.WRITES)


def _doubt(course: Course, request: api.Request, why: str) -> None:
    """Note, or raise if nothing may be repeated, that something may have been changed by it."""
    asked = request.write if isinstance(request, api.Once) else request
    if not isinstance(asked, (*api.WRITES, api.HandOver, *api.CHANGES)):
        return
    what = "change of members" if isinstance(asked, api.CHANGES) else type(asked).__name__.lower()
    doubt = f"the {what} was sent to {course.node}, {why}"
    if not _may_be_repeated(request):
        raise OutcomeUnknownError(
            f"{doubt}: it may or may not take effect, so read the key before you try again"
        )
    course.doubt = doubt


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


def _refusal_of(failure: api.Failure) -> RefusedError:
    """What a node's refusal is to the caller, if it is no worse."""
    code = failure.code.value
    text = f"{code} {failure.message}"
    if failure.code is api.FailureCode.NOT_LEADER:
        return NotLeaderError(text, failure.leader)
    if failure.code is api.FailureCode.COMPACTED:
        return CompactedError(text, failure.compacted)
    return RefusedError(text, code)
