"""When the log is told why a peer is refused: when it is news, and once a minute from then on.

Law: a peer that is refused dials again several times a second, for as long as it runs, and is told
each time. The log must not grow by that, nor what is remembered here.
"""

from __future__ import annotations

from typing import Final

_AGAIN_AFTER_MS: Final = 60_000.0
_REMEMBERED_MAX: Final = 64
"""Of more at a time, the one that was told first is news again."""


class Complaints:
    """What the log was told of late, and when, the longest ago first."""

    def __init__(self) -> None:
        self._told_ms: dict[str, float] = {}

    def is_due(self, complaint: str, now_ms: float) -> bool:
        """Whether the log is to be told of it now, which counts as done."""
        told_ms = self._told_ms.get(complaint)
        if told_ms is not None and now_ms < told_ms + _AGAIN_AFTER_MS:
            return False
        self._told_ms.pop(complaint, None)
        while len(self._told_ms) >= _REMEMBERED_MAX:
            del self._told_ms[next(iter(self._told_ms))]
        self._told_ms[complaint] = now_ms
        return True
