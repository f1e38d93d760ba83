"""Callers that iterate over all keys through the Redis door: SCAN, with cursors that nodes keep.

Law: a cursor means something to the node that told it, while it runs; a client goes on where
it was told, and with another node it begins anew. What it writes down is what it asked and
was shown, cursor by cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import hiredis

from kvstore import api
from kvstore.sim.calls import CursorCall
from kvstore.sim.checkers.cursors import Page
from kvstore.sim.clients import DELAY_MS, Client
from kvstore.sim.history import Operation
from kvstore.wire.scan import ScanArguments

_PATTERNS: Final = (None, None, b"*", b"*e*", b"b*", b"counter*", b"nothing", b"?e[a-z]")
_COUNTS: Final = (1, 1, 2, 3, 10)
_REPEATED: Final = 0.15
"""How often a client asks for a page again, as if its reply had been lost."""
_ITERATIONS: Final = 2
"""So many are open at a time, and go on in turn."""


class CursorClient(Client):
    """A sequential caller with two iterations, each with one node.

    * `pages`: each page that it was shown, and each cursor that was unknown.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pages: list[Page] = []
        self._iterations: list[tuple[int, ScanArguments] | None] = [None] * _ITERATIONS

    def insist_on_everything(self) -> None:
        self._iterations = [None] * _ITERATIONS
        super().insist_on_everything()

    def _call(self) -> None:
        if self._script or not self._calls_left or self._rng.random() < 0.4:
            super()._call()
            return
        self._calls_left -= 1
        self._calls += 1
        self._is_waiting = True
        slot = self._rng.randrange(_ITERATIONS)
        node, scan = self._iterations[slot] or (self._node, self._new_scan())
        if node not in self._machines:
            node, scan = self._node, self._new_scan()
        self._ask(node, scan, partial(self._shown, slot, scan))

    def _new_scan(self) -> ScanArguments:
        return ScanArguments(0, self._rng.choice(_PATTERNS), self._rng.choice(_COUNTS))

    def _ask(self, node: int, scan: ScanArguments, done: Callable[..., None]) -> None:
        rng, schedule = self._rng, self._schedule
        delay_ms = rng.uniform(0.0, DELAY_MS)
        number = self.id * 100_000 + self._calls
        call = CursorCall(number, self.id, node, scan, schedule, delay_ms, done)
        self._note_sent(call)
        machine = self._machines[node]
        schedule.after(rng.uniform(0.0, DELAY_MS), lambda: machine.take_call(call))
        schedule.after(self._timeout_ms, lambda: call.end(None))

    def _shown(
        self, slot: int, scan: ScanArguments, call: CursorCall, result: api.Result | None
    ) -> None:
        self._hear(call, result)
        self._learn(call.request, result)
        node = call.connection.node
        self._iterations[slot] = None
        if isinstance(result, api.ScanResult):
            cursor, keys = _read(call.reply)
            self._history(
                Operation(self.id, call.invoked_ms, self._schedule.now_ms, call.request, result)
            )
            assert isinstance(call.request, api.Scan)
            self.pages.append(Page(node, call.life, scan, call.request, result, cursor, keys))
            if self._rng.random() < _REPEATED:
                self._iterations[slot] = node, scan
            elif cursor:
                following = ScanArguments(cursor, scan.pattern, self._rng.choice(_COUNTS))
                self._iterations[slot] = node, following
        elif call.was_unknown:
            self.pages.append(Page(node, call.life, scan))
        self._rest(after_failure=not isinstance(result, api.ScanResult))


def _read(reply: bytes) -> tuple[int, tuple[bytes, ...]]:
    """The cursor, and the keys, as a Redis client reads them."""
    reader = hiredis.Reader()
    reader.feed(reply)
    cursor, keys = reader.gets()
    return int(cursor), tuple(keys)
