"""How much a command changes in the data, at most, as known before it is applied.

Law: pure, and never too little: whatever keys a command meets, guards and conditions
hold, and sessions end. It must not know what a change costs.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.record import HEAD_BYTES
from kvstore.kv.sessions import EXPIRED_AT_ONCE
from kvstore.kv.view import Footprint, TableFootprint

_SESSION_BYTES: Final = 128
"""A session's key and record, without the answer that is kept."""

_HEAD_BYTES: Final = 64
"""Of an entry's data, in which the tag of its write stands, however it is wrapped."""
_PUT_TAG: Final = msgspec.msgpack.encode(api.Put.__struct_config__.tag)
_WIDE_TAG: Final = re.compile(
    b"|".join(
        msgspec.msgpack.encode(row.request.__struct_config__.tag)
        for row in api.COMMAND_ROW_OF.values()
        if row.is_wide
    )
)


def is_wide(data: bytes) -> bool:
    """Whether an entry may change many keys that it does not name; sometimes of one that cannot."""
    is_plain_put = data.startswith(_PUT_TAG, 1)  # as most are, and looked at in less time
    return not is_plain_put and _WIDE_TAG.search(data, 0, _HEAD_BYTES) is not None


def footprint(logged: api.Logged, rules: api.SessionRules) -> Footprint:
    """That of an entry's command."""
    command = logged.command if isinstance(logged, api.Stamped) else logged
    row = api.COMMAND_ROW_OF[type(command)]
    extent = row.extent(command)
    put_bytes = extent.put_bytes + HEAD_BYTES * extent.puts
    keys = TableFootprint(extent.puts, put_bytes, extent.deletes)
    if not row.changes_sessions:
        return Footprint(keys=keys)
    session_bytes = _SESSION_BYTES + rules.result_bytes_max
    # The oldest one makes place for a new one only where none was expired: it is no further one.
    return Footprint(keys=keys, sessions=TableFootprint(1, session_bytes, EXPIRED_AT_ONCE))
