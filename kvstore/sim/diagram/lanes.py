"""Paints the nodes: role and term along the lane, and the moments in which they turn.

Law: colour is the term, thickness is the role. A leader that is fenced is what the
eye must find first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from kvstore.raft.types import Role
from kvstore.sim.diagram import svg
from kvstore.sim.diagram.flights import cross
from kvstore.sim.diagram.labels import Box, Room, Spot, clipped
from kvstore.sim.diagram.layout import HALF, LABEL_HEIGHT, LABEL_ROWS, Layout
from kvstore.sim.diagram.scene import Commit, Mark, Pause, Stretch, Turn

_TEXT: Final = 13.0
_STAR: Final = 10.0
_STOP: Final = 12.0
_DANGERS: Final = (Turn.FENCED, Turn.CRASHED)


def paint_stretch(stretch: Stretch, layout: Layout, room: Room) -> str:
    """A role in a term: thick for a leader, dashed for a candidate, thin for a follower."""
    y, half, tint = layout.y(stretch.node), HALF[stretch.role], svg.tint(stretch.term)
    x1, x2 = layout.scale.x(stretch.from_ms), layout.scale.x(stretch.to_ms)
    room.reserve(Box(x1, y - half - 1.0, x2, y + half + 1.0))
    if stretch.role is Role.CANDIDATE:
        dashes = {"stroke_width": 2 * half, "stroke_dasharray": "5 2.5"}
        return svg.line(x1, y, x2, y, tint.fill, class_=stretch.role, **dashes)
    radius = 3 if stretch.role is Role.LEADER else 1
    return svg.rectangle(
        x1, y - half, x2 - x1, 2 * half, class_=stretch.role, rx=radius, fill=tint.fill
    )


def paint_pause(pause: Pause, layout: Layout) -> Iterator[str]:
    """Grey and hatched, whatever the node was; its colour shines through."""
    y = layout.y(pause.node)
    half = max(layout.half(pause.node, pause.from_ms), HALF[Role.CANDIDATE])
    x1, x2 = layout.scale.x(pause.from_ms), layout.scale.x(pause.to_ms)
    yield svg.rectangle(x1, y - half, x2 - x1, 2 * half, fill="#eef1f4", opacity=0.72)
    yield svg.rectangle(
        x1, y - half, x2 - x1, 2 * half, class_="paused", fill="url(#hatch)", stroke=svg.SILVER
    )
    if x2 - x1 > svg.text_width("paused", _TEXT):
        yield svg.text(
            (x1 + x2) / 2,
            y + 4.6,
            "paused",
            class_="halo",
            text_anchor="middle",
            font_size=_TEXT,
            font_weight=600,
            fill=svg.INK,
        )


def paint_commit(commit: Commit, layout: Layout) -> str:
    """A tick at the lower edge."""
    x = layout.scale.x(commit.at_ms)
    y = layout.y(commit.node) + layout.half(commit.node, commit.at_ms)
    return svg.line(x, y, x, y + 6.0, svg.INK, class_="commit", stroke_width=1.4)


# --- Marks --------------------------------------------------------------------------------


def weightiest_last(marks: Sequence[Mark]) -> list[Mark]:
    """In the order to paint them: what weighs more covers what weighs less."""
    order = list(Turn)
    return sorted(marks, key=lambda mark: (-order.index(mark.turn), -mark.at_ms))


def paint_mark(mark: Mark, layout: Layout, room: Room) -> str:
    """The sign of a moment, without words."""
    assert mark.node is not None
    x, y = layout.scale.x(mark.at_ms), layout.y(mark.node)
    if mark.turn is Turn.FENCED:
        room.reserve(Box(x - _STOP, y - _STOP, x + _STOP, y + _STOP))
    return svg.group([sign(mark.turn, x, y, mark.term)], class_=mark.turn.value)


def sign(turn: Turn, x: float, y: float, term: int) -> str:
    """A sign for each turn; small ones for small turns."""
    tint = svg.tint(term)
    match turn:
        case Turn.FENCED:
            glow = svg.element("circle", cx=x, cy=y, r=22.0, fill=svg.DANGER, opacity=0.14)
            return svg.group([glow, stop_sign(x, y, _STOP)])
        case Turn.CRASHED:
            return cross(x, y, 7.0, svg.DANGER, 3.4)
        case Turn.LED:
            return star(x, y, _STAR)
        case Turn.ROLLED_BACK:
            points = [(x, y - 8.0), (x + 7.0, y), (x, y + 8.0), (x - 7.0, y)]
            return svg.polygon(points, fill=svg.PAPER, stroke=svg.DANGER, stroke_width=2)
        case Turn.RESTARTED:
            return svg.element(
                "circle", cx=x, cy=y, r=5.5, fill=svg.PAPER, stroke=svg.DONE, stroke_width=2.4
            )
        case Turn.VOTED:
            return svg.element(
                "circle", cx=x, cy=y, r=4.5, fill=tint.line, stroke=svg.PAPER, stroke_width=1.5
            )
        case _:
            return svg.element("circle", cx=x, cy=y, r=3.5, fill=svg.INK)


def star(x: float, y: float, size: float) -> str:
    """Five points."""
    points = []
    for corner in range(10):
        angle = math.pi * (corner / 5 - 0.5)
        radius = size if corner % 2 == 0 else size * 0.45
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return svg.polygon(
        points, fill="#ffd54a", stroke=svg.INK, stroke_width=1.2, stroke_linejoin="round"
    )


def stop_sign(x: float, y: float, size: float) -> str:
    """An octagon with a bar: no entry."""
    corners = [math.pi * (corner / 4 + 0.125) for corner in range(8)]
    octagon = svg.polygon(
        [(x + size * math.cos(angle), y + size * math.sin(angle)) for angle in corners],
        fill=svg.DANGER,
        stroke="#ffffff",
        stroke_width=1.8,
    )
    bar = svg.rectangle(x - 0.55 * size, y - 0.2 * size, 1.1 * size, 0.4 * size, fill="#ffffff")
    return svg.group([octagon, bar])


# --- Words --------------------------------------------------------------------------------


def mark_labels(marks: Sequence[Mark], layout: Layout, room: Room) -> Iterator[str]:
    """The words of all marks, the weightiest first; a light one may find no room."""
    for mark in reversed(weightiest_last(marks)):
        if mark.turn is Turn.LED and _fits_its_bar(mark, layout):
            assert mark.node is not None
            yield _leads(mark.at_ms, mark.node, mark.term, layout)
        else:
            yield from _flag(mark, layout, room)


def _fits_its_bar(mark: Mark, layout: Layout) -> bool:
    assert mark.node is not None
    reign = [one for one in layout.stretches(mark.node) if one.from_ms == mark.at_ms]
    return bool(reign) and _leads_fits(reign[-1], layout)


def _leads_fits(stretch: Stretch, layout: Layout) -> bool:
    """Whether there is room for words in a leader's bar."""
    needed = svg.text_width(f"leads term {stretch.term}", _TEXT) + 2 * _STAR
    return stretch.role is Role.LEADER and layout.blank_width(stretch) >= needed


