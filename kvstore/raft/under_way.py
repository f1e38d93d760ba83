"""Updates that were handed to the disk, and of which it is not known yet that they are on it.

Law: they become durable in the order in which they were handed over, and what was removed from
the log meanwhile does not come to count by that.
"""

from __future__ import annotations

import math
from collections import deque

from kvstore.raft.types import DurableUpdate


class Handed:
    """One of them.

    * `last_index`: up to here the log is durable by it. What is truncated while it is under way
      counts no more.
    * `taken_bytes`: what it takes of the room.
    * `at_ms`: when it was handed over.
    """

    __slots__ = ("at_ms", "last_index", "taken_bytes", "update")

    def __init__(
        self, update: DurableUpdate, last_index: int, taken_bytes: int, at_ms: float
    ) -> None:
        self.update = update
        self.last_index = last_index
        self.taken_bytes = taken_bytes
        self.at_ms = at_ms


class UnderWay:
    """All of them, oldest first.

    * `last_number`: of the last update that was ever handed over; 0 before the first.
    """

    def __init__(self) -> None:
        self.last_number = 0
        self._handed: deque[Handed] = deque()

    def __bool__(self) -> bool:
        return bool(self._handed)

    @property
    def since_ms(self) -> float:
        """Since when the oldest one waits; infinity if none does."""
        return self._handed[0].at_ms if self._handed else math.inf

    @property
    def ends(self) -> list[int]:
        """Up to where the log is durable by each of them."""
        return [one.last_index for one in self._handed]

    def hand_over(
        self, update: DurableUpdate, last_index: int, taken_bytes: int, at_ms: float
    ) -> None:
        """One more is on its way."""
        self.last_number = update.number
        self._handed.append(Handed(update, last_index, taken_bytes, at_ms))

    def cut(self, last_index: int) -> None:
        """The log was truncated behind that index."""
        for one in self._handed:
            one.last_index = min(one.last_index, last_index)

    def raise_to(self, start_index: int) -> None:
        """The log begins after that index: up to there nothing need be durable."""
        for one in self._handed:
            one.last_index = max(one.last_index, start_index)

    def take(self, number: int) -> Handed | None:
        """The oldest one, if its number is no later than this: it is durable."""
        if self._handed and self._handed[0].update.number <= number:
            return self._handed.popleft()
        return None
