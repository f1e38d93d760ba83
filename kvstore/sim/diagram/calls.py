"""Paints what clients asked of a node, and were told, above the node's lane.

Law: a call lasts from its question to its answer, or to the moment its client gave up;
one without an answer never looks like one that has an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from kvstore.raft.types import Role
from kvstore.sim.diagram import svg
from kvstore.sim.diagram.labels import Box, Room, clipped
from kvstore.sim.diagram.layout import CALL_HEIGHT, HALF, Layout
from kvstore.sim.diagram.scale import Scale
from kvstore.sim.diagram.scene import Call, Verdict

_ROWS_MAX: Final = 3
_TEXT: Final = 13.0
_PAD: Final = 6.0
_GAP: Final = 10.0
_LENGTH_MAX: Final = 44
_COLOURS: Final = {
    Verdict.DONE: svg.DONE,
    Verdict.REFUSED: svg.DANGER,
    Verdict.UNKNOWN: svg.INK,
    Verdict.OPEN: svg.INK,
}


class Strip(msgspec.Struct, frozen=True):
    """A call with its words, laid out from left to right.

    * `asked_x`, `told_x` are where the words begin; `left` and `right` hold all of it.
    """

    call: Call
    row: int
    x1: float
    x2: float
    asked_x: float
    told_x: float
    left: float
    right: float


def strips(calls: Iterable[Call], scale: Scale) -> tuple[list[Strip], dict[int, int]]:
    """The calls of the window in rows, and how many of each node found no room.

    Those without an answer find room first, then the long ones.
    """
    seen = [call for call in calls if scale.shows(call.from_ms, call.to_ms)]
    seen.sort(key=lambda call: (_has_answer(call), call.from_ms - call.to_ms, call.from_ms))
    rows: dict[tuple[int, int], list[Strip]] = {}
    left_out: dict[int, int] = {}
    for call in seen:
        for row in range(_ROWS_MAX):
            strip = _strip(call, row, scale)
            others = rows.setdefault((call.node, row), [])
            if all(
                strip.left > one.right + _GAP or one.left > strip.right + _GAP for one in others
            ):
                others.append(strip)
                break
        else:
            left_out[call.node] = left_out.get(call.node, 0) + 1
    found = [strip for row in rows.values() for strip in row]
    return sorted(found, key=lambda strip: strip.call.from_ms), left_out


def _has_answer(call: Call) -> bool:
    return call.verdict in (Verdict.DONE, Verdict.REFUSED)


def _strip(call: Call, row: int, scale: Scale) -> Strip:
    """The question in the bar and the answer behind it, or both in it, or both beside it."""
    x1, x2 = scale.x(call.from_ms), scale.x(call.to_ms)
    asked = svg.text_width(clipped(call.asked, _LENGTH_MAX), _TEXT) + _PAD
    told = svg.text_width(clipped(call.told, _LENGTH_MAX), _TEXT)
    asked_x = x1 + _PAD
    if asked_x + asked <= x2 and x2 + _PAD + told <= scale.right:
        told_x = x2 + _PAD
    elif asked_x + asked + told + _PAD <= x2:
        told_x = x2 - _PAD - told
    else:
        fits = x2 + _PAD + asked + told <= scale.right
        asked_x = x2 + _PAD if fits else x1 - _PAD - told - asked
        told_x = asked_x + asked
    left, right = min(x1, asked_x), max(x2, told_x + told)
    return Strip(call, row, x1, x2, asked_x, told_x, left, right)


def row_counts(found: Sequence[Strip]) -> dict[int, int]:
    """How many rows each node needs."""
    counts: dict[int, int] = {}
    for strip in found:
        counts[strip.call.node] = max(counts.get(strip.call.node, 0), strip.row + 1)
    return counts


def paint(strip: Strip, layout: Layout, room: Room) -> Iterator[str]:
    """One call: its bar, its stems down to the lane, and its words."""
    call, colour = strip.call, _COLOURS[strip.call.verdict]
    y = layout.call_y(call.node, strip.row)
    half = CALL_HEIGHT / 2 - 2.0
    room.reserve(Box(strip.left, y - half, strip.right, y + half))
    yield from _stems(strip, layout, y + half, colour)
    yield svg.rectangle(
        strip.x1,
        y - half,
        max(strip.x2 - strip.x1, 3.0),
        2 * half,
        class_=f"call {call.verdict.value}",
        rx=4,
        fill="#ffffff",
        stroke=colour,
        stroke_width=1.2,
        stroke_dasharray=None if _has_answer(call) else "4 3",
    )
    yield from _words(strip, y + 4.6, colour)


def _words(strip: Strip, base: float, colour: str) -> Iterator[str]:
    call = strip.call
    for x, words, fill, weight in (
        (strip.asked_x, call.asked, svg.INK, None),
        (strip.told_x, call.told, colour, 700),
    ):
        # A halo would wipe out the edge of the bar that the words are in.
        is_inside = strip.x1 < x < strip.x2
        yield svg.text(
            x,
            base,
            clipped(words, _LENGTH_MAX),
            class_=None if is_inside else "halo",
            fill=fill,
            font_size=_TEXT,
            font_weight=weight,
        )


def _stems(strip: Strip, layout: Layout, top: float, colour: str) -> Iterator[str]:
    """The question goes down into the node, and an answer comes up."""
    call, scale = strip.call, layout.scale
    bottom = layout.y(call.node) - HALF[Role.FOLLOWER]
    moments = [call.from_ms]
    if _has_answer(call):
        moments.append(call.to_ms)
    for at_ms in moments:
        if scale.shows(at_ms, at_ms):
            x = scale.x(at_ms)
            yield svg.line(x, top, x, bottom, colour, class_="stem", opacity=0.7)
