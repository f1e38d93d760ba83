"""Where words find room.

Law: no label covers another, nor anything that was reserved. A label takes the best
of the spots that it was offered and that are still free, or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

_MARGIN: Final = 2.0
_CROSSING_COST: Final = 6.0


class Box(msgspec.Struct, frozen=True):
    """A rectangle on the paper."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share any point, with a margin."""
        return (
            self.left < other.right + _MARGIN
            and other.left < self.right + _MARGIN
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def lies_in(self, other: Box) -> bool:
        """Whether nothing of it sticks out."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class Segment(msgspec.Struct, frozen=True):
    """A line that a label may cover, but had better not."""

    x1: float
    y1: float
    x2: float
    y2: float

    def crosses(self, box: Box) -> bool:
        """Whether any point of it lies in the box (the part of it that is in each half-plane)."""
        start, end = 0.0, 1.0
        sides = (
            (self.x1 - self.x2, self.x1 - box.left),
            (self.x2 - self.x1, box.right - self.x1),
            (self.y1 - self.y2, self.y1 - box.top),
            (self.y2 - self.y1, box.bottom - self.y1),
        )
        for slope, room in sides:
            if slope == 0.0:
                if room < 0.0:
                    return False
            elif slope < 0.0:
                start = max(start, room / slope)
            else:
                end = min(end, room / slope)
        return start <= end


class Spot(msgspec.Struct, frozen=True):
    """A place that a label would take; the one of the lowest cost is best.

    `pole`: room for the line that ties it to what it names.
    """

    box: Box
    cost: float
    pole: Box | None = None


class Room:
    """What is taken already, and what had better not be covered."""

    def __init__(self, bounds: Box) -> None:
        self._bounds = bounds
        self._taken: list[Box] = []
        self._segments: list[Segment] = []

    def reserve(self, box: Box) -> None:
        """Keep all labels from here."""
        self._taken.append(box)

    def avoid(self, segment: Segment) -> None:
        """Have labels keep off this line where they can."""
        self._segments.append(segment)

    def try_place(self, spots: Iterable[Spot]) -> Spot | None:
        """Take the best free spot; None if all are taken."""
        free = [spot for spot in spots if self._is_free(spot)]
        if not free:
            return None
        best = min(free, key=self._cost)
        self._taken += _boxes(best)
        return best

    def _is_free(self, spot: Spot) -> bool:
        return spot.box.lies_in(self._bounds) and not any(
            box.overlaps(taken) for box in _boxes(spot) for taken in self._taken
        )

    def _cost(self, spot: Spot) -> float:
        crossings = sum(segment.crosses(spot.box) for segment in self._segments)
        return spot.cost + _CROSSING_COST * crossings


def clipped(words: str, length_max: int = 60) -> str:
    """Not too long for a picture."""
    return words if len(words) <= length_max else words[: length_max - 1] + "…"


def _boxes(spot: Spot) -> list[Box]:
    return [spot.box] if spot.pole is None else [spot.box, spot.pole]
