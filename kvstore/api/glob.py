"""Glob patterns as Redis has them: `*`, `?`, `[a-c]`, `[^a]`, and `\\` before a literal.

Law: matching costs at most len(pattern) x len(text) steps, whatever the pattern.
A pattern becomes a regular expression without backtracking: what stands between
two stars has a fixed length, so its first place is as good as any later one, and
an atomic group keeps to it. Compiling costs in proportion to the pattern, and
patterns are short.
"""

from __future__ import annotations

import functools
import re
from typing import Final

PATTERN_BYTES_MAX: Final = 512
"""Longest pattern: a little more than the longest key. To compile it takes about 10 ms."""
COMPILE_STEPS: Final = 30
"""For each byte of a pattern, in steps of about a microsecond."""
_COMPILED_KEPT: Final = 64

_TOKEN: Final = re.compile(
    rb"(?P<stars>\*+)|(?P<any>\?)|\[(?P<negated>\^?)(?P<set>(?:\\.|[^\]\\]-.|[^\]])*+)(?P<end>\]?)"
    rb"|\\(?P<escaped>.)|(?P<literal>.)",
    re.DOTALL,
)
_SET_ITEM: Final = re.compile(rb"\\(?P<escaped>.)|(?P<low>.)-(?P<high>.)|(?P<byte>.)", re.DOTALL)


class Glob:
    """A compiled pattern.

    * `literal_prefix`: the bytes with which every match begins.
    * Matching a text takes at most `width` steps for each of its bytes.
    """

    def __init__(self, pattern: bytes) -> None:
        prefix = bytearray()
        is_literal = True
        runs = [b""]
        self.width = len(pattern)
        for token in _TOKEN.finditer(pattern):
            literal = token["literal"] or token["escaped"]
            is_literal = is_literal and literal is not None
            if is_literal:
                prefix += literal
            if token["stars"]:
                runs.append(b"")
            else:
                runs[-1] += _translate(token)
        self.literal_prefix = bytes(prefix)
        self._matches = re.compile(_join(runs), re.DOTALL).fullmatch

    def matches(self, text: bytes) -> bool:
        """Whether the whole text fits."""
        return self._matches(text) is not None


@functools.lru_cache(_COMPILED_KEPT)
def compiled(pattern: bytes) -> Glob:
    """The pattern, compiled once while it is in use."""
    return Glob(pattern)


def _join(runs: list[bytes]) -> bytes:
    """The expression of the runs between the stars."""
    first, *others = runs
    if not others:
        return first
    *middle, last = others
    return first + b"".join(b"(?>.*?%b)" % run for run in middle if run) + b".*" + last


def _translate(token: re.Match[bytes]) -> bytes:
    """One byte of text, as a regular expression."""
    literal = token["literal"] or token["escaped"]
    if literal is not None:
        return re.escape(literal)
    if token["any"]:
        return b"."
    ranges = b"".join(_range(item) for item in _SET_ITEM.finditer(token["set"]))
    if not ranges:
        return b"." if token["negated"] else b"(?!)"
    return b"[%b%b]" % (token["negated"], ranges)


def _range(item: re.Match[bytes]) -> bytes:
    """The bytes from one to another, whichever is the smaller."""
    byte = item["escaped"] or item["byte"]
    ends = (byte[0], byte[0]) if byte else (item["low"][0], item["high"][0])
    return b"\\x%02x-\\x%02x" % (min(ends), max(ends))
