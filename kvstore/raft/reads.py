"""Reads that need no log entry: when may a leader answer, and as of which index.

Law: a leader answers a read as of its commit index when the read arrived, at least
as of its own no-op, and not before that no-op is committed (Raft §8: until then it
does not know what is). This is the one place where a further condition on reads,
such as confirmation by a quorum, would stand.
"""

from __future__ import annotations

import msgspec


class ReadReady(msgspec.Struct, frozen=True, gc=False):
    """The read may be answered once `index` is applied."""

    read_id: int
    index: int


class PendingReads:
    """Reads of a leader that wait for permission, in the order they came."""

    def __init__(self) -> None:
        self._waiting: list[ReadReady] = []

    def add(self, read_id: int, index: int) -> None:
        """A read has arrived, to be answered as of `index`."""
        self._waiting.append(ReadReady(read_id, index))

    def release(self) -> list[ReadReady]:
        """The leader may answer: every waiting read goes on."""
        ready, self._waiting = self._waiting, []
        return ready

    def abandon(self) -> None:
        """Leadership ended: the waiting reads have no answer from here."""
        self._waiting.clear()

    def __bool__(self) -> bool:
        return bool(self._waiting)
