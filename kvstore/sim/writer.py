"""A log that is written beside the loop: updates wait for the disk while their node goes on.

Law: one update at a time is on its way to the disk, in order, and each is certain only when its
fsync has returned. A crash finds of that one all or nothing, and nothing of those that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kvstore.raft.types import DurableUpdate
from kvstore.sim.disk import SimulatedLog


class BesideTheLoop:
    """The `LogWriter` of one life of a node.

    * `durable_number`: of the last update that is certain.
    """

    def __init__(
        self, log: SimulatedLog, after: Callable[[float, Callable[[], None]], None]
    ) -> None:
        """`after(delay_ms, action)` has something done later, while this life lasts."""
        self.durable_number = 0
        self._log = log
        self._after = after
        self._waiting: deque[DurableUpdate] = deque()
        """The first one is on its way."""

    def submit(self, update: DurableUpdate) -> None:
        """Let it wait its turn."""
        self._waiting.append(update)
        if len(self._waiting) == 1:
            self._begin()

    def _begin(self) -> None:
        self._after(self._log.begin(self._waiting[0]), self._synced)

    def _synced(self) -> None:
        self._log.synced()
        self.durable_number = self._waiting.popleft().number
        if self._waiting:
            self._begin()
