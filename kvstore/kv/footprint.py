"""How much a command changes in the data, at most, as known before it is applied.

Law: never too little, if the data are then as they are now: whatever guards and conditions
hold, and sessions end. Nothing is changed to know it. It must not know what a change costs.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.history import INDEX_ROW_BYTES, OLD_BYTES_MAX, ROW_BYTES
from kvstore.kv.keyspace import Keyspace, rows_dropped
from kvstore.kv.leases import END_BYTES, LEASE_BYTES, TIMES_BYTES
from kvstore.kv.record import HEAD_BYTES
from kvstore.kv.sessions import EXPIRED_AT_ONCE
from kvstore.kv.view import Footprint, TableFootprint

_SESSION_BYTES: Final = 128
"""A session's key and record, without the answer that is kept."""
RECORD_BYTES_MAX: Final = (4 << 20) + HEAD_BYTES
"""The longest of all: no value may be longer, whatever a node is told."""

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


def footprint(logged: api.Logged, rules: api.SessionRules, keyspace: Keyspace) -> Footprint:
    """That of an entry's command."""
    command = logged.command if isinstance(logged, api.Stamped) else logged
    row = api.COMMAND_ROW_OF[type(command)]
    extent = row.extent(command)
    put_bytes = extent.put_bytes + HEAD_BYTES * extent.puts
    keys = TableFootprint(extent.puts, put_bytes, extent.deletes)
    changed = {**_of_the_past(extent, keyspace), **_of_leases(extent)}
    if not row.changes_sessions:
        return Footprint(keys=keys, **changed)
    session_bytes = _SESSION_BYTES + rules.result_bytes_max
    # The oldest one makes place for a new one only where none was expired: it is no further one.
    sessions = TableFootprint(1, session_bytes, EXPIRED_AT_ONCE)
    return Footprint(keys=keys, sessions=sessions, **changed)


def _of_the_past(extent: api.Extent, keyspace: Keyspace) -> dict[str, TableFootprint]:
    """What is replaced is kept; and so will be what is put, once something replaces that."""
    changes = extent.puts + extent.deletes
    if not changes:
        return {}
    if extent.keys:
        replaced = [len(keyspace.get(key) or b"") for key in {*extent.keys}]
        old_bytes = min(sum(replaced), OLD_BYTES_MAX + max(replaced))
        key_bytes = sum(map(len, extent.keys))
    else:
        old_bytes = min(changes * RECORD_BYTES_MAX, OLD_BYTES_MAX + RECORD_BYTES_MAX)
        key_bytes = changes * api.KEY_BYTES_MAX
    put_bytes = extent.put_bytes + HEAD_BYTES * extent.puts
    bytes_ = changes * ROW_BYTES + key_bytes + old_bytes + put_bytes
    index_bytes = changes * INDEX_ROW_BYTES
    added_bytes = bytes_ + index_bytes
    dropped = rows_dropped(changes, added_bytes) if keyspace.may_drop(added_bytes) else 0
    return {
        "history": TableFootprint(changes, bytes_, dropped),
        "index": TableFootprint(changes, index_bytes, dropped),
    }


def _of_leases(extent: api.Extent) -> dict[str, TableFootprint]:
    """Each key may be under a lease, and come under another one; and a lease's time changes."""
    changed, leases = extent.puts + extent.deletes, extent.leases
    found = {
        "attached": TableFootprint(
            extent.puts, LEASE_BYTES * extent.puts + extent.put_bytes, changed
        )
    }
    if leases:
        found["ends"] = TableFootprint(leases, END_BYTES * leases, leases)
        found["leases"] = TableFootprint(leases, TIMES_BYTES * leases, leases)
    return found
