"""Callers: each does one thing at a time, follows redirects, and gives up waiting.

Law: a client writes down what it asked, when, and what it was told; a connection
that breaks, or a reply that does not come in time, leaves the outcome unknown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping

from kvstore import api
from kvstore.sim.calls import Call, Connection, Machine
from kvstore.sim.history import Operation
from kvstore.sim.schedule import Schedule
from kvstore.sim.trace import Invoked, Record, Returned

_TIMEOUTS_MS = (400.0, 1_000.0, 2_500.0)
"""Each client has one: the patient ones hear of more outcomes, the others write more."""
_RETRY_MS = 400.0
"""Longest pause after a call that failed."""
DELAY_MS = 0.8
_LARGE = 0.04
"""How often a value is large."""
_LARGE_BYTES = (2_000, 60_000, 300_000)
KEYS = (b"red", b"green", b"blue")
_COUNTER = b"counter"
_SEVERAL = 0.22
"""How often a request is one of several keys, or of all."""


class Client:
    """A sequential caller.

    * `_script` holds the requests that it repeats until they succeed; when it is
      empty, `_calls_left` random ones follow.
    """

    def __init__(
        self,
        client_id: int,
        machines: Mapping[int, Machine],
        schedule: Schedule,
        rng: random.Random,
        history: Callable[[Operation], None],
        record: Callable[[Record], None] | None,
    ) -> None:
        self.id = client_id
        self._script: list[api.Request] = []
        self._calls_left = 0
        self._pause_ms = 0.0
        self._is_waiting = False
        self._machines = machines
        self._schedule = schedule
        self._rng = rng
        self._history = history
        self._record = record
        self._node = rng.choice(list(machines))
        self._timeout_ms = rng.choice(_TIMEOUTS_MS)
        self._calls = 0
        self._last_seen: dict[bytes, api.KeyValue] = {}

    @property
    def is_done(self) -> bool:
        """Whether it has nothing under way and nothing left to do."""
        return not (self._is_waiting or self._has_more)

    @property
    def _has_more(self) -> bool:
        """Whether there is something to ask for."""
        return bool(self._script or self._calls_left)

    def make_calls(self, calls: int, within_ms: float) -> None:
        """Make so many calls in about that time, whatever they are answered."""
        self._calls_left = calls
        self._pause_ms = within_ms / calls
        self._rest()

    def leave_out(self, nodes: Collection[int]) -> None:
        """Ask none of these any more: they are gone for good, and their addresses with them."""
        self._machines = {node: one for node, one in self._machines.items() if node not in nodes}
        if self._node in nodes:
            self._node = self._rng.choice(list(self._machines))

    def hurry(self, calls: int) -> None:
        """Make so many calls more, with shorter pauses, unless there was nothing left to do."""
        if self._calls_left:
            self._calls_left += calls
            self._pause_ms /= 8

    def stop(self) -> None:
        """End what is under way, and ask for nothing new."""
        self._calls_left = 0

    def give_up(self) -> None:
        """The cluster is gone: what is under way is not asked for again."""
        self.stop()

    def insist_on_everything(self) -> None:
        """From here on, only this: write once and read every key, until it succeeds."""
        self._calls_left = 0
        self._script = [api.Put(KEYS[0], b"%d.calm" % self.id)]
        self._script += [api.Get((key,)) for key in (*KEYS, _COUNTER)]
        self._pause_ms = _RETRY_MS
        if not self._is_waiting:
            self._rest()

    def _rest(self, *, after_failure: bool = False) -> None:
        """Mostly go on at once, now and then after a long pause: load comes in bursts."""
        self._is_waiting = True
        rng = self._rng
        longest_ms = _RETRY_MS if after_failure else 4 * self._pause_ms
        pause_ms = rng.uniform(0.0, longest_ms) if rng.random() < 0.5 or after_failure else 0.0
        self._schedule.after(pause_ms, self._call)

    def _call(self) -> None:
        self._is_waiting = False
        if not self._has_more:
            return
        self._calls += 1
        self._is_waiting = True
        self._send(self._next_request(), self._returned)

    def _send(
        self,
        request: api.Request,
        returned: Callable[[Call, api.Result | None], None],
        connection: Connection | None = None,
        delay_ms: float | None = None,
    ) -> None:
        """Ask the node that it believes to lead; `returned` hears of it, at the latest in time.

        Without a `connection`, on a new one that serves for nothing else.
        """
        connection = connection or Connection(self._node)
        schedule, machine = self._schedule, self._machines[connection.node]
        call = Call(
            self.id * 100_000 + self._calls,
            request,
            connection,
            schedule,
            self._rng.uniform(0.0, DELAY_MS),
            returned,
        )
        self._note_sent(call)
        if delay_ms is None:
            delay_ms = self._rng.uniform(0.0, DELAY_MS)
        schedule.after(delay_ms, lambda: machine.take_call(call))
        schedule.after(self._timeout_ms, lambda: call.end(None))

    def _note_sent(self, call: Call) -> None:
        if self._record:
            self._record(
                Invoked(
                    at_ms=self._schedule.now_ms,
                    client=self.id,
                    number=call.number,
                    node=call.connection.node,
                    request=call.request,
                )
            )

    def _returned(self, call: Call, result: api.Result | None) -> None:
        self._hear(call, result)
        self._learn(call.request, result)
        self._take(call, result)
        if isinstance(result, api.SessionResult):
            # A write waits for this session, and the shortest ones end within a rest.
            self._is_waiting = True
            self._schedule.after(0.0, self._call)
        else:
            self._rest(after_failure=result is None or isinstance(result, api.Failure))

    def _hear(self, call: Call, result: api.Result | None) -> None:
        if self._record:
            now_ms = self._schedule.now_ms
            self._record(Returned(at_ms=now_ms, client=self.id, number=call.number, result=result))

    def _take(self, call: Call, result: api.Result | None) -> None:
        """An attempt has ended; here, every attempt is an operation of its own."""
        self._end_operation(call.request, call.invoked_ms, result)

    def _end_operation(
        self,
        request: api.Request,
        invoked_ms: float,
        result: api.Result | None,
        *,
        is_stale: bool = False,
    ) -> None:
        """Write down what came of an operation, and go on in the script if it is done."""
        now_ms = self._schedule.now_ms
        self._history(Operation(self.id, invoked_ms, now_ms, request, result, is_stale=is_stale))
        failed = result is None or isinstance(result, api.Failure)
        if not failed and self._script and self._script[0] is request:
            del self._script[0]

    def _learn(self, request: api.Request, result: api.Result | None) -> None:
        if result is None or isinstance(result, api.Failure):
            self._node = self._redirected_to(result) or self._rng.choice(list(self._machines))
        elif isinstance(result, api.GetResult):
            self._last_seen.update((item.key, item) for item in result.items if item is not None)

    def _redirected_to(self, failure: api.Failure | None) -> int | None:
        """The node that is said to lead, if it is one of those that may be asked."""
        if failure is None or failure.leader is None:
            return None
        node = int(failure.leader.rsplit(":", 1)[1]) - 9_000
        return node if node in self._machines else None

    def _next_request(self) -> api.Request:
        if self._script:
            return self._script[0]
        self._calls_left -= 1
        return self._random_request()

    def _random_request(self) -> api.Request:
        """Mostly puts and gets of a few keys; every value is written by one call only."""
        rng, dice = self._rng, self._rng.random()
        key = rng.choice(KEYS)
        value = b"%d.%d" % (self.id, self._calls)
        if rng.random() < _LARGE:
            value += bytes(rng.choice(_LARGE_BYTES))
        if rng.random() < _SEVERAL:
            return self._random_request_for_several(value)
        if dice < 0.35:
            return api.Put(key, value)
        if dice < 0.70:
            return api.Get((key if rng.random() < 0.8 else _COUNTER,))
        if dice < 0.82:
            return api.Increment(_COUNTER, 1)
        if dice < 0.88:
            return api.Delete((key,) * rng.choice((1, 1, 1, 3_000)))
        if dice < 0.92:
            return api.Put(key, value, api.When.ABSENT, None, rng.random() < 0.5)
        if dice < 0.94:
            return api.Put(key, value, api.When.PRESENT, None, True)
        seen = self._last_seen.get(key)
        return api.Put(key, value, api.When.EQUAL, b"" if seen is None else seen.value, True)

    def _random_request_for_several(self, value: bytes) -> api.Request:
        """The same key may come twice."""
        rng, dice = self._rng, self._rng.random()
        keys = tuple(rng.choices(KEYS, k=rng.randint(2, 4)))
        if dice < 0.4:
            values = (value, *(b"%d.%d.%d" % (self.id, self._calls, n) for n in range(1, 4)))
            return api.PutMany(tuple(zip(keys, values, strict=False)))
        if dice < 0.7:
            return api.Get(keys, with_values=rng.random() < 0.8)
        if dice < 0.85:
            return api.Delete(keys)
        return api.Count()
