"""What waits in a machine's sockets: messages of its peers, and calls of clients.

Law: what a node took and has not answered ends with its life. Who waits is answered once.
"""

from __future__ import annotations

import math
import random
from functools import partial

from kvstore import api
from kvstore.raft.messages import Message
from kvstore.server.asked import Asked
from kvstore.server.cluster_version import Release
from kvstore.server.envelope import reply_of
from kvstore.server.node import Node
from kvstore.server.scan_cursors import ScanCursors
from kvstore.sim.calls import Call, CursorCall, TypedCall
from kvstore.sim.checkers.checker import Watched
from kvstore.sim.observer import Observer

_UNKNOWN_CURSOR = api.Failure(api.FailureCode.INVALID, "the cursor is unknown")
_UNKNOWN_COMMAND = api.Failure(api.FailureCode.INVALID, "the command is unknown")


class Sockets:
    """Of one life of a node.

    * `oldest_ticket_ms`: when the node took the ticket that has waited for longest.
    """

    def __init__(
        self, node: Node, release: Release, life: int, observer: Observer, rng: random.Random
    ) -> None:
        """`release`: what the node runs knows of requests what that knows."""
        self._node = node
        self._release = release
        self._life = life
        self._observer = observer
        self._rng = rng
        self._cursors = ScanCursors(node.settings.limits.scan_cursors_max)
        self._messages: list[Message] = []
        self._calls: list[Call] = []
        self._open: dict[Call, float] = {}
        """Calls without an answer, and when the node took them, infinity if not yet."""

    def __bool__(self) -> bool:
        """Whether something has arrived that the node has not heard."""
        return bool(self._messages or self._calls)

    def take_message(self, message: Message) -> None:
        """A message of a peer arrives."""
        self._messages.append(message)

    def take_call(self, call: Call) -> None:
        """A client's request arrives."""
        if isinstance(call, TypedCall):
            call.was_sent = True
        self._open[call] = math.inf
        self._calls.append(call)

    def hear(self, host: Watched) -> None:
        """The node hears all that has arrived, peers first."""
        node, observer = self._node, self._observer
        messages, self._messages = self._messages, []
        for message in messages:
            node.receive(message)
            observer.stepped(host, "receive", message)
        calls, self._calls = self._calls, []
        for call in calls:
            self._submit(call, host.turn_ms)
        if calls:
            observer.stepped(host, "propose")

    def _submit(self, call: Call, now_ms: float) -> None:
        self._open[call] = now_ms
        if isinstance(call, CursorCall) and not call.begin(self._cursors, self._life):
            self.answer(call, _UNKNOWN_CURSOR)
            return
        asked = self._asked(call)
        if not self._knows(asked.request):
            self.answer(call, _UNKNOWN_COMMAND)
            return
        call.connection.router.dispatch(self._node, asked, call)
        if call.results:
            del self._open[call]
            if isinstance(call, TypedCall) and call.reply is not None:
                self._observer.answered_at_once(call.reply.result)

    def _asked(self, call: Call) -> Asked:
        if isinstance(call, TypedCall):
            call.wrap, typed = partial(reply_of, self._node), call.typed
            return Asked(
                call.request, call.is_stale, typed.from_any, typed.min_term, typed.cluster_id
            )
        from_any = isinstance(call.request, api.QUERIES) and self._rng.random() < 0.5
        return Asked(call.request, from_any=from_any)

    def _knows(self, request: api.Request) -> bool:
        """Whether the node's release has such a request."""
        if not isinstance(request, api.COMMANDS):
            return True
        return self._release.since_of(request) <= self._release.speaks.newest

    def answer(self, call: Call, result: api.Result) -> None:
        """A call has its answer."""
        self._open.pop(call, None)
        call.fill(result)

    def break_off(self) -> None:
        """The node ends: whoever waits learns that the connection is broken."""
        open_calls, self._open = self._open, {}
        for call in sorted(open_calls, key=lambda call: call.number):
            call.break_off()

    @property
    def oldest_ticket_ms(self) -> float:
        """By the node's own clock; infinity if nobody waits."""
        return next(iter(self._open.values())) if self._open else math.inf
