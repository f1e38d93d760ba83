"""A trace as one SVG: what happened in a window of time, to the right, a lane per node.

Law: layers go on in one order, from what may be covered to what must be read; room
for words is given to calls first, then to turning points, then to messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kvstore.sim.diagram import calls, flights, frame, lanes, svg
from kvstore.sim.diagram.labels import Box, Room
from kvstore.sim.diagram.layout import Layout
from kvstore.sim.diagram.scale import Scale
from kvstore.sim.diagram.scene import Kind, Scene, scene_of
from kvstore.sim.trace import Record

_LEFT: Final = 96.0
_RIGHT_MARGIN: Final = 28.0
_HEADING: Final = 52.0
_AXIS: Final = 34.0
_BOTTOM_MARGIN: Final = 14.0


def draw(
    records: Sequence[Record],
    node_ids: Sequence[int],
    *,
    title: str,
    from_ms: float | None = None,
    to_ms: float | None = None,
    is_stretched: bool = False,
    width: int = 1040,
) -> str:
    """A self-contained SVG of `node_ids` from `from_ms` to `to_ms`, else of the whole trace.

    `is_stretched` gives busy moments more room than quiet ones: a trace of real delays
    needs it, where an election is over in the hundredth part of its timeout.
    """
    scene = scene_of(records)
    scale = Scale(
        scene.from_ms if from_ms is None else from_ms,
        scene.to_ms if to_ms is None else to_ms,
        _LEFT,
        width - _RIGHT_MARGIN,
        _busy_times(scene) if is_stretched else (),
    )
    return _Picture(scene, scale, node_ids, float(width)).paint(title)


def _busy_times(scene: Scene) -> Iterator[float]:
    """Every moment that somebody may want to look at."""
    for flight in scene.flights:
        if flight.kind is not Kind.ROUTINE:
            yield from (flight.sent_ms, flight.end_ms)
    yield from (mark.at_ms for mark in scene.marks)
    for call in scene.calls:
        yield from (call.from_ms, call.to_ms)
    for pause in scene.pauses:
        yield from (pause.from_ms, pause.to_ms)


class _Picture:
    """One scene, laid out on one scale."""

    def __init__(self, scene: Scene, scale: Scale, nodes: Sequence[int], width: float) -> None:
        self._scene = scene
        self._scale = scale
        self._width = width
        marks = [mark for mark in scene.marks if scale.shows(mark.at_ms, mark.at_ms)]
        self._marks = [mark for mark in marks if mark.node in nodes]
        self._moments = [mark for mark in marks if mark.node is None]
        own = [call for call in scene.calls if call.node in nodes]
        self._strips, self._left_out = calls.strips(own, scale)
        has_cuts = any(scale.shows(cut.from_ms, cut.to_ms) for cut in scene.cuts)
        strips = bool(self._moments) + has_cuts
        top = _HEADING + frame.STRIP_HEIGHT * strips
        rows = calls.row_counts(self._strips)
        self._layout = Layout(scale, nodes, rows, scene, top)
        field = self._layout.field
        self._room = Room(Box(field.left, field.top, field.right + 20.0, field.bottom))

    def paint(self, title: str) -> str:
        """The whole file."""
        layout = self._layout
        legend_top = layout.bottom + _AXIS
        legend, legend_height = frame.legend(self._terms(), self._scale, 24.0, self._width - 24.0)
        height = legend_top + legend_height + _BOTTOM_MARGIN
        parts = [
            svg.element("title", svg.content(title)),
            frame.definitions(),
            *frame.card(self._width, height, title),
            *frame.axis(layout),
            *frame.cuts(self._scene.cuts, layout),
            *frame.moments(self._moments, layout, _HEADING),
            *frame.names(layout, self._left_out),
            *self._field(),
            svg.group(legend, transform=f"translate(0 {svg.number(legend_top)})"),
        ]
        return (
            svg.element(
                "svg",
                "\n".join(["", *parts, ""]),
                xmlns="http://www.w3.org/2000/svg",
                viewBox=f"0 0 {svg.number(self._width)} {svg.number(height)}",
                width=self._width,
                height=height,
                role="img",
            )
            + "\n"
        )

    def _terms(self) -> list[int]:
        """Terms that somebody was in, in the window; the last ones where colours repeat."""
        seen = {
            stretch.term
            for node in self._layout.nodes
            for stretch in self._layout.stretches(node)
            if stretch.term and self._scale.shows(stretch.from_ms, stretch.to_ms)
        }
        return sorted(seen)[-svg.TINTS_MAX :]

    def _field(self) -> Iterator[str]:
        """All that moves, from the back to the front."""
        layout, room = self._layout, self._room
        arrows = flights.arrows(self._scene.flights, layout)
        for arrow in arrows:
            if arrow.flight.kind is not Kind.ROUTINE:
                room.avoid(arrow.line)
            if arrow.flight.is_lost:
                room.reserve(flights.end_of(arrow))
        opacity = flights.routine_opacity(arrows, layout)
        yield from (flights.paint(arrow, opacity) for arrow in arrows)
        yield from self._lanes()
        for strip in self._strips:
            yield from calls.paint(strip, layout, room)
        for mark in lanes.weightiest_last(self._marks):
            yield lanes.paint_mark(mark, layout, room)
        yield from lanes.mark_labels(self._marks, layout, room)
        yield from lanes.term_labels(layout, room)
        yield from flights.labels(arrows, room)

    def _lanes(self) -> Iterator[str]:
        layout, room, scale = self._layout, self._room, self._scale
        for node in layout.nodes:
            for stretch in layout.stretches(node):
                if scale.shows(stretch.from_ms, stretch.to_ms):
                    yield lanes.paint_stretch(stretch, layout, room)
        for pause in self._scene.pauses:
            if pause.node in layout.nodes and scale.shows(pause.from_ms, pause.to_ms):
                yield from lanes.paint_pause(pause, layout)
        for commit in self._scene.commits:
            if commit.node in layout.nodes and scale.shows(commit.at_ms, commit.at_ms):
                yield lanes.paint_commit(commit, layout)
