"""How far a node drops its log: what it can spare, a little in each turn.

Law: nothing goes whose effect the last checkpoint has not made durable, nor what somebody is
sent. At least so many bytes stay as are to be kept, for followers that lag a little. Each
node decides for itself, and no other needs to know.
"""

from __future__ import annotations

from typing import Final

from kvstore.raft.core import Raft
from kvstore.raft.events import Compacting, Event
from kvstore.storage.base import LogStore, StateStore

RUNS_PER_TURN: Final = 8
"""Of the log store: some 2,000 small entries, which take some 2 ms to remove."""


class Compaction:
    """That of one node."""

    def __init__(
        self, raft: Raft, log_store: LogStore, state_store: StateStore, kept_bytes: int
    ) -> None:
        self._raft = raft
        self._log_store = log_store
        self._state_store = state_store
        self._kept_bytes = kept_bytes
        self._has_told = False

    def tick(self) -> list[Event]:
        """Drop what this turn may; what to say of it, the first time."""
        sizes, raft = self._log_store.sizes, self._raft
        if sizes.total_bytes <= self._kept_bytes:
            return []
        last_index = min(raft.droppable_index, self._state_store.applied().last_applied)
        index = sizes.droppable(last_index, self._kept_bytes, RUNS_PER_TURN)
        if index is None or index <= raft.log.start.index or not self._has_room:
            return []
        raft.compact(index)
        if self._has_told:
            return []
        self._has_told = True
        return [Compacting(raft.current_term, index + 1, self._kept_bytes)]

    @property
    def _has_room(self) -> bool:
        """Whether anything is left but for votes and truncations, as no write is for nothing."""
        return self._log_store.room_bytes() > self._log_store.kept_bytes
