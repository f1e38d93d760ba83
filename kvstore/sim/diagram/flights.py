"""Paints the messages: from the sender's lane when it spoke to the recipient's when it heard.

Law: colour is the term of the message, shape is what it is for; routine is faint, and
what was refused cannot be overlooked.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kvstore.sim.diagram import svg
from kvstore.sim.diagram.labels import Box, Room, Segment, Spot
from kvstore.sim.diagram.layout import LABEL_HEIGHT, Layout
from kvstore.sim.diagram.scene import Flight, Kind

_LOST_AT: Final = 0.55
"""How far a lost message comes."""
_ROUTINE_OPACITY_MAX: Final = 0.35
_ROUTINE_SPACING: Final = 12.0
"""Closer together than this many pixels, heartbeats fade."""
_CROSS: Final = 3.5
_TEXT: Final = 12.5


class Pen(msgspec.Struct, frozen=True):
    """How a message of one kind is drawn."""

    width: float
    opacity: float = 1.0
    dashes: str | None = None
    head: str = "arrow"


PENS: Final = {
    Kind.ROUTINE: Pen(1.0, _ROUTINE_OPACITY_MAX, head="none"),
    Kind.ENTRIES: Pen(1.8),
    Kind.ACCEPTED: Pen(1.1, 0.75, head="open"),
    Kind.VOTE_REQUEST: Pen(1.6, dashes="5 3"),
    Kind.VOTE: Pen(1.6, head="ballot"),
    Kind.REJECTED: Pen(2.2, head="bar"),
}


class Arrow(msgspec.Struct, frozen=True):
    """A flight on the paper, as much of it as the window shows."""

    flight: Flight
    line: Segment
    ends: bool
    """Whether its end is in the window."""


def arrows(flights: Sequence[Flight], layout: Layout) -> list[Arrow]:
    """The flights of the window, the important ones last and so on top."""
    transits = [flight.end_ms - flight.sent_ms for flight in flights if not flight.is_lost]
    usual_ms = statistics.median(transits) if transits else 0.0
    known = set(layout.nodes)
    seen = [
        _arrow(flight, layout, usual_ms)
        for flight in flights
        if {flight.sender, flight.recipient} <= known
        and layout.scale.shows(flight.sent_ms, _end_ms(flight, usual_ms))
    ]
    order = list(Kind)
    return sorted(seen, key=lambda arrow: order.index(arrow.flight.kind))


def _end_ms(flight: Flight, usual_ms: float) -> float:
    """A lost message ends on the way that it would usually have made."""
    return flight.sent_ms + usual_ms * _LOST_AT if flight.is_lost else flight.end_ms


def _arrow(flight: Flight, layout: Layout, usual_ms: float) -> Arrow:
    scale = layout.scale
    down = 1.0 if layout.y(flight.recipient) > layout.y(flight.sender) else -1.0
    y1 = layout.y(flight.sender) + down * layout.half(flight.sender, flight.sent_ms)
    y2 = layout.y(flight.recipient) - down * layout.half(flight.recipient, flight.end_ms)
    end_ms = _end_ms(flight, usual_ms)
    if flight.is_lost:
        y2 = y1 + (y2 - y1) * _LOST_AT

    def y(at_ms: float) -> float:
        """Where it is when the window opens, or closes."""
        span_ms = end_ms - flight.sent_ms
        return y1 + (y2 - y1) * ((at_ms - flight.sent_ms) / span_ms if span_ms else 1.0)

    from_ms, to_ms = max(flight.sent_ms, scale.from_ms), min(end_ms, scale.to_ms)
    start = y1 if from_ms == flight.sent_ms else y(from_ms)
    line = Segment(scale.x(from_ms), start, scale.x(to_ms), y(to_ms))
    return Arrow(flight, line, ends=to_ms == end_ms)


def end_of(arrow: Arrow) -> Box:
    """The place of the x of a lost message."""
    x, y = arrow.line.x2, arrow.line.y2
    return Box(x - _CROSS, y - _CROSS, x + _CROSS, y + _CROSS)


def routine_opacity(seen: Sequence[Arrow], layout: Layout) -> float:
    """The more heartbeats, the fainter: together they are never darker than what matters."""
    count = sum(arrow.flight.kind is Kind.ROUTINE for arrow in seen)
    room = (layout.scale.right - layout.scale.left) / _ROUTINE_SPACING
    return _ROUTINE_OPACITY_MAX * max(0.3, min(1.0, room / max(count, 1)))


def paint(arrow: Arrow, routine_opacity: float) -> str:
    """One message."""
    flight = arrow.flight
    pen = PENS[flight.kind]
    if flight.kind is Kind.ROUTINE:
        pen = msgspec.structs.replace(pen, opacity=routine_opacity)
    colour = svg.DANGER if flight.kind is Kind.REJECTED else svg.tint(flight.term).line
    fate = " lost" if flight.is_lost else ""
    if not arrow.ends:
        pen = msgspec.structs.replace(pen, head="none")
    drawn = stroke(arrow.line, pen, colour, is_lost=flight.is_lost and arrow.ends)
    return svg.group([drawn], class_=f"flight {flight.kind.value}{fate}")


def stroke(line: Segment, pen: Pen, colour: str, *, is_lost: bool = False) -> str:
    """A message as the pen draws it."""
    parts = [
        svg.line(
            line.x1,
            line.y1,
            line.x2,
            line.y2,
            colour,
            stroke_width=pen.width,
            stroke_dasharray=pen.dashes,
        )
    ]
    if is_lost:
        parts.append(cross(line.x2, line.y2, _CROSS, svg.SOFT_INK, 1.6))
    else:
        parts += _head(line, pen, colour)
    return svg.group(parts, opacity=None if pen.opacity == 1.0 else f"{pen.opacity:.2f}")


def cross(x: float, y: float, size: float, colour: str, width: float) -> str:
    """A small x."""
    ways = f"M{svg.number(x - size)} {svg.number(y - size)}l{2 * size:g} {2 * size:g}"
    ways += f"m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
    return svg.element(
        "path", d=ways, stroke=colour, stroke_width=width, fill="none", stroke_linecap="round"
    )


def _head(line: Segment, pen: Pen, colour: str) -> Iterator[str]:
    length = math.hypot(line.x2 - line.x1, line.y2 - line.y1)
    if pen.head == "none" or length == 0.0:
        return
    along_x, along_y = (line.x2 - line.x1) / length, (line.y2 - line.y1) / length

    def at(back: float, aside: float) -> tuple[float, float]:
        x = line.x2 - back * along_x - aside * along_y
        return x, line.y2 - back * along_y + aside * along_x

    if pen.head == "ballot":
        x, y = at(4.0, 0.0)
        yield svg.element("circle", cx=x, cy=y, r=4.0, fill=colour)
    elif pen.head == "open":
        (x1, y1), (x2, y2) = at(6.0, -3.0), at(6.0, 3.0)
        yield svg.line(x1, y1, line.x2, line.y2, colour, stroke_width=pen.width)
        yield svg.line(x2, y2, line.x2, line.y2, colour, stroke_width=pen.width)
    else:
        size = 4.0 + pen.width
        back = 2.5 if pen.head == "bar" else 0.0
        yield svg.polygon(
            [
                at(back, 0.0),
                at(back + 1.7 * size, -0.75 * size),
                at(back + 1.7 * size, 0.75 * size),
            ],
            fill=colour,
        )
        if pen.head == "bar":
            (x1, y1), (x2, y2) = at(1.0, -5.5), at(1.0, 5.5)
            yield svg.line(x1, y1, x2, y2, colour, stroke_width=pen.width)


# --- Words along the way ------------------------------------------------------------------


def labels(seen: Sequence[Arrow], room: Room) -> Iterator[str]:
    """What the messages say that matter, once, where there is room beside them."""
    told: set[tuple[int, int, str]] = set()
    for arrow in sorted(seen, key=_lightness):
        words = "" if arrow.flight.is_lost else arrow.flight.words
        same = (arrow.flight.sender, arrow.flight.term, words)
        if not words or same in told:
            continue
        spot = room.try_place(_spots(arrow.line, svg.text_width(words, _TEXT)))
        if spot is None:
            continue
        told.add(same)
        is_bad = arrow.flight.kind is Kind.REJECTED
        colour = svg.DANGER if is_bad else svg.tint(arrow.flight.term).line
        yield svg.text(
            spot.box.left,
            spot.box.bottom - 4.0,
            words,
            class_="halo",
            fill=colour,
            font_size=_TEXT,
            font_weight=600 if is_bad or arrow.flight.is_stale else None,
        )


def _lightness(arrow: Arrow) -> int:
    """What comes from a term gone by first, then its rejection."""
    if arrow.flight.is_stale:
        return 0
    return 1 if arrow.flight.kind is Kind.REJECTED else 2


def _spots(line: Segment, width: float) -> Iterator[Spot]:
    """Beside the middle of the line, then further along it."""
    for cost, part in enumerate((0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)):
        x, y = line.x1 + (line.x2 - line.x1) * part, line.y1 + (line.y2 - line.y1) * part
        top = y - LABEL_HEIGHT / 2
        for left in (x + 9.0, x - 9.0 - width):
            yield Spot(Box(left, top, left + width, top + LABEL_HEIGHT), float(cost))
