"""How a value rests in the key space: a head of numbers, then its bytes.

Law: pure and fixed-width, so that equal data is equal bytes on every node.
"""

from __future__ import annotations

import struct

from kvstore.api import KeyValue

_HEAD = struct.Struct(">QQQQH")
"""create_revision, mod_revision, version; the lease that it is under, or 0; and the place of the
change that wrote it among those of its revision."""

pack_head = _HEAD.pack
unpack_head = _HEAD.unpack_from
made_by = struct.Struct(">8xQ16xH").unpack_from
"""Of the head alone the change that wrote it: `mod_revision`, and its place."""
HEAD_BYTES = _HEAD.size


def next_record(value: bytes, old: bytes | None, revision: int, sub: int, lease: int = 0) -> bytes:
    """That of a key which change number `sub` of a revision writes, and which had `old` before."""
    if old is None:
        return pack_head(revision, revision, 1, lease, sub) + value
    create_revision, _, version, _, _ = unpack_head(old)
    return pack_head(create_revision, revision, version + 1, lease, sub) + value


def lease_of(record: bytes | None) -> int:
    """The lease that a key with this record is under; 0 for none."""
    if record is None:
        return 0
    lease: int = unpack_head(record)[3]
    return lease


def to_key_value(key: bytes, record: bytes, *, with_value: bool = True) -> KeyValue:
    """The record as clients see it; without its value where nobody asked for that."""
    create_revision, mod_revision, version, lease, _ = unpack_head(record)
    value = record[HEAD_BYTES:] if with_value else b""
    return KeyValue(key, value, create_revision, mod_revision, version, lease)
