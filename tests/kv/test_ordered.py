"""Keys coded so that something may follow them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.api import KEY_BYTES_MAX
from kvstore.kv import ordered

LENGTHS = (0, 1, 23, 24, 25, 71, 72, 73, 167, 168, 169, 323, 324, 325, 479, 480)
"""Around the ends of the groups."""

keys = st.builds(
    lambda head, length, fill: (head + fill * KEY_BYTES_MAX)[:length],
    st.binary(max_size=3),
    st.sampled_from(LENGTHS),
    st.sampled_from((b"\0", b"a", b"\xff")),
) | st.binary(max_size=30)


@given(st.lists(keys, max_size=8))
def test_codes_are_in_the_order_of_their_keys(some: list[bytes]) -> None:
    assert [ordered.encode(key) for key in sorted(some)] == sorted(map(ordered.encode, some))


@given(keys, keys)
def test_no_code_is_a_beginning_of_another_one(one: bytes, other: bytes) -> None:
    assert one == other or not ordered.encode(one).startswith(ordered.encode(other))


@given(keys, st.binary(max_size=30))
def test_the_key_is_found_again_and_what_follows_it(key: bytes, rest: bytes) -> None:
    assert ordered.split(ordered.encode(key) + rest) == (key, rest)


def test_a_short_key_takes_25_bytes_and_the_longest_one_485() -> None:
    assert len(ordered.encode(b"x" * 24)) == 25
    assert len(ordered.encode(b"x" * KEY_BYTES_MAX)) == ordered.CODE_BYTES_MAX == 485


def test_what_is_no_code_is_not_taken_for_one() -> None:
    with pytest.raises(ValueError, match="no code"):
        ordered.split(b"\xff" * 500)
