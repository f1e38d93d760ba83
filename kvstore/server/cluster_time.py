"""The cluster's time as this node would propose it: what a leader writes beside commands.

Law: it never goes back, neither within a node nor from one leader to the next, and
goes on by the leader's own monotonic clock. It starts at 0 with the cluster and is
nobody's wall clock. The log alone decides what it means; this only proposes.

It must not know clocks: `now_ms` is what the node was told.
"""

from __future__ import annotations


class ClusterTime:
    """This node's idea of the cluster's time."""

    def __init__(self) -> None:
        self._time_ms = 0.0
        self._at_ms: float | None = None

    def advance(self, now_ms: float, applied_ms: int) -> int:
        """The time at `now_ms` of this node's clock, at least that of what it has applied."""
        if self._at_ms is not None and now_ms > self._at_ms:
            self._time_ms += now_ms - self._at_ms
        self._at_ms = now_ms
        self._time_ms = max(self._time_ms, float(applied_ms))
        return int(self._time_ms)
