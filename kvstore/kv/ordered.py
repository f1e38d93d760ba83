"""Keys as they stand where something follows them, in a table whose keys are short.

Law: the order of the codes is the order of the keys, and no code is a beginning of another
one: so whatever follows a code is sorted by key first, and all that follows it stands together.

It must not know what follows.
"""

from __future__ import annotations

from typing import Final

from kvstore.api import KEY_BYTES_MAX

_GROUPS: Final = (24, 48, 96, 156, 156)
"""Bytes of a key go into these, in order; most keys are short, and take one."""
_MORE: Final = 0xFF
"""Behind a group that is full and not the last; behind the last one stands how full it is."""

assert sum(_GROUPS) == KEY_BYTES_MAX
assert max(_GROUPS) < _MORE

CODE_BYTES_MAX: Final = KEY_BYTES_MAX + len(_GROUPS)


def encode(key: bytes) -> bytes:
    """The code of a key."""
    length, group_bytes = len(key), _GROUPS[0]
    if length <= group_bytes:
        return key.ljust(group_bytes, b"\0") + bytes((length,))
    assert length <= KEY_BYTES_MAX
    code, start = bytearray(), 0
    for group_bytes in _GROUPS:
        left = length - start
        code += key[start : start + group_bytes].ljust(group_bytes, b"\0")
        if left <= group_bytes:
            code.append(left)
            break
        code.append(_MORE)
        start += group_bytes
    return bytes(code)


def split(coded: bytes) -> tuple[bytes, bytes]:
    """The key that `coded` begins with the code of, and what follows that."""
    key, start = b"", 0
    for group_bytes in _GROUPS:
        end = start + group_bytes
        filled = coded[end]
        if filled != _MORE:
            return key + coded[start : start + filled], coded[end + 1 :]
        key += coded[start:end]
        start = end + 1
    raise ValueError(f"no code of a key: {coded.hex()}")
