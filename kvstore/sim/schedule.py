"""Simulated time: what is due when.

Law: time moves only here, from one due action to the next, and never back; what is
due at the same time happens in the order in which it was asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

Action: TypeAlias = Callable[[], None]


class Schedule:
    """Actions by due time; `now_ms` is the time of the last one that was taken."""

    def __init__(self, now_ms: float = 0.0) -> None:
        self.now_ms = now_ms
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def after(self, delay_ms: float, action: Action) -> None:
        """Do `action` once `delay_ms` have passed."""
        heapq.heappush(self._due, (self.now_ms + delay_ms, next(self._numbers), action))

    def run_until(self, end_ms: float) -> None:
        """Do all that is due before `end_ms`, and let that time come."""
        due, pop = self._due, heapq.heappop
        while due and due[0][0] < end_ms:
            self.now_ms, _, action = pop(due)
            action()
        self.now_ms = end_ms
