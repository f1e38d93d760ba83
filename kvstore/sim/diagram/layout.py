"""Where on the paper each lane is, and how thick at which time.

Law: all that is painted asks here for its place, so that things which meet in the
run meet on the paper.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from kvstore.raft.types import Role
from kvstore.sim.diagram.labels import Box
from kvstore.sim.diagram.scale import Scale
from kvstore.sim.diagram.scene import Scene, Stretch

CALL_HEIGHT: Final = 20.0
LABEL_HEIGHT: Final = 16.0
LABEL_ROWS: Final = 3
HALF: Final = {Role.LEADER: 9.0, Role.CANDIDATE: 5.0, Role.FOLLOWER: 2.5}
"""Half the thickness of a lane."""

_ABOVE: Final = LABEL_HEIGHT + 6.0
"""Room for a row of labels between a lane and its calls."""
_GAP: Final = 14.0
_LANE_HEIGHT_MIN: Final = 116.0


class Layout:
    """Lanes from `top` on, one below the other, in the order of `nodes`."""

    def __init__(
        self,
        scale: Scale,
        nodes: Sequence[int],
        call_rows: Mapping[int, int],
        scene: Scene,
        top: float,
    ) -> None:
        self.scale = scale
        self.nodes = nodes
        self.top = top
        self._lanes: dict[int, float] = {}
        self._stretches: dict[int, list[Stretch]] = {node: [] for node in nodes}
        for stretch in scene.stretches:
            if stretch.node in self._stretches:
                self._stretches[stretch.node].append(stretch)
        self._pauses = scene.pauses
        bottom = top
        for node in nodes:
            above = CALL_HEIGHT * call_rows.get(node, 0) + _GAP + _ABOVE
            below = LABEL_HEIGHT * LABEL_ROWS + _GAP
            height = max(above + 2 * HALF[Role.LEADER] + below, _LANE_HEIGHT_MIN)
            bottom += height
            self._lanes[node] = bottom - below - HALF[Role.LEADER]
        # Nothing comes below the last lane: it needs no room to be told from another.
        self.bottom = bottom - LABEL_HEIGHT - _GAP

    @property
    def field(self) -> Box:
        """All lanes."""
        return Box(self.scale.left, self.top, self.scale.right, self.bottom)

    def y(self, node: int) -> float:
        """The middle of a node's lane."""
        return self._lanes[node]

    def call_y(self, node: int, row: int) -> float:
        """The middle of a row of calls; row 0 is next to the lane."""
        return self.y(node) - HALF[Role.LEADER] - _ABOVE - CALL_HEIGHT * (row + 0.5)

    def stretches(self, node: int) -> list[Stretch]:
        """What a node was, in order."""
        return self._stretches[node]

    def blank_width(self, stretch: Stretch) -> float:
        """How much of a stretch the window shows before a pause hatches it, in pixels."""
        pauses = [
            pause.from_ms
            for pause in self._pauses
            if pause.node == stretch.node
            and pause.to_ms > max(stretch.from_ms, self.scale.from_ms)
            and pause.from_ms < stretch.to_ms
        ]
        return self.scale.x(min([stretch.to_ms, *pauses])) - self.scale.x(stretch.from_ms)

    def half(self, node: int, at_ms: float) -> float:
        """Half the thickness of a lane at a time, the greater where it changes; 0 while down."""
        lane = self._stretches[node]
        stop = bisect_right(lane, at_ms, key=lambda stretch: stretch.from_ms)
        now = [HALF[one.role] for one in lane[max(0, stop - 2) : stop] if one.to_ms >= at_ms]
        return max(now, default=0.0)