def _leads(at_ms: float, node: int, term: int, layout: Layout) -> str:
    """What a leader's bar says, behind the star if there is one."""
    return svg.text(
        layout.scale.x(at_ms) + _STAR + 4.0,
        layout.y(node) + 4.6,
        f"leads term {term}",
        fill=svg.tint(term).ink,
        font_size=_TEXT,
        font_weight=700,
    )


def _flag(mark: Mark, layout: Layout, room: Room) -> Iterator[str]:
    """Words beside a pole that stands on the moment; a fenced leader's are on a banner."""
    assert mark.node is not None
    is_banner = mark.turn is Turn.FENCED
    size = 14.0 if is_banner else _TEXT
    words = clipped(mark.text)
    width = svg.text_width(words, size) + (12.0 if is_banner else 4.0)
    x, y = layout.scale.x(mark.at_ms), layout.y(mark.node)
    spot = room.try_place(_flag_spots(x, y, width, 22.0 if is_banner else LABEL_HEIGHT))
    if spot is None:
        return
    box = spot.box
    colour = svg.DANGER if mark.turn in _DANGERS or mark.turn is Turn.ROLLED_BACK else svg.INK
    far = box.bottom if box.top > y else box.top
    yield svg.line(x, y + math.copysign(9.0, far - y), x, far, colour, stroke_width=1, opacity=0.6)
    if is_banner:
        yield svg.rectangle(
            box.left, box.top, box.right - box.left, box.bottom - box.top, rx=5, fill=svg.DANGER
        )
    yield svg.text(
        box.left + (6.0 if is_banner else 3.0),
        box.bottom - (6.5 if is_banner else 4.0),
        words,
        class_=None if is_banner else "halo",
        fill="#ffffff" if is_banner else colour,
        font_size=size,
        font_weight=700 if mark.turn in _DANGERS else None,
    )


def _flag_spots(x: float, y: float, width: float, height: float) -> Iterator[Spot]:
    """Below the lane, to the right or the left of the pole; then above it."""
    near = HALF[Role.LEADER] + 5.0
    for row in range(LABEL_ROWS):
        top = y + near + LABEL_HEIGHT * row
        pole = Box(x - 0.5, y + near, x + 0.5, top)
        yield Spot(Box(x, top, x + width, top + height), 3.0 * row, pole)
        yield Spot(Box(x - width, top, x, top + height), 3.0 * row + 1.0, pole)
    top = y - near - height
    yield Spot(Box(x, top, x + width, top + height), 8.0)
    yield Spot(Box(x - width, top, x, top + height), 9.0)


def term_labels(layout: Layout, room: Room) -> Iterator[str]:
    """Where a lane enters a term, and where the window begins, in small print."""
    for node in layout.nodes:
        before: int | None = None
        for stretch in layout.stretches(node):
            is_shown = layout.scale.shows(stretch.from_ms, stretch.to_ms)
            if is_shown and stretch.term != before:
                if stretch.from_ms < layout.scale.from_ms and _leads_fits(stretch, layout):
                    yield _leads(stretch.from_ms, node, stretch.term, layout)
                elif stretch.term:
                    yield from _term_label(stretch, layout, room)
                before = stretch.term


def _term_label(stretch: Stretch, layout: Layout, room: Room) -> Iterator[str]:
    words = f"term {stretch.term}"
    x, y = layout.scale.x(stretch.from_ms) + 3.0, layout.y(stretch.node)
    near = HALF[stretch.role] + 1.5
    width = svg.text_width(words, 12.0)
    spots = []
    for cost, (step, top) in enumerate(
        (step, top) for step in (0.0, 12.0, 40.0) for top in (y + near, y - near - LABEL_HEIGHT)
    ):
        left = x + step
        spots.append(Spot(Box(left, top, left + width, top + LABEL_HEIGHT), float(cost)))
    spot = room.try_place(spots)
    if spot is not None:
        yield svg.text(
            spot.box.left,
            spot.box.bottom - 4.0,
            words,
            class_="halo",
            fill=svg.tint(stretch.term).line,
            font_size=12.0,
            font_weight=600,
        )
