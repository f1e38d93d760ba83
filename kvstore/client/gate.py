"""Whose turn it is with a client: so many requests at a time, first come, first served.

Law: no more are inside than there are places, whatever threads, callbacks and signal handlers do.
Who has to wait is served in the order of coming, or refused when its time is up. Who calls from
within its own request is served if a place is free, and refused at once if not, as it might wait
for itself for ever.

It rests on steps that no thread and no signal can divide (an `append` to a deque, a
`remove`, a copy of it), so that it needs no lock that a signal handler could find
taken by the very code it interrupted. It must not know what a request is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from kvstore.errors import RefusedError

_LONGEST_SLEEP_S: Final = 1.0
"""Who left may have been interrupted before it woke who comes next."""


class InsideError(RefusedError):
    """The caller is inside already, and called from there, and there is no other place."""


class _Ticket:
    """One that is inside, or waits to be.

    * `awake` is released when it may have come inside.
    * `is_alone`: nobody is inside beside it, and who came later waits behind it.
    """

    __slots__ = ("awake", "is_alone", "thread")

    def __init__(self, thread: int, is_alone: bool) -> None:
        self.thread = thread
        self.is_alone = is_alone
        self.awake = threading.Lock()
        self.awake.acquire()


class Gate:
    """One client's gate: the first in `_line` are inside, as many as there are places."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._line: deque[_Ticket] = deque()

    @contextlib.contextmanager
    def turn(self, until: float, *, is_alone: bool = False) -> Iterator[None]:
        """Be inside for a while, at the latest from `until` on.

        Raises RefusedError when the time is up, and InsideError.
        """
        mine = _Ticket(threading.get_ident(), is_alone)
        try:
            # Inside the try: an interrupt at any point must leave the line without it.
            self._line.append(mine)
            self._wait(mine, until)
            yield
        finally:
            try:  # noqa: SIM105 - nothing may come before: an interrupt would leave it in the line
                self._line.remove(mine)
            except ValueError:
                pass
            for ticket in islice(self._line.copy(), self._places):
                with contextlib.suppress(RuntimeError):
                    ticket.awake.release()

    def _wait(self, mine: _Ticket, until: float) -> None:
        while True:
            line = self._line.copy()
            before = [*islice(line, line.index(mine))]
            if self._has_room(before, mine):
                return
            if any(ticket.thread == mine.thread for ticket in before):
                raise InsideError(
                    "this client is in the middle of a request, which called back (on_redirect, or "
                    "a signal handler), and serves no more at a time, so nothing was done: use "
                    "another client there, or give this one more connections",
                    "INSIDE",
                )
            rest_s = until - time.monotonic()
            if rest_s <= 0:
                raise RefusedError(
                    "other threads had all turns with this client all the time, so nothing was "
                    "done: give it more connections, or more time",
                    "BUSY",
                )
            mine.awake.acquire(timeout=min(rest_s, _LONGEST_SLEEP_S))

    def _has_room(self, before: list[_Ticket], mine: _Ticket) -> bool:
        """Whether one is inside with these before it."""
        if mine.is_alone:
            return not before
        return len(before) < self._places and not any(ticket.is_alone for ticket in before)
