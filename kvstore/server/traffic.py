"""How many came, and how much they ask for: what INFO counts over all clients.

Law: pure, and of no cost to a request: what is counted elsewhere is looked at now and then.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_SAMPLE_MS: Final = 100.0
_SAMPLES: Final = 16
"""As many as Redis takes."""


class Traffic:
    """Counts since the start, and the rate of the last seconds.

    * `connections_received`: all that were accepted, also of peers; `connections_rejected`:
      those that were turned away.
    """

    def __init__(self) -> None:
        self.connections_received = 0
        self.connections_rejected = 0
        self._began_ms: float | None = None
        self._now_ms = self._sample_ms = 0.0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def note_received(self) -> None:
        """A connection was accepted."""
        self.connections_received += 1

    def note_rejected(self) -> None:
        """Somebody was turned away."""
        self.connections_rejected += 1

    def tick(self, now_ms: float, commands: int) -> None:
        """Time passes; so many commands were there so far."""
        self._now_ms = now_ms
        if self._began_ms is None:
            self._began_ms = now_ms
        if now_ms >= self._sample_ms:
            self._sample_ms = now_ms + _SAMPLE_MS
            self._samples.append((now_ms, commands))

    @property
    def uptime_ms(self) -> int:
        """Since the first turn."""
        return int(self._now_ms - (self._began_ms or 0.0))

    @property
    def commands_per_second(self) -> int:
        """Over the last samples."""
        if len(self._samples) < 2:
            return 0
        (first_ms, first), (last_ms, last) = self._samples[0], self._samples[-1]
        return round((last - first) * 1000 / (last_ms - first_ms))
