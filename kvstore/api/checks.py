"""Bounds that several requests have in common.

Law: a refusal says which bound was broken and by what, and changes nothing.

It must not know any one request.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from kvstore.api.base import KEY_BYTES_MAX, REVISION_MAX, Guard
from kvstore.api.row import Bounds


class OfKeys(Protocol):
    """A request that names keys, and does the same with each."""

    @property
    def keys(self) -> tuple[bytes, ...]: ...


def check_guard(guard: Guard) -> str | None:
    """A guard's key and revision."""
    if not 0 <= guard.mod_revision <= REVISION_MAX:
        return f"a guard's revision is 0 to {REVISION_MAX}, not {guard.mod_revision}"
    complaint = check_key(guard.key)
    return complaint and f"the guard's {complaint}"


def check_key(key: bytes) -> str | None:
    """One key, or a part of one."""
    if len(key) > KEY_BYTES_MAX:
        return f"key has {len(key)} bytes, the limit is {KEY_BYTES_MAX}"
    return None


def check_keys(request: OfKeys, bounds: Bounds) -> str | None:
    """All keys of a request."""
    keys = request.keys
    return check_count(keys, bounds) or check_key(max(keys, key=len, default=b""))


def check_count(keys: Sized, bounds: Bounds) -> str | None:
    """How many there are."""
    if len(keys) > bounds.request_keys_max:
        return f"too many keys, the limit is {bounds.request_keys_max}; ask for fewer at once"
    return None


def check_value(value: bytes, bounds: Bounds) -> str | None:
    """One value."""
    if len(value) > bounds.value_bytes_max:
        return f"value has {len(value)} bytes, the limit is {bounds.value_bytes_max}"
    return None
