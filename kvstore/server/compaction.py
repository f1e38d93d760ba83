"""How far a node drops its log: what it can spare, a little in each turn.

Law: nothing goes whose effect the last checkpoint has not made durable. At least so many bytes
stay as are to be kept, for followers that lag a little. What somebody is sent stays as well, up
to a bound in bytes: who needs what is beyond it gets a snapshot. Each node decides for itself,
and no other needs to know.
"""

from __future__ import annotations

from typing import Final

from kvstore.config.settings import Settings
from kvstore.raft.core import Raft
from kvstore.raft.events import Compacting, Event
from kvstore.server.room import Room
from kvstore.storage.base import LogStore, StateStore

RUNS_PER_TURN: Final = 8
"""Of the log store: some 2,000 small entries, which take some 2 ms to remove."""
HELD_PER_KEPT: Final = 4
"""So many times what is kept is held for those who are sent it."""


class Compaction:
    """That of one node."""

    def __init__(
        self,
        raft: Raft,
        log_store: LogStore,
        state_store: StateStore,
        room: Room,
        settings: Settings,
    ) -> None:
        self._raft = raft
        self._log_store = log_store
        self._state_store = state_store
        self._room = room
        self._headroom_bytes = settings.limits.headroom_bytes
        self._kept_bytes = settings.log_kept_bytes
        self._held_bytes = max(HELD_PER_KEPT * self._kept_bytes, settings.limits.held_log_bytes_min)
        self._has_told = False

    def tick(self) -> list[Event]:
        """Drop what this turn may; what to say of it, the first time."""
        if self._log_store.sizes.total_bytes <= self._kept_bytes:
            return []
        index = self._spare_index or self._withheld_index
        if not index or not self._has_room:
            return []
        self._raft.compact(index)
        if self._has_told:
            return []
        self._has_told = True
        return [Compacting(self._raft.current_term, index + 1, self._kept_bytes)]

    @property
    def _spare_index(self) -> int:
        """Up to here nobody needs it; 0 for none of it."""
        return self._droppable(self._raft.droppable_index, self._kept_bytes)

    @property
    def _withheld_index(self) -> int:
        """Up to here it goes though somebody is sent it; 0 for none of it."""
        if self._is_short:
            held_bytes = self._kept_bytes
        elif self._log_store.sizes.total_bytes <= self._held_bytes:
            return 0
        else:
            held_bytes = max(self._held_bytes, self._snapshot_bytes)
        return self._droppable(self._raft.compactable_index, held_bytes)

    @property
    def _snapshot_bytes(self) -> int:
        """What a snapshot comes to: of no less log can be told that it is too long to be sent.

        Who fetches one while others write needs what is written meanwhile, and can ever keep up
        only if that is less.
        """
        source = self._raft.sending.source
        sent_bytes = 0 if source is None else source.name.size_bytes
        return max(sent_bytes, self._state_store.data_bytes())

    def _droppable(self, last_index: int, bytes_min: int) -> int:
        durable_index = min(last_index, self._state_store.applied().last_applied)
        index = self._log_store.sizes.droppable(durable_index, bytes_min, RUNS_PER_TURN)
        return index if index is not None and index > self._raft.log.start.index else 0

    @property
    def _is_short(self) -> bool:
        """Whether clients are refused what the log's front would have room for."""
        return self._room.is_short and self._log_store.room_bytes() < self._headroom_bytes

    @property
    def _has_room(self) -> bool:
        """Whether anything is left but for votes and truncations, as no write is for nothing."""
        return self._log_store.room_bytes() > self._log_store.truncation_bytes
