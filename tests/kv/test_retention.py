"""How much of history is kept, whatever comes after what."""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied, Past
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState


def test_history_keeps_its_bound_also_where_long_values_follow_short_ones() -> None:
    applied = Applied(past=Past(keep_bytes=100_000))
    state = MemoryState(Identity(0, "retention", 1, ""), applied)
    machine = StateMachine(state, applied, 1 << 20, api.SessionRules())
    long_value = bytes(20_000)
    for index in range(1, 4_001):
        put = api.Put(b"k%d" % (index % 5), b"" if index < 3_900 else long_value)
        machine.apply(index, msgspec.msgpack.encode(put))
        assert machine.applied.past.bytes <= 100_000 + 2 * len(long_value)
