"""What keeps a node from its part in a snapshot, and when that is tried again.

Law: it is told once, until what was tried succeeds, and it is tried ever less often: a try may
cost as much as all of it.

It must not know what is tried.
"""

from __future__ import annotations

import math
from typing import Final

_FIRST_MS: Final = 1_000.0
_LONGEST_MS: Final = 60_000.0
"""After so long it is tried again: the first time, and at the latest."""


class Setback:
    """Those of one thing that is tried until it succeeds.

    * `reason`: why it could not be the last time, and what to do; "" if nothing is against it.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._again_ms = -math.inf
        self._wait_ms = _FIRST_MS

    def is_over(self, now_ms: float) -> bool:
        """Whether it may be tried, for the first time or again."""
        return now_ms >= self._again_ms

    def add(self, reason: str, now_ms: float) -> bool:
        """It cannot be, or was tried in vain; whether that is news."""
        is_news = not self.reason
        self.reason = reason
        self._again_ms = now_ms + self._wait_ms
        self._wait_ms = min(_LONGEST_MS, 2 * self._wait_ms)
        return is_news

    def clear(self) -> None:
        """It has succeeded, or is not wanted any more."""
        self.reason, self._again_ms, self._wait_ms = "", -math.inf, _FIRST_MS
