"""A clock of a machine in a simulated world.

Law: it never goes back, and shows nothing of the world's time but how it passes.
"""

from __future__ import annotations

import random


class Clock:
    """A machine's own monotonic clock: it starts anywhere and runs at its own rate."""

    def __init__(self, rng: random.Random, drift: float) -> None:
        self.rate = 1.0 + rng.uniform(-drift, drift)
        self._start_ms = rng.uniform(0.0, 1e9)

    def read(self, now_ms: float) -> float:
        """What this clock shows at the world's time `now_ms`."""
        return self._start_ms + now_ms * self.rate
