"""Which keys a request means that names a key, and perhaps where its range ends.

Law: the conventions are etcd's. A key alone is itself; with an end, all keys from it up to the
end, which is not among them; an end of one zero byte is no end.

It must not know any one request, nor what keys there are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FROM_KEY: Final = b"\0"
"""As the end of a range: all keys from its beginning on."""


class Interval(NamedTuple):
    """Keys from `start` on and before `end`; None is no end."""

    start: bytes
    end: bytes | None

    def has(self, key: bytes) -> bool:
        """Whether the key is one of these."""
        return self.start <= key and (self.end is None or key < self.end)


def interval(key: bytes, range_end: bytes | None) -> Interval:
    """What a request means that names these."""
    if range_end is None:
        return Interval(key, key + b"\0")
    return Interval(key, None if range_end == FROM_KEY else range_end)


def after_all_with(prefix: bytes) -> bytes | None:
    """The least key behind all that begin with `prefix`; None if there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None


def with_prefix(prefix: bytes) -> tuple[bytes, bytes]:
    """Beginning and end, as a request names them, of all keys that begin with `prefix`."""
    return prefix, after_all_with(prefix) or FROM_KEY
