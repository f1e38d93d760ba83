"""What all of the contract is made of: its bounds, and how requests and results look on the wire.

Law: field order is part of the format. A bound here holds for every request of every client.

It must not know any one request.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Meta

KEY_BYTES_MAX: Final = 480
"""Longest key, in bytes. LMDB stops at 511; the rest is kept for prefixes of the storage."""
KEYS_MAX: Final = 4_096
"""Most keys that one request may read or write: each costs every node some microseconds."""
NODE_ID_MAX: Final = 65_535

REVISION_MAX: Final = (1 << 63) - 1
"""Largest revision, session and sequence number that a request may name."""

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 63) - 1
UP_TO_KEYS_MAX: Final = Meta(max_length=KEYS_MAX)
"""Checked before the keys are decoded, so that more of them cost nothing."""
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def parse_integer(text: bytes) -> int | None:
    """A signed 64-bit integer in the one decimal form that Redis accepts, None for all else."""
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if INTEGER_MIN <= number <= INTEGER_MAX else None


class Struct(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Immutable, and a plain array on the wire: field order is part of the format."""


class Guard(Struct, frozen=True):
    """A further condition of a write: the `mod_revision` that `key` must have, 0 for no key.

    It is checked when the write is applied. With the `mod_revision` of a lock's key it
    is a fencing token: once the lock has changed hands, nothing is written under it.
    """

    key: bytes
    mod_revision: int


class Request(Struct, frozen=True):
    """What a node can be asked for."""


class Write(Request, frozen=True, kw_only=True):
    """A change of data: it goes through the log, alone or under a session.

    `guard`, a condition beside the write's own, comes behind all its other fields.
    """

    guard: Guard | None = None


class Query(Request, frozen=True):
    """A look at the data of one node."""


class Result(Struct, frozen=True, forbid_unknown_fields=False):
    """What a request is answered. It may grow at its end: who did not ask for more ignores it."""


def union(types: Iterable[type]) -> Any:
    """One of these, as msgspec reads it."""
    return functools.reduce(operator.or_, types)
