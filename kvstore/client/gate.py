"""Whose turn it is with a client: one request at a time, first come, first served.

Law: at most one request is inside, whatever threads, callbacks and signal handlers do. Who
has to wait is served in the order of coming, or refused when its time is up; who calls
from within its own request is refused at once, as it would wait for itself for ever.

It rests on steps that no thread and no signal can divide (an `append` to a deque, a
`remove`, a look at its head), so that it needs no lock that a signal handler could find
taken by the very code it interrupted. It must not know what a request is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator

from kvstore.errors import RefusedError


class InsideError(RefusedError):
    """The caller is inside already, and called from there."""


class Gate:
    """One client's gate.

    * The first in `_line` is inside, the others wait. Each is known by a lock of its own,
      which is released when it may have become the first.
    * `_threads` are those of the line; none stands in it twice.
    """

    def __init__(self) -> None:
        self._line: deque[threading.Lock] = deque()
        self._threads: set[int] = set()

    @contextlib.contextmanager
    def turn(self, until: float) -> Iterator[None]:
        """Be inside for a while, at the latest from `until` on.

        Raises RefusedError when the time is up, and InsideError.
        """
        thread = threading.get_ident()
        if thread in self._threads:
            raise InsideError(
                "this client is in the middle of a request, which called back (on_redirect, or "
                "a signal handler), so nothing was done: use another client there",
                "INSIDE",
            )
        mine = threading.Lock()
        try:
            # Inside the try: an interrupt at any point must leave the line without it.
            mine.acquire()
            self._threads.add(thread)
            self._line.append(mine)
            while self._line[0] is not mine:
                if not mine.acquire(timeout=max(0.0, until - time.monotonic())):
                    raise RefusedError(
                        "other threads had the turn with this client all the time, so nothing was "
                        "done: give each thread a client of its own, or more time",
                        "BUSY",
                    )
            yield
        finally:
            try:  # noqa: SIM105 - nothing may come before: an interrupt would leave it in the line
                self._line.remove(mine)
            except ValueError:
                pass
            self._threads.discard(thread)
            with contextlib.suppress(IndexError, RuntimeError):
                self._line[0].release()
