"""The parts of a picture: its scale, its labels, and the calls of clients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest

from kvstore.sim.diagram import svg
from kvstore.sim.diagram.calls import strips
from kvstore.sim.diagram.labels import Box, Room, Segment, Spot
from kvstore.sim.diagram.scale import Scale
from kvstore.sim.diagram.scene import Call, Verdict

NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_a_linear_scale_is_even_and_stops_at_the_window() -> None:
    scale = Scale(100, 300, 0, 1000)
    assert [scale.x(at_ms) for at_ms in (0, 100, 150, 300, 999)] == [0, 0, 250, 1000, 1000]


def test_a_stretched_scale_keeps_the_order_and_gives_room_to_what_happens() -> None:
    busy = [500.0, 501.0, 502.0, 503.0]
    scale = Scale(0, 1000, 0, 1000, busy)
    places = [scale.x(at_ms) for at_ms in range(1001)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, pytest.approx(1000))
    assert scale.x(503) - scale.x(500) > 50


@pytest.mark.parametrize("busy", [(), (500.0, 501.0, 777.0)])
@pytest.mark.parametrize("span_ms", [3, 97, 1_400, 60_000, 5_000_000])
def test_ticks_are_in_the_window_and_do_not_touch(busy: Sequence[float], span_ms: int) -> None:
    scale = Scale(0, span_ms, 0, 1000, busy)
    ticks = scale.ticks()
    assert ticks
    assert all(0 <= at_ms <= span_ms for at_ms in ticks)
    assert all(scale.x(two) - scale.x(one) > 55 for one, two in pairwise(ticks))


def test_labels_do_not_cover_each_other_or_what_is_reserved() -> None:
    room = Room(Box(0, 0, 100, 100))
    room.reserve(Box(0, 0, 50, 20))
    spots = [Spot(Box(left, 5, left + 40, 15), left) for left in (10.0, 30.0, 55.0, 70.0)]
    first = room.try_place(spots)
    assert first is not None
    assert first.box.left == 55
    assert room.try_place(spots) is None


def test_a_label_keeps_off_lines_where_it_can() -> None:
    room = Room(Box(0, 0, 100, 100))
    room.avoid(Segment(20, 0, 20, 100))
    spots = [Spot(Box(left, 5, left + 10, 15), cost) for cost, left in enumerate((15.0, 40.0))]
    spot = room.try_place(spots)
    assert spot is not None
    assert spot.box.left == 40


@pytest.mark.parametrize(
    ("line", "crosses"),
    [
        (Segment(0, 0, 30, 30), True),
        (Segment(15, 0, 15, 99), True),
        (Segment(0, 15, 99, 15), True),
        (Segment(0, 0, 9, 99), False),
        (Segment(0, 25, 5, 0), False),
        (Segment(25, 0, 25, 99), False),
        (Segment(0, 0, 5, 5), False),
    ],
)
def test_lines_cross_boxes(line: Segment, crosses: bool) -> None:
    assert line.crosses(Box(10, 10, 20, 20)) is crosses


def call(from_ms: float, to_ms: float, verdict: Verdict = Verdict.DONE) -> Call:
    return Call(1, from_ms, to_ms, "put key = value", "OK", verdict)


def test_calls_do_not_cover_each_other() -> None:
    found, left_out = strips([call(10 * n, 10 * n + 15) for n in range(40)], Scale(0, 400, 0, 900))
    for one, two in combinations(found, 2):
        assert one.row != two.row or one.right < two.left or two.right < one.left
    assert left_out[1] + len(found) == 40


def test_calls_without_an_answer_find_room_first_then_long_ones() -> None:
    calls = [call(10, 12) for _ in range(9)] + [call(10, 400), call(10, 11, Verdict.UNKNOWN)]
    found, left_out = strips(calls, Scale(0, 1000, 0, 500))
    assert {strip.call.to_ms for strip in found if strip.row < 2} == {11, 400}
    assert left_out == {1: 8}


@pytest.mark.parametrize("from_ms", [0, 300, 700, 990])
@pytest.mark.parametrize("lasts_ms", [5, 200, 300, 1000])
@pytest.mark.parametrize("asked", ["get k", "put " + "k = v, " * 99])
def test_the_words_of_a_call_stay_in_the_picture(from_ms: int, lasts_ms: int, asked: str) -> None:
    one = Call(1, from_ms, from_ms + lasts_ms, asked, "no answer: unknown", Verdict.UNKNOWN)
    (strip,), _ = strips([one], Scale(0, 1000, 100, 1000))
    assert strip.left >= 0
    assert strip.right <= 1000
    assert strip.asked_x < strip.told_x


def test_neighbouring_terms_differ_in_colour() -> None:
    assert all(svg.tint(term) != svg.tint(term + 1) for term in range(20))
