"""Glob patterns match what they match in Redis, and no pattern is slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.api.glob import Glob


def redis_matches(pattern: bytes, text: bytes) -> bool:
    """The rules as Redis states them, one case after another, with no thought of speed."""
    if not pattern:
        return not text
    if pattern[:1] == b"*":
        return any(redis_matches(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    if not text:
        return False
    if pattern[:1] == b"?":
        return redis_matches(pattern[1:], text[1:])
    if pattern[:1] == b"[":
        accepted, rest = redis_class(pattern[1:], text[0])
        return accepted and redis_matches(rest, text[1:])
    if pattern[:1] == b"\\" and len(pattern) > 1:
        pattern = pattern[1:]
    return pattern[0] == text[0] and redis_matches(pattern[1:], text[1:])


def redis_class(pattern: bytes, byte: int) -> tuple[bool, bytes]:
    """Whether the class that opens before `pattern` accepts `byte`, and what follows it."""
    negated = pattern[:1] == b"^"
    pattern = pattern[negated:]
    found = False
    while pattern and pattern[:1] != b"]":
        if pattern[:1] == b"\\" and len(pattern) >= 2:
            found |= pattern[1] == byte
            pattern = pattern[2:]
        elif pattern[1:2] == b"-" and len(pattern) >= 3:
            found |= min(pattern[0], pattern[2]) <= byte <= max(pattern[0], pattern[2])
            pattern = pattern[3:]
        else:
            found |= pattern[0] == byte
            pattern = pattern[1:]
    return found != negated, pattern[1:]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (b"", [b""], [b"a"]),
        (b"*", [b"", b"a", b"a\n\xff"], []),
        (b"h?llo", [b"hello", b"h\nllo"], [b"hllo", b"heello"]),
        (b"h*llo", [b"hllo", b"heeeello"], [b"hell"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-c]llo", [b"hallo", b"hcllo"], [b"hdllo", b"h-llo"]),
        (b"h[c-a]llo", [b"hallo", b"hbllo"], [b"hdllo"]),
        (b"a\\*b", [b"a*b"], [b"axb"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"[\\a-c]", [b"a", b"-", b"c"], [b"b"]),
        (b"[a-", [b"a", b"-"], [b"b"]),
        (b"[]", [], [b"", b"]", b"[]"]),
        (b"[^]", [b"x"], [b""]),
        (b"*.log*", [b"a.log", b".log.1"], [b"alog"]),
        (b"\xff?", [b"\xff\x00"], [b"\xff"]),
    ],
)
def test_patterns_mean_what_they_mean_in_redis(
    pattern: bytes, matching: list[bytes], other: list[bytes]
) -> None:
    for text in matching:
        assert Glob(pattern).matches(text), text
        assert redis_matches(pattern, text), text
    for text in other:
        assert not Glob(pattern).matches(text), text
        assert not redis_matches(pattern, text), text


alphabet = st.sampled_from([bytes([byte]) for byte in b"aabbc*?[]^-\\\n"])
words = st.lists(alphabet, max_size=9).map(b"".join)
letters = st.lists(st.sampled_from([b"a", b"b", b"c", b"]", b"-", b"\\", b"\n"]), max_size=8)


@settings(max_examples=300)
@given(words, letters.map(b"".join))
@example(b"[\\a-c]", b"b")
def test_every_pattern_agrees_with_the_reference(pattern: bytes, text: bytes) -> None:
    assert Glob(pattern).matches(text) == redis_matches(pattern, text)


@settings(max_examples=200)
@given(words, letters.map(b"".join))
def test_whatever_matches_begins_with_the_literal_prefix(pattern: bytes, text: bytes) -> None:
    if redis_matches(pattern, text):
        assert text.startswith(Glob(pattern).literal_prefix)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (b"user:*", b"user:"),
        (b"user:1", b"user:1"),
        (b"us\\*r?", b"us*r"),
        (b"[ab]c", b""),
        (b"*", b""),
        (b"", b""),
        (b"a\\", b"a\\"),
        (b"abc[", b"abc"),
    ],
)
def test_the_literal_prefix_is_as_long_as_the_pattern_allows(pattern: bytes, prefix: bytes) -> None:
    assert Glob(pattern).literal_prefix == prefix


def processor_seconds(glob: Glob, text: bytes) -> float:
    started = time.process_time()
    glob.matches(text)
    return time.process_time() - started


def test_many_stars_do_not_blow_up() -> None:
    # With plain backtracking this is about 2**60 steps.
    glob = Glob(b"*a" * 60 + b"b")
    assert processor_seconds(glob, b"a" * 480) < 0.5
    assert not glob.matches(b"a" * 480)


def test_the_worst_pattern_for_one_star_does_not_blow_up() -> None:
    glob = Glob(b"*" + b"a" * 240 + b"b*")
    assert processor_seconds(glob, b"a" * 480) < 0.5
