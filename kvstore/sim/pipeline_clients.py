"""Callers that do not wait for one answer before they ask the next: pipelines.

Law: the requests of one connection arrive in the order in which they were sent, and each is
written down with its place in it. A connection that broke is given up.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from kvstore import api
from kvstore.sim.calls import Call, Connection
from kvstore.sim.clients import DELAY_MS, Client
from kvstore.sim.history import Operation

_PIPELINE_MAX: Final = 6
_GAP_MS: Final = 3.0


class PipelineClient(Client):
    """A caller with a connection, on which it has up to six requests under way."""

    _connection: Connection | None = None
    _connections = 0
    _under_way = 0
    """Requests of the present pipeline without an answer, those still to be sent included."""
    _failed = False
    _broke = False

    def _call(self) -> None:
        if self._script or not self._calls_left:
            super()._call()
            return
        if self._connection is None or self._connection.node != self._node:
            self._connections += 1
            number = self.id * 100_000 + self._connections
            self._connection = Connection(self._node, number)
        self._failed = self._broke = False
        self._under_way = self._rng.randint(1, min(_PIPELINE_MAX, self._calls_left))
        at_ms, delay_ms = 0.0, self._rng.uniform(0.0, DELAY_MS)
        for _ in range(self._under_way):
            self._schedule.after(at_ms, partial(self._ask, self._connection, delay_ms))
            at_ms += self._rng.choice((0.0, 0.0, self._rng.uniform(0.0, _GAP_MS)))

    def _ask(self, connection: Connection, delay_ms: float) -> None:
        if self._script or not self._calls_left or connection.node not in self._machines:
            self._ended()
            return
        self._calls += 1
        self._send(self._next_request(), self._answered, connection, delay_ms)

    def _answered(self, call: Call, result: api.Result | None) -> None:
        self._hear(call, result)
        self._learn(call.request, result)
        self._history(
            Operation(
                self.id,
                call.invoked_ms,
                self._schedule.now_ms,
                call.request,
                result,
                call.connection.number,
                call.place,
            )
        )
        self._failed |= result is None or isinstance(result, api.Failure)
        self._broke |= result is None
        self._ended()

    def _ended(self) -> None:
        self._under_way -= 1
        if self._under_way:
            return
        if self._broke:
            self._connection = None
        self._rest(after_failure=self._failed)
