"""A clock for clients of which no pause takes time.

Law: what a client waits for, it waits for by the real clock; what it sleeps between two rounds
counts for its deadline, and is over at once. So who must run into a deadline gets there in
no time, however long it is, and a busy machine makes no difference.
"""

from __future__ import annotations

import time


class Clock:
    """Stands in for the module `time` in the client."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped_s

    def sleep(self, pause_s: float) -> None:
        self._skipped_s += pause_s
