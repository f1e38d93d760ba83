"""One request on its way from a client to a machine, and its answer on the way back.

Law: a call ends once for its client: with the answer, or when the client stops waiting, or
when the connection breaks. The machine answers it at most once, whoever still waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kvstore import api
from kvstore.sim.schedule import Schedule


class Machine(Protocol):
    """What a client can reach."""

    def take_call(self, call: Call) -> None:
        """A request reaches the machine."""
        ...


class Call:
    """One request under way; the ticket by which the node answers it."""

    def __init__(
        self,
        number: int,
        request: api.Request,
        schedule: Schedule,
        delay_ms: float,
        done: Callable[[Call, api.Result | None], None],
    ) -> None:
        self.number = number
        self.request = request
        self.invoked_ms = schedule.now_ms
        self._schedule = schedule
        self._delay_ms = delay_ms
        self._done: Callable[[Call, api.Result | None], None] | None = done
        self.results = 0

    def fill(self, result: api.Result) -> None:
        """The node answers; the client hears it a little later."""
        self.results += 1
        assert self.results == 1, f"operation {self.number} was answered twice"
        self._schedule.after(self._delay_ms, lambda: self.end(result))

    def break_off(self) -> None:
        """The connection ends without an answer."""
        self._schedule.after(self._delay_ms, lambda: self.end(None))

    def end(self, result: api.Result | None) -> None:
        """The client has its answer, or stops waiting; only the first time counts."""
        done, self._done = self._done, None
        if done is not None:
            done(self, result)
