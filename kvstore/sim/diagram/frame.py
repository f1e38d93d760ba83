"""Paints the card: title, names of the nodes, cut links, time axis and legend.

Law: the card brings its own paper, so that it reads the same on a white page and on a
black one; and every sign that does not name itself is explained below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kvstore.sim.diagram import flights, lanes, svg
from kvstore.sim.diagram.labels import Box, Room, Segment, Spot, clipped
from kvstore.sim.diagram.layout import Layout
from kvstore.sim.diagram.scale import Scale
from kvstore.sim.diagram.scene import Cut, Kind, Mark, Turn
from kvstore.sim.film_words import counted, links_words

_STYLE: Final = (
    f"text{{font-family:{svg.FONT}}}"
    f".halo{{paint-order:stroke;stroke:{svg.PAPER};stroke-width:3px;stroke-linejoin:round}}"
)
_TITLE_CHARACTER: Final = 13.5
"""Width of a character of the title, margins included."""
_TEXT: Final = 12.5
_LEGEND_ROW: Final = 24.0
_EDGES_APART_MIN: Final = 12.0
_SAMPLE: Final = 30.0
"""Width of a legend's sample."""
STRIP_HEIGHT: Final = 24.0


def definitions() -> str:
    """Style and patterns."""
    hatch = svg.element(
        "pattern",
        svg.line(0, 0, 0, 6, svg.SILVER, stroke_width=2),
        id="hatch",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return svg.element("defs", svg.element("style", _STYLE), hatch)


def card(width: float, height: float, title: str) -> Iterator[str]:
    """The paper and its heading."""
    yield svg.rectangle(0.5, 0.5, width - 1.0, height - 1.0, rx=12, fill=svg.PAPER, stroke=svg.EDGE)
    title = clipped(title, int(width / _TITLE_CHARACTER))
    yield svg.text(24.0, 36.0, title, fill=svg.INK, font_size=21, font_weight=700)


def names(layout: Layout, left_out: Mapping[int, int]) -> Iterator[str]:
    """Who is on which lane, and how many calls there was no room for."""
    for node in layout.nodes:
        y = layout.y(node)
        yield svg.text(24.0, y + 5.0, f"node {node}", fill=svg.INK, font_size=16, font_weight=700)
        if count := left_out.get(node):
            words = f"+ {counted(count, 'call')}"
            yield svg.text(24.0, y + 21.0, words, fill=svg.SOFT_INK, font_size=12)


def axis(layout: Layout) -> Iterator[str]:
    """Hair lines through the field, and the times below."""
    scale, bottom = layout.scale, layout.bottom
    for at_ms in scale.ticks():
        x = scale.x(at_ms)
        yield svg.line(x, layout.top, x, bottom + 5.0, svg.FAINT)
        yield svg.text(
            x, bottom + 20.0, f"{at_ms}", text_anchor="middle", fill=svg.SOFT_INK, font_size=12
        )
    yield svg.line(scale.left, bottom, scale.right, bottom, svg.SILVER)
    yield svg.text(24.0, bottom + 20.0, "time, ms", fill=svg.SOFT_INK, font_size=12)


def cuts(found: Sequence[Cut], layout: Layout) -> Iterator[str]:
    """Above the lanes: from when to when which links lost everything, in words if they fit."""
    scale, y = layout.scale, layout.top - STRIP_HEIGHT / 2
    for cut in found:
        if not scale.shows(cut.from_ms, cut.to_ms):
            continue
        x1, x2 = scale.x(cut.from_ms), scale.x(cut.to_ms)
        height = layout.bottom - layout.top
        yield svg.rectangle(x1, layout.top, x2 - x1, height, fill=svg.DANGER, opacity=0.045)
        # Links that change from moment to moment would fill the field with edges.
        for x in (x1, x2) if x2 - x1 >= _EDGES_APART_MIN else ():
            yield svg.line(x, y, x, layout.bottom, svg.DANGER, opacity=0.35, stroke_dasharray="2 4")
        yield svg.line(x1, y, x2, y, svg.DANGER, stroke_width=3, opacity=0.75)
        yield from _cut_label(f"cut: {cut_words(cut.links, layout.nodes)}", x1, x2, y)


def _cut_label(words: str, x1: float, x2: float, y: float) -> Iterator[str]:
    width = svg.text_width(words, _TEXT) + 12.0
    if width > x2 - x1:
        return
    middle = (x1 + x2) / 2
    yield svg.rectangle(middle - width / 2, y - 8.0, width, 16.0, fill=svg.PAPER)
    yield svg.text(
        middle,
        y + 4.2,
        words,
        text_anchor="middle",
        fill=svg.DANGER,
        font_size=_TEXT,
        font_weight=600,
    )


def cut_words(links: Sequence[tuple[int, int]], nodes: Sequence[int]) -> str:
    """`1 | 2 3` where the cluster falls in parts, else the links."""
    cut = set(links)
    parts: list[list[int]] = []
    for node in nodes:
        for part in parts:
            if (node, part[0]) not in cut and (part[0], node) not in cut:
                part.append(node)
                break
        else:
            parts.append([node])
    between = {
        (a, b) for one in parts for other in parts if one is not other for a in one for b in other
    }
    if between == cut:
        return " | ".join(" ".join(map(str, part)) for part in parts)
    return links_words(links)


def moments(marks: Sequence[Mark], layout: Layout, top: float) -> Iterator[str]:
    """What befell all nodes at once: dotted lines, named in a strip of their own at `top`."""
    scale = layout.scale
    room = Room(Box(scale.left, top, scale.right, top + STRIP_HEIGHT))
    for mark in marks:
        x = scale.x(mark.at_ms)
        yield svg.line(x, top, x, layout.bottom, svg.SOFT_INK, stroke_dasharray="1 5")
        words = clipped(mark.text)
        width = svg.text_width(words, _TEXT) + 4.0
        spots = [
            Spot(Box(left, top, left + width, top + STRIP_HEIGHT), cost)
            for cost, left in enumerate((x, x - width))
        ]
        if spot := room.try_place(spots):
            left = spot.box.left + 3.0
            yield svg.text(
                left, top + 13.0, words, class_="halo", fill=svg.SOFT_INK, font_size=_TEXT
            )


# --- The legend ---------------------------------------------------------------------------


def legend(
    terms: Sequence[int], scale: Scale, left: float, right: float
) -> tuple[list[str], float]:
    """Every sign with its name, in rows from y = 0 on; and how high it is."""
    parts: list[str] = []
    x, y = left, _LEGEND_ROW / 2
    for sample, words in _signs(terms):
        width = _SAMPLE + 6.0 + svg.text_width(words, _TEXT)
        if x + width > right:
            x, y = left, y + _LEGEND_ROW
        parts.append(svg.group([sample], transform=f"translate({svg.number(x)} {svg.number(y)})"))
        parts.append(
            svg.text(x + _SAMPLE + 6.0, y + 4.2, words, fill=svg.SOFT_INK, font_size=_TEXT)
        )
        x += width + 16.0
    if not scale.is_linear:
        words = "Time is stretched where much happens."
        if x + svg.text_width(words, _TEXT) > right:
            x, y = left, y + _LEGEND_ROW
        parts.append(
            svg.text(x, y + 4.2, words, fill=svg.SOFT_INK, font_size=_TEXT, font_style="italic")
        )
    return parts, y + _LEGEND_ROW / 2


def _signs(terms: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Samples, drawn around y = 0 from x = 0 to x = `_SAMPLE`, in a neutral colour."""
    grey, end = svg.SOFT_INK, _SAMPLE
    for term in terms:
        yield (
            svg.rectangle(8.0, -7.0, end - 8.0, 14.0, rx=3, fill=svg.tint(term).fill),
            f"term {term}",
        )
    yield svg.group([svg.rectangle(0, -9, end, 18, rx=3, fill=grey), lanes.star(9, 0, 8)]), "leader"
    dashed = svg.line(0, 0, end, 0, grey, stroke_width=10, stroke_dasharray="5 2.5")
    yield dashed, "candidate"
    yield svg.rectangle(0, -2.5, end, 5, fill=grey), "follower"
    hatched = svg.rectangle(0, -7, end, 14, fill="url(#hatch)", stroke=svg.SILVER)
    yield hatched, "paused"
    yield lanes.stop_sign(end / 2, 0, 10), "leader fenced"
    yield lanes.sign(Turn.ROLLED_BACK, end / 2, 0, 0), "rolls back"
    yield lanes.sign(Turn.CRASHED, end / 2, 0, 0), "crash"
    yield svg.line(end / 2, -4, end / 2, 4, svg.INK, stroke_width=1.4), "commits"
    across = Segment(0, 0, end, 0)
    for kind, words in (
        (Kind.ENTRIES, "entries"),
        (Kind.ACCEPTED, "accepted"),
        (Kind.ROUTINE, "heartbeat, answer"),
        (Kind.VOTE_REQUEST, "RequestVote"),
        (Kind.VOTE, "vote"),
        (Kind.REJECTED, "rejected"),
    ):
        colour = svg.DANGER if kind is Kind.REJECTED else grey
        yield flights.stroke(across, flights.PENS[kind], colour), words
    lost = flights.stroke(Segment(0, 0, end - 6, 0), flights.PENS[Kind.ENTRIES], grey, is_lost=True)
    yield lost, "lost"
