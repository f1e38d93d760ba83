"""What a start says in the log while it looks at the directory.

Law: a start that is fast says nothing, and no other is silent for much longer than a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

_EVERY_MS: Final = 1_000.0


class StartLog:
    """Hears of progress, and says how far it is once a second."""

    def __init__(self, clock_ms: Callable[[], float], log: FilteringBoundLogger) -> None:
        self._clock_ms = clock_ms
        self._log = log
        self._due_ms = clock_ms() + _EVERY_MS

    def heard(self, what: str, done: int, total: int) -> None:
        """`done` of `total` have been looked at."""
        now_ms = self._clock_ms()
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + _EVERY_MS
        percent = 100 * done // max(1, total)
        text = f"starting: checked {done} of {total} {what} ({percent} %)"
        self._log.info(text, code="starting", done=done, total=total)
