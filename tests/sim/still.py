"""Reads, held against a log of which it matters only what was there in the end."""

from __future__ import annotations

from collections.abc import Mapping

from kvstore import api
from kvstore.sim.checkers.replay import Change
from kvstore.sim.checkers.serializability import check_serializability
from kvstore.sim.history import Operation
from kvstore.sim.indexed import Indexed

_CHANGES = Indexed(0, [Change(api.Increment(b"n", number), 1) for number in range(10)])
_ASKED = [Operation(0, 0.0, 0.0, change.write, None) for change in _CHANGES]


class _StillLog:
    """After each of its changes the same was there."""

    made_by = _CHANGES

    def __init__(self, there: Mapping[bytes, api.KeyValue]) -> None:
        self._there = there

    def record(self, key: bytes, revision: int) -> api.KeyValue | None:
        return self._there.get(key)

    def contents(self, revision: int) -> Mapping[bytes, api.KeyValue]:
        return self._there


def judged(there: Mapping[bytes, api.KeyValue], *reads: Operation) -> list[str]:
    """Findings about reads of what was there all the time."""
    return check_serializability([*_ASKED, *reads], _StillLog(there))
