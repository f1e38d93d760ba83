"""The cluster's time as this node would propose it: what a leader writes beside commands.

Law: it never runs ahead. From one stamp of the log to the next, whoever made them, no more time
has passed than did by the clocks of leaders: what another node's clock gained meanwhile is taken
back by each stamp that it applies. While a node leads, it never goes back. It starts at 0 with
the cluster and is nobody's wall clock. The log alone decides what it means; this only proposes.

It must not know clocks: `now_ms` is what the node was told.
"""

from __future__ import annotations

import enum

from kvstore.kv.clock import LogClock


class Pace(enum.Enum):
    """How a node's idea of the time goes on."""

    FOLLOWS = enum.auto()
    """By its own clock, and anew from each stamp that it applies."""
    CATCHES_UP = enum.auto()
    """Not at all: it leads, and what earlier leaders stamped is not all applied."""
    LEADS = enum.auto()
    """By its own clock alone."""


class ClusterTime:
    """This node's idea of the cluster's time."""

    def __init__(self) -> None:
        self._time_ms = 0.0
        self._at_ms: float | None = None
        self._clock = LogClock(0)
        self._stamps = 0
        """How many it had told when it was looked at last."""
        self._led = False

    def advance(self, now_ms: float, clock: LogClock, pace: Pace) -> int:
        """The time at `now_ms` of this node's clock; `clock`: of what it has applied."""
        if self._at_ms is not None and now_ms > self._at_ms:
            self._time_ms += now_ms - self._at_ms
        self._at_ms = now_ms
        if pace is Pace.CATCHES_UP or (self._is_told(clock) and not self._led):
            self._time_ms = float(clock.time_ms)
        self._led = pace is Pace.LEADS
        return int(self._time_ms)

    def _is_told(self, clock: LogClock) -> bool:
        """Whether the log has told the time since it was looked at last."""
        told = clock is not self._clock or clock.stamps != self._stamps
        self._clock, self._stamps = clock, clock.stamps
        return told
