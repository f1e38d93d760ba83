"""Ranges against a list of them: whose a key is, and how many are looked at to know."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.server.watching.ranges import Ranges

KEYS = st.text("ab\x00\xff", max_size=3).map(lambda text: text.encode("latin-1"))
ENDS = st.none() | KEYS
OWNERS = st.sampled_from("xyz")
RANGES = st.one_of(
    st.tuples(KEYS, ENDS, OWNERS),
    st.tuples(KEYS, OWNERS).map(lambda one: (one[0], one[0] + b"\x00", one[1])),
)
STEPS = st.lists(st.tuples(st.booleans(), RANGES, KEYS), max_size=40)


@given(STEPS, st.integers(0, 99))
def test_a_key_is_found_in_exactly_those_ranges_that_hold_it(
    steps: list[tuple[bool, tuple[bytes, bytes | None, str], bytes]], seed: int
) -> None:
    ranges, plain = Ranges[str](random.Random(seed)), dict[Any, None]()
    for adds, one, key in steps:
        if adds:
            ranges.add(*one)
            plain[one] = None
        else:
            ranges.discard(*one)
            plain.pop(one, None)
        ranges.check()
        for asked in (key, one[0], one[1] or b""):
            expected = [
                owner
                for start, end, owner in plain
                if start <= asked and (end is None or asked < end)
            ]
            assert sorted(ranges.at(asked)) == sorted(expected)
    for one in plain:
        ranges.discard(*one)
    ranges.check()
    assert not list(ranges.at(b"a"))


def test_the_longest_key_lies_in_what_has_no_end() -> None:
    ranges = Ranges[str](random.Random(0))
    ranges.add(b"", None, "all")
    assert list(ranges.at(b"\xff" * api.KEY_BYTES_MAX)) == ["all"]


class Counted(bytes):
    """A key that counts how often it is compared."""

    compared = 0

    def __ge__(self, other: bytes) -> bool:
        Counted.compared += 1
        return super().__ge__(other)

    __hash__ = bytes.__hash__


COUNT = 10_000


def key_of(number: int) -> bytes:
    return b"key %06d" % number


SHAPES = {
    "one beside the other": lambda _rng, n: (key_of(n), key_of(n + 1)),
    "few, and all to the end": lambda _rng, n: (key_of(COUNT // 2 + n), None),
    "one within the other": lambda _rng, n: (key_of(n), key_of(3 * COUNT - n)),
    "short ones, over each other": lambda _rng, n: (key_of(n), key_of(n + 5)),
}
"""At the key that is asked for, no more than some of them."""


@pytest.mark.parametrize("shape", SHAPES)
def test_few_ranges_are_looked_at_besides_those_that_hold_the_key(shape: str) -> None:
    """A range that is looked at is compared with once at least, to see how far all reach there."""
    rng = random.Random(7)
    ranges = Ranges[int](rng)
    for number in rng.sample(range(COUNT), COUNT):
        ranges.add(*SHAPES[shape](rng, number), number)
    for number in range(0, COUNT // 2, 97):
        Counted.compared = 0
        found = len(list(ranges.at(Counted(key_of(number)))))
        assert found <= number + 1
        assert Counted.compared <= 2 * found + 64
    ranges.check()


def test_equal_ranges_are_looked_at_together() -> None:
    ranges = Ranges[int](random.Random(0))
    for number in range(COUNT):
        ranges.add(b"a", b"b", number)
    Counted.compared = 0
    assert list(ranges.at(Counted(b"aa"))) == list(range(COUNT))
    assert Counted.compared <= 2
