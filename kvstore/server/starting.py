"""What a node says in the log while a start takes long: while it checks, and while it applies.

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
        text = f"starting: checked {done} of {total} {what} ({_percent(done, total)})"
        self._log.info(text, code="starting", done=done, total=total)


class ApplyLog:
    """Says how far a node is that applies for long what is committed, and when it has all.

    * It is level when it has applied all that it knows to be committed.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._due_ms = 0.0
        """When it says something, if it is not level by then."""
        self._said_index = 0
        """How far it was when it said so last; 0 since it was level."""

    def tick(self, now_ms: float, last_applied: int, commit_index: int) -> None:
        """Let time pass: so far it is."""
        if last_applied >= commit_index:
            if self._said_index:
                self._log.info(f"applied all {last_applied} log entries", code="applied")
            self._due_ms, self._said_index = now_ms + _EVERY_MS, 0
        elif now_ms >= self._due_ms:
            self._due_ms = now_ms + _EVERY_MS
            # Who waits for room has said so, and comes no further.
            if last_applied != self._said_index:
                self._said_index = last_applied
                percent = _percent(last_applied, commit_index)
                text = f"applied {last_applied} of {commit_index} log entries ({percent})"
                self._log.info(text, code="applying", done=last_applied, total=commit_index)


def _percent(done: int, total: int) -> str:
    return f"{100 * done // max(1, total)} %"
