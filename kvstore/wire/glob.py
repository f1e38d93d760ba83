"""Glob patterns as Redis has them: `*`, `?`, `[a-c]`, `[^a]`, and `\\` before a literal.

Law: matching costs at most len(pattern) x len(text) steps, whatever the pattern.
"""

from __future__ import annotations

from typing import Final

_ANY: Final = frozenset(range(256))
_STAR: Final[frozenset[int]] = frozenset()
"""Any run of bytes; no other token can be the empty set of bytes and match."""
_NEVER: Final = frozenset({-1})


class Glob:
    """A compiled pattern: one set of acceptable bytes per position, and stars."""

    def __init__(self, pattern: bytes) -> None:
        self._tokens = _compile(pattern)

    @property
    def literal_prefix(self) -> bytes:
        """The bytes with which every match begins."""
        prefix = bytearray()
        for token in self._tokens:
            if len(token) != 1 or token is _NEVER:
                break
            prefix += bytes(token)
        return bytes(prefix)

    def matches(self, text: bytes) -> bool:
        """Whether the whole text fits: greedy, going back only to the last star."""
        tokens = self._tokens
        at = position = 0
        star, resume = -1, 0
        while position < len(text):
            if at < len(tokens) and tokens[at] is _STAR:
                star, resume = at, position
                at += 1
            elif at < len(tokens) and text[position] in tokens[at]:
                at += 1
                position += 1
            elif star >= 0:
                resume += 1
                at, position = star + 1, resume
            else:
                return False
        return all(token is _STAR for token in tokens[at:])


def _compile(pattern: bytes) -> list[frozenset[int]]:
    tokens: list[frozenset[int]] = []
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        position += 1
        if byte == b"*":
            if not tokens or tokens[-1] is not _STAR:
                tokens.append(_STAR)
        elif byte == b"?":
            tokens.append(_ANY)
        elif byte == b"[":
            token, position = _compile_set(pattern, position)
            tokens.append(token)
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            tokens.append(frozenset(byte))
    return tokens


def _compile_set(pattern: bytes, position: int) -> tuple[frozenset[int], int]:
    """The set that opens before `position`, and where the pattern goes on after it."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    accepted: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            position += 1
        low = high = pattern[position]
        position += 1
        if pattern[position : position + 1] == b"-" and position + 1 < len(pattern):
            high = pattern[position + 1]
            position += 2
        accepted |= set(range(min(low, high), max(low, high) + 1))
    chosen = _ANY - accepted if negated else frozenset(accepted)
    return chosen or _NEVER, position + 1
