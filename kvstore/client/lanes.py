"""What serves the requests of one client side by side: to each a lane, to itself.

Law: a session, its numbers and its connections belong to one lane, which serves one request at a
time. What is known of the cluster, and which writes are in doubt, all lanes have in common
(`Caller.beside`). A lane that is lost, as an interrupt may have it, is missed by nobody: what its
writes left in doubt is known apart from it.

Lanes are made when there is no free one, and the one used last is taken first: who asks in one
thread has one session and one connection. This module must not know what a request says.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Iterator

from kvstore.client.caller import Caller
from kvstore.client.course import Course
from kvstore.client.gate import Gate, InsideError
from kvstore.client.links import Links


class Lane:
    """Asks as one caller, over its own connections."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.links = Links()
        self.is_closing = False
        """Whether its connections are to end with the request under way."""


class Lanes:
    """Those of one client in one process.

    * `_made`: all that there are, also those that serve a request.
    """

    def __init__(self, caller: Caller, most: int) -> None:
        self._caller = caller
        self._gate = Gate(most)
        self._free: deque[Lane] = deque()
        self._made: list[weakref.ref[Lane]] = []

    @contextlib.contextmanager
    def turn(self, until: float) -> Iterator[Lane]:
        """Have a lane for a while, at the latest from `until` on.

        Raises RefusedError when the time is up, and InsideError.
        """
        with self._gate.turn(until):
            lane = self._take()
            try:
                yield lane
            finally:
                if lane.is_closing:
                    lane.is_closing = False
                    lane.links.close()
                self._free.append(lane)

    def _take(self) -> Lane:
        with contextlib.suppress(IndexError):
            return self._free.pop()
        lane = Lane(self._caller.beside())
        self._made.append(weakref.ref(lane))
        return lane

    def courses(self) -> Iterator[Course]:
        """The ways of the requests under way."""
        for lane in self._all():
            if (course := lane.caller.course) is not None:
                yield course

    def close(self, until: float) -> None:
        """End all connections once other threads are done.

        Who calls from within its own request does not wait: what is under way goes on, and ends
        its connections then. Raises RefusedError when the time is up.
        """
        try:
            with self._gate.turn(until, is_alone=True):
                self._close_free()
        except InsideError:
            for lane in self._all():
                lane.is_closing = True
            self._close_free()

    def _close_free(self) -> None:
        closed: list[Lane] = []
        with contextlib.suppress(IndexError):
            while True:
                closed.append(self._free.pop())
                closed[-1].is_closing = False
                closed[-1].links.close()
        self._free.extend(reversed(closed))

    def abandon(self) -> None:
        """This is a child's copy of what its parent has: ask nobody, and end nothing there."""
        for lane in self._all():
            lane.caller.abandon()
            lane.links.abandon()

    def _all(self) -> Iterator[Lane]:
        for made in tuple(self._made):
            if (lane := made()) is not None:
                yield lane
