"""From time to x.

Law: later is never further left. A linear scale is even; a stretched one gives room
to the moments in which much happens, and takes it from the silence between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Final

_EXPONENT: Final = 0.45
"""How a stretched scale weighs a gap: at 1 it would be linear, at 0 every gap is as wide."""
_TICK_SPACING_MIN: Final = 60.0
_TICKS_MAX: Final = 150
"""A step of which the window holds more is too fine: odd numbers among round ones."""
_STEPS_MS: Final[Sequence[int]] = [
    base * 10**power for power in reversed(range(7)) for base in (5, 2, 1)
]


class Scale:
    """Maps [from_ms, to_ms] onto [left, right]; beyond them it stops."""

    def __init__(
        self,
        from_ms: float,
        to_ms: float,
        left: float,
        right: float,
        busy_ms: Iterable[float] = (),
    ) -> None:
        """`busy_ms`: when something happens; without it the scale is linear."""
        self.from_ms = from_ms
        self.to_ms = max(to_ms, from_ms + 1.0)
        self.left = left
        self.right = right
        inside = {at_ms for at_ms in busy_ms if from_ms < at_ms < self.to_ms}
        self._times = [from_ms, *sorted(inside), self.to_ms]
        exponent: float = _EXPONENT if inside else 1.0
        weights = [math.pow(later - sooner, exponent) for sooner, later in pairwise(self._times)]
        unit = (right - left) / sum(weights)
        self._places = [left + unit * weight for weight in accumulate(weights, initial=0.0)]

    @property
    def is_linear(self) -> bool:
        """Whether equal times are equally wide."""
        return len(self._times) == 2

    def x(self, at_ms: float) -> float:
        """Where a moment is."""
        clamped = min(max(at_ms, self.from_ms), self.to_ms)
        knot = min(bisect_right(self._times, clamped), len(self._times) - 1) - 1
        start_ms, end_ms = self._times[knot], self._times[knot + 1]
        start, end = self._places[knot], self._places[knot + 1]
        return start + (end - start) * (clamped - start_ms) / (end_ms - start_ms)

    def shows(self, from_ms: float, to_ms: float) -> bool:
        """Whether any of this time is in the window."""
        return from_ms <= self.to_ms and to_ms >= self.from_ms

    def ticks(self) -> list[int]:
        """Round times, far enough apart to be read; the roundest first find room."""
        found: list[int] = []
        fine = (self.to_ms - self.from_ms) / _TICKS_MAX
        stretched = [step for step in _STEPS_MS if step >= fine]
        for step in [self._even_step()] if self.is_linear else stretched:
            first = int(-(-self.from_ms // step)) * step
            for at_ms in range(first, int(self.to_ms) + 1, step):
                x = self.x(at_ms)
                if all(abs(x - self.x(other)) >= _TICK_SPACING_MIN for other in found):
                    found.append(at_ms)
        return sorted(found)

    def _even_step(self) -> int:
        per_ms = (self.right - self.left) / (self.to_ms - self.from_ms)
        wide = [step for step in _STEPS_MS if step * per_ms >= _TICK_SPACING_MIN]
        return wide[-1] if wide else _STEPS_MS[0]
