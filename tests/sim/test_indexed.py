"""A list that begins after an index: each item by its own number, and nothing that is not there."""

from __future__ import annotations

import pytest

from kvstore.sim.indexed import Indexed

STARTS = [0, 1, 999_999_999]


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start + 1}")
def start(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def test_each_item_has_its_number(start: int) -> None:
    some = Indexed(start, "abc")
    assert [some[start + 1], some[start + 2], some[start + 3]] == ["a", "b", "c"]
    assert some.last == start + 3
    assert [*some.numbered()] == [(start + 1, "a"), (start + 2, "b"), (start + 3, "c")]
    assert [*some] == ["a", "b", "c"]


@pytest.mark.parametrize("offset", [-1, 0, 3])
def test_what_is_before_or_behind_is_not_there(start: int, offset: int) -> None:
    """Python would count from the end of the list."""
    some = Indexed(start, "ab")
    assert some.get(start + offset) is None
    with pytest.raises(IndexError):
        some[start + offset]


def test_it_grows_and_is_cut_at_numbers(start: int) -> None:
    some = Indexed[str](start)
    assert some.last == start
    some.append("a")
    some.extend("bcd")
    some.truncate(start + 3)
    assert some == Indexed(start, "ab")
    some.truncate(start + 1)
    assert some == Indexed(start)
    with pytest.raises(IndexError):
        some.truncate(start)


def test_what_is_dropped_from_its_front_is_gone_and_the_rest_keeps_its_numbers(start: int) -> None:
    some = Indexed(start, "abcd")
    some.drop(start)
    some.drop(start + 2)
    assert some == Indexed(start + 2, "cd")
    assert (some.get(start + 2), some[start + 3]) == (None, "c")
    with pytest.raises(IndexError):
        some.drop(start + 1)
    some.drop(start + 9)
    assert some == Indexed(start + 9)


def test_lists_that_begin_elsewhere_are_not_equal() -> None:
    assert Indexed(1, "ab") != Indexed(2, "ab")
    assert Indexed(1, "ab") != Indexed(1, "ac")
    assert repr(Indexed(0, [1, 1])) == "[1, 1]"
    assert repr(Indexed(10, [1, 1])) == "[1, 1] from 11 on"
