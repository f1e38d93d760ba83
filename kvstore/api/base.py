"""What all of the contract is made of: its bounds, and how a struct looks on the wire.

Law: field order is part of the format. A bound here holds for every request of every client.

It must not know any request.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Meta

KEY_BYTES_MAX: Final = 480
"""Longest key, in bytes. LMDB stops at 511; the rest is kept for prefixes of the storage."""
KEYS_MAX: Final = 4_096
"""Most keys that one request may read or write: each costs every node some microseconds."""

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
