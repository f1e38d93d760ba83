"""The election timer: how long a node waits for a leader's word before it asks for another.

Law: each wait is drawn anew, so that nodes that lost the same leader do not stand at
once (Raft §5.2). It knows no clock: the time comes with every call.
"""

from __future__ import annotations

import math
import random

from kvstore.raft.types import RaftSettings


class ElectionTimer:
    """Runs out once, after a time between the shortest and the longest election timeout."""

    def __init__(self, settings: RaftSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._deadline_ms: float | None = None
        """None: to be drawn when somebody looks, who knows the time."""

    def restart(self) -> None:
        """Wait anew, from the next look on."""
        self._deadline_ms = None

    def start(self, now_ms: float) -> None:
        """Wait anew, from now on."""
        settings = self._settings
        self._deadline_ms = now_ms + self._rng.uniform(
            settings.election_timeout_min_ms, settings.election_timeout_max_ms
        )

    @property
    def due_ms(self) -> float:
        """When it runs out; at once, if somebody must look for it to begin."""
        return -math.inf if self._deadline_ms is None else self._deadline_ms

    def has_run_out(self, now_ms: float) -> bool:
        """Whether the wait is over; one that has not begun begins."""
        if self._deadline_ms is None:
            self.start(now_ms)
            return False
        return now_ms >= self._deadline_ms
