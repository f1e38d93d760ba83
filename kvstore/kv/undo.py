"""How a change rests in history: where, what it was of, and what the key was before.

Law: a row holds all that takes its change back, and equal changes are equal bytes.

    history   revision u64 | sub u16  ->  flags u8 | length of the key u16 | key | old record
    index     code of the key | revision u64  ->  sub u16

`sub` is the place of a change among those of its revision. A record names both of the change
that made it, so each leads to what was before it. It must not know which tables these are.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

Position = tuple[int, int]
"""Of a change: its revision, and its place among those of that."""

DELETION: Final = 1
"""The change removed the key."""
INDEXED: Final = 2
"""The change stands in the index as well."""
CUT: Final = 4
"""The old record was too much to be kept."""

_POSITION: Final = Struct(">QH")
_HEAD: Final = Struct(">BH")
HEAD_BYTES: Final = _HEAD.size

pack_position = _POSITION.pack
pack_revision = Struct(">Q").pack
pack_sub = Struct(">H").pack
POSITION_BYTES: Final = _POSITION.size
REVISION_BYTES: Final = 8
SUB_BYTES: Final = POSITION_BYTES - REVISION_BYTES


class Undo(NamedTuple):
    """A row of history; `old` is None if the key was absent, or if that was too much."""

    flags: int
    key: bytes
    old: bytes | None


def unpack_position(stored: bytes) -> Position:
    """Where the row stands that has this key."""
    revision, sub = _POSITION.unpack(stored)
    return revision, sub


def pack(flags: int, key: bytes, old: bytes) -> bytes:
    """A row; no record is as short as an absent one: that has no byte."""
    return _HEAD.pack(flags, len(key)) + key + old


def unpack(row: bytes) -> Undo:
    """What `pack` made."""
    flags, key_bytes = _HEAD.unpack_from(row)
    end = HEAD_BYTES + key_bytes
    return Undo(flags, row[HEAD_BYTES:end], row[end:] or None)


def indexed_key(row: bytes) -> bytes | None:
    """The key of a row that stands in the index, None of another one, whatever it holds else."""
    flags, key_bytes = _HEAD.unpack_from(row)
    return row[HEAD_BYTES : HEAD_BYTES + key_bytes] if flags & INDEXED else None
