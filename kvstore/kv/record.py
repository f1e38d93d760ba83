"""How a value rests in the key space: its history numbers, then its bytes.

Law: pure and fixed-width, so that equal data is equal bytes on every node.
"""

from __future__ import annotations

import struct

from kvstore.api import KeyValue

_HISTORY = struct.Struct(">QQQ")
"""create_revision, mod_revision, version."""

pack_history = _HISTORY.pack
unpack_history = _HISTORY.unpack_from
HISTORY_BYTES = _HISTORY.size


def to_key_value(key: bytes, record: bytes, *, with_value: bool = True) -> KeyValue:
    """The record as clients see it; without its value where nobody asked for that."""
    create_revision, mod_revision, version = unpack_history(record)
    value = record[HISTORY_BYTES:] if with_value else b""
    return KeyValue(key, value, create_revision, mod_revision, version)
