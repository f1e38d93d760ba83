"""Replies are the bytes that a Redis client reads as the value that was meant."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.wire import resp

VERSIONS = (2, 3)


def read(reply: bytes) -> object:
    """What a client library makes of exactly one reply."""
    reader = hiredis.Reader()
    reader.feed(reply)
    value = reader.gets()
    assert not reader.has_data()
    return value


def test_the_short_replies_are_byte_for_byte_those_of_redis() -> None:
    assert resp.OK == b"+OK\r\n"
    assert resp.simple("PONG") == b"+PONG\r\n"
    assert resp.integer(7) == b":7\r\n"
    assert resp.bulk(b"") == b"$0\r\n\r\n"
    assert resp.bulk(b"a\r\nb") == b"$4\r\na\r\nb\r\n"
    assert resp.array([]) == b"*0\r\n"
    assert resp.array([resp.integer(1), resp.bulk(b"x")]) == b"*2\r\n:1\r\n$1\r\nx\r\n"
    assert resp.error("ERR no") == b"-ERR no\r\n"


def test_null_differs_between_the_versions() -> None:
    assert resp.null(2) == b"$-1\r\n"
    assert resp.null(3) == b"_\r\n"
    assert resp.null_array(2) == b"*-1\r\n"
    assert resp.null_array(3) == b"_\r\n"


def test_a_map_is_a_flat_array_in_resp2_and_a_map_in_resp3() -> None:
    pairs = [(resp.bulk(b"a"), resp.integer(1)), (resp.bulk(b"b"), resp.integer(2))]
    assert resp.mapping(pairs, 2) == b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n"
    assert resp.mapping(pairs, 3) == b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n"


@pytest.mark.parametrize("number", [-(1 << 63), -1, 0, 1, 1023, 1024, 1025, (1 << 63) - 1])
def test_every_integer_is_read_as_itself(number: int) -> None:
    assert read(resp.integer(number)) == number


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers_round_trip(number: int) -> None:
    assert read(resp.integer(number)) == number


@given(st.lists(st.binary(max_size=2000)))
def test_arrays_of_bulk_strings_round_trip(values: list[bytes]) -> None:
    assert read(resp.array([resp.bulk(value) for value in values])) == values


@given(st.text())
def test_no_text_breaks_out_of_an_error_reply(text: str) -> None:
    reply = resp.error("ERR " + text)
    assert reply.startswith(b"-ERR ")
    assert reply.endswith(b"\r\n")
    assert b"\r" not in reply[:-2]
    assert b"\n" not in reply[:-2]
    assert isinstance(read(reply), hiredis.ReplyError)


@pytest.mark.parametrize("version", VERSIONS)
def test_null_is_read_as_none(version: int) -> None:
    assert read(resp.null(version)) is None
    assert read(resp.null_array(version)) is None
