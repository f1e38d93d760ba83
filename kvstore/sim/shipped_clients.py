"""Callers that ask as the client that ships does: its own decisions, in simulated worlds.

Law: whom to ask, when again, under which number, and what that means for its user decides
`kvstore.client.caller`, the very code of production. This module does what that wants done, on
simulated connections that break now and then, and writes down what the user is told. It
adds nothing to what the client knows.

What is left out: threads, copies in other processes, and the sockets of `kvstore.client.link`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

import hiredis
import msgspec

from kvstore import api
from kvstore.address import Address
from kvstore.client.attempt import (
    Attempt,
    Full,
    HangUp,
    NotSent,
    Rest,
    Setback,
    Step,
    Unanswered,
    Way,
)
from kvstore.client.caller import Caller, Source
from kvstore.errors import OutcomeUnknownError, RequestError
from kvstore.sim.calls import Call, Connection, TypedCall
from kvstore.sim.clients import DELAY_MS, Client

_TIMEOUTS_MS: Final = (400.0, 2_500.0, 6_000.0)
"""The patient ones hear from nodes that they do not know; the others give up before."""
_LOST: Final = 0.02
"""How often a request is sent whole and never arrives; and how often its reply does not."""
_FULL: Final = 0.02
"""How often a node has no room for more clients."""
_INTERRUPTED: Final = 0.01
"""How often the user ends a request in the middle."""
_COPIED: Final = 0.01
"""How often the user goes on with a copy of the client."""
_STALE: Final = 0.1
"""How often a read is one of what a node has applied."""
_HANDOVER: Final = 0.01
"""How often a request is one to hand over leadership."""
_MEMBERS: Final = 0.02
"""How often a request is about the members."""
_ROUNDING_S: Final = 1e-6

_encode = msgspec.msgpack.Encoder().encode


class _Errand:
    """One request of the user, from when it was made to what the user is told.

    * `may_have_effect`: an attempt may have arrived, and nobody said what came of it.
    """

    def __init__(self, request: api.Request, source: Source, invoked_ms: float) -> None:
        self.request = request
        self.is_stale = source is Source.STALE
        self.invoked_ms = invoked_ms
        self.may_have_effect = False
        self.deadline_s: float
        self.way: Way


class ShippedClient(Client):
    """A user of `kvstore.Client`, with one request under way.

    * A reply to an attempt that was given up is heard by nobody.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        rng = self._rng
        addresses = [Address("sim", 9_000 + node) for node in self._machines]
        rng.shuffle(addresses)
        self._caller = Caller(
            addresses,
            follow=True,
            on_redirect=None,
            exactly_once=rng.random() < 0.5,
            clock=self._read_clock,
        )
        self._timeout_ms = rng.choice(_TIMEOUTS_MS)
        self._reads_from_any = rng.random() < 0.3
        self._connections: dict[tuple[int, bool], Connection] = {}
        self._errand: _Errand | None = None
        self._is_stormy = True

    def _read_clock(self) -> float:
        return self._schedule.now_ms / 1_000

    def leave_out(self, nodes: Collection[int]) -> None:
        """Its user does not know; whoever is gone for good cannot be reached."""
        self._machines = {node: one for node, one in self._machines.items() if node not in nodes}

    def insist_on_everything(self) -> None:
        """And nothing goes wrong from here on."""
        self._is_stormy = False
        super().insist_on_everything()

    # --- One request of the user ----------------------------------------------------------

    def _call(self) -> None:
        self._is_waiting = False
        if not self._has_more:
            return
        self._is_waiting = True
        if self._rng.random() < _COPIED:
            self._caller = self._caller.fresh()
            self._connections.clear()
        self._calls += 1
        request = self._next_request()
        source = self._source_for(request)
        errand = self._errand = _Errand(request, source, self._schedule.now_ms)
        timeout_ms = int(self._timeout_ms)
        errand.deadline_s = self._read_clock() + timeout_ms / 1_000
        errand.way = self._caller.ask(request, source, timeout_ms, errand.deadline_s)
        self._go(errand, partial(next, errand.way))

    def _random_request(self) -> api.Request:
        if self._is_stormy and self._rng.random() < _HANDOVER:
            return api.HandOver(self._rng.choice((None, *self._machines)))
        if self._is_stormy and self._rng.random() < _MEMBERS:
            promote = api.PromoteMember(self._rng.choice([*self._machines]))
            return self._rng.choice((api.Members(), promote))
        return super()._random_request()

    def _source_for(self, request: api.Request) -> Source:
        if not isinstance(request, api.QUERIES) or self._script:
            return Source.LEADER
        if self._rng.random() < _STALE:
            return Source.STALE
        return Source.ANY if self._reads_from_any else Source.LEADER

    def _go(self, errand: _Errand, advance: Callable[[], Step]) -> None:
        """Let the client decide what comes next, and begin with that."""
        if errand is not self._errand:
            return
        result: api.Result | None = None
        is_in_doubt = False
        try:
            step = advance()
        except StopIteration as end:
            result = end.value
        except OutcomeUnknownError:
            is_in_doubt = True
        except RequestError as error:
            result = _refusal(error)
        else:
            self._do(errand, step)
            return
        assert errand.may_have_effect or not is_in_doubt, "nothing arrived that is in doubt"
        assert self._read_clock() <= errand.deadline_s + _ROUNDING_S, "its time was up before"
        self._tell(errand, result)

    def _tell(self, errand: _Errand, result: api.Result | None) -> None:
        """The user has an answer, or gave up."""
        self._errand = None
        self._end_operation(errand.request, errand.invoked_ms, result, is_stale=errand.is_stale)
        failed = result is None or isinstance(result, api.Failure)
        if not failed:
            self._learn(errand.request, result)
        self._rest(after_failure=failed)

    # --- What the client wants done -------------------------------------------------------

    def _do(self, errand: _Errand, step: Step) -> None:
        match step:
            case Attempt():
                self._try(errand, step)
                return
            case HangUp(node, is_stale):
                self._drop(node, is_stale)
                pause_ms = 0.0
            case Rest():
                pause_s = self._rng.uniform(step.shortest_s, step.longest_s)
                pause_ms = 1_000 * min(pause_s, max(0.0, step.until - self._read_clock()))
        self._schedule.after(pause_ms, partial(self._go, errand, partial(next, errand.way)))

    def _try(self, errand: _Errand, attempt: Attempt) -> None:
        """Send the request; whatever comes of it, the client hears of it once."""
        self._calls += 1
        rng, schedule = self._rng, self._schedule
        machine = self._machines.get(attempt.node.port - 9_000)
        if machine is None or self._has_bad_luck(_FULL):
            self._turn_away(errand, attempt, is_gone=machine is None)
            return
        call = TypedCall(
            self.id * 100_000 + self._calls,
            attempt,
            self._connection(attempt),
            schedule,
            rng.uniform(0.0, DELAY_MS),
            partial(self._ended, errand, attempt),
        )
        call.loses_reply = self._has_bad_luck(_LOST)
        self._note_sent(call)
        if self._has_bad_luck(_LOST):
            # The kernel had taken all of it.
            call.was_sent = True
            schedule.after(rng.uniform(0.0, DELAY_MS), partial(call.end, None))
        else:
            schedule.after(rng.uniform(0.0, DELAY_MS), partial(machine.take_call, call))
        schedule.after(_ms_until(attempt.reply_until, schedule.now_ms), call.give_up)
        if self._has_bad_luck(_INTERRUPTED):
            soon_ms = rng.expovariate(1 / DELAY_MS)
            schedule.after(soon_ms, partial(self._interrupt, errand, attempt))

    def _has_bad_luck(self, likelihood: float) -> bool:
        return self._is_stormy and self._rng.random() < likelihood

    def _turn_away(self, errand: _Errand, attempt: Attempt, *, is_gone: bool) -> None:
        """The node cannot be reached, or says that it has no room for another client."""
        self._drop(attempt.node, attempt.is_stale)
        if is_gone:
            advance = partial(errand.way.throw, NotSent("cannot connect: no such host"))
        else:
            told = hiredis.ReplyError(Full.words)
            advance = partial(errand.way.send, told)
        delay_ms = self._rng.uniform(0.0, DELAY_MS)
        delay_ms = min(delay_ms, _ms_until(attempt.send_until, self._schedule.now_ms))
        self._schedule.after(delay_ms, partial(self._go, errand, advance))

    def _interrupt(self, errand: _Errand, attempt: Attempt) -> None:
        """The user presses Ctrl-C: the client is told nothing more of this request."""
        if errand is self._errand:
            self._drop(attempt.node, attempt.is_stale)
            errand.way.close()
            self._tell(errand, None)

    def _ended(
        self, errand: _Errand, attempt: Attempt, call: Call, result: api.Result | None
    ) -> None:
        """An attempt is over."""
        assert isinstance(call, TypedCall)
        self._hear(call, result)
        if errand is not self._errand:
            return
        setback = _setback(call)
        if setback is not None:
            self._drop(attempt.node, attempt.is_stale)
        if isinstance(setback, Unanswered) or (setback is None and _is_unknown(result)):
            errand.may_have_effect = True
        if setback is not None:
            advance = partial(errand.way.throw, setback)
        else:
            advance = partial(errand.way.send, _encode(call.reply))
        self._go(errand, advance)

    def _connection(self, attempt: Attempt) -> Connection:
        node = attempt.node.port - 9_000
        return self._connections.setdefault((node, attempt.is_stale), Connection(node))

    def _drop(self, node: Address, is_stale: bool) -> None:
        self._connections.pop((node.port - 9_000, is_stale), None)


def _ms_until(time_s: float, now_ms: float) -> float:
    return max(0.0, time_s * 1_000 - now_ms)


def _setback(call: TypedCall) -> Setback | None:
    """What the connection tells of an attempt that is over; None if the reply has come."""
    if call.was_given_up:
        return Unanswered("no reply came in time", is_silence=True)
    if not call.was_sent:
        return NotSent("cannot connect: connection refused")
    if call.reply is None or call.loses_reply:
        return Unanswered("the connection was closed before the reply")
    return None


def _is_unknown(result: api.Result | None) -> bool:
    return isinstance(result, api.Failure) and result.code is api.FailureCode.UNKNOWN


def _refusal(error: RequestError) -> api.Failure:
    """What the user knows by an error that promises that nothing was changed."""
    word = str(error).partition(" ")[0]
    is_known = word in set(api.FailureCode) - {api.FailureCode.UNKNOWN}
    code = api.FailureCode(word) if is_known else api.FailureCode.NO_LEADER
    return api.Failure(code, str(error))
