"""One request on its way from a client to a machine, and its answer on the way back.

Law: a call ends once for its client: with the answer, or when the client stops waiting, or
when the connection breaks. The machine answers it at most once, whoever still waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kvstore import api
from kvstore.client.attempt import Attempt
from kvstore.server.router import Router
from kvstore.server.scan_cursors import ScanCursors
from kvstore.sim.schedule import Schedule
from kvstore.wire.commands import CommandError, Render
from kvstore.wire.scan import ScanArguments


class Machine(Protocol):
    """What a client can reach."""

    def take_call(self, call: Call) -> None:
        """A request reaches the machine."""
        ...


class Connection:
    """A client's connection to one machine: what the machine's end of it knows, for one.

    * `number` names it, and is 0 for one that serves a single request.
    """

    def __init__(self, node: int, number: int = 0) -> None:
        self.node = node
        self.number = number
        self.router = Router()
        self._sent = 0

    def next_place(self) -> int:
        """The place of one more request in its order."""
        self._sent += 1
        return self._sent


class Call:
    """One request under way; the ticket by which the node answers it."""

    def __init__(
        self,
        number: int,
        request: api.Request,
        connection: Connection,
        schedule: Schedule,
        delay_ms: float,
        done: Callable[[Call, api.Result | None], None],
    ) -> None:
        self.number = number
        self.request: api.Request = request
        self.connection = connection
        self.place = connection.next_place()
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

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        """The node answers reads when they are due."""
        return False

    def break_off(self) -> None:
        """The connection ends without an answer."""
        self._schedule.after(self._delay_ms, lambda: self.end(None))

    def end(self, result: api.Result | None) -> None:
        """The client has its answer, or stops waiting; only the first time counts."""
        done, self._done = self._done, None
        if done is not None:
            done(self, result)


class TypedCall(Call):
    """An attempt of the client that ships: it says whom it believes to ask, and is told by whom.

    * `was_sent`: the machine has all of it, or the kernel had before the connection broke.
    * `loses_reply`: the connection breaks when the reply is under way.
    * `wrap`: how the machine that has taken it writes who answers around a result.
    * `reply`: what is on its way back, or has come.
    """

    wrap: Callable[[api.Result], api.Reply]

    def __init__(
        self,
        number: int,
        attempt: Attempt,
        connection: Connection,
        schedule: Schedule,
        delay_ms: float,
        done: Callable[[Call, api.Result | None], None],
    ) -> None:
        super().__init__(number, attempt.call.request, connection, schedule, delay_ms, done)
        self.typed = attempt.call
        self.is_stale = attempt.is_stale
        self.was_sent = self.was_given_up = self.loses_reply = False
        self.reply: api.Reply | None = None

    def fill(self, result: api.Result) -> None:
        self.reply = self.wrap(result)
        super().fill(result)

    def give_up(self) -> None:
        """The client's time for this attempt is up."""
        self.was_given_up = True
        self.end(None)


class CursorCall(Call):
    """A SCAN under way: what it asks for, only the node knows that told its cursor.

    * `life`: in which of its lives the machine has taken it.
    * `was_unknown`: the node does not know the cursor.
    * `reply`: as it goes over the wire.
    """

    def __init__(
        self,
        number: int,
        client: int,
        node: int,
        scan: ScanArguments,
        schedule: Schedule,
        delay_ms: float,
        done: Callable[..., None],
    ) -> None:
        super().__init__(number, api.Scan(), Connection(node), schedule, delay_ms, done)
        self.client = client
        self.scan = scan
        self.life = 0
        self.was_unknown = False
        self.reply = b""
        self._render: Render

    def begin(self, cursors: ScanCursors, life: int) -> bool:
        """The node reads the cursor; whether it knows it."""
        self.life = life
        try:
            self.request, self._render = cursors.page(self.scan, self.client)
        except CommandError:
            self.was_unknown = True
        return not self.was_unknown

    def fill(self, result: api.Result) -> None:
        if isinstance(result, api.ScanResult):
            self.reply = self._render(result, 2)
        super().fill(result)
