"""How much room the disks and maps have left, and what a node may still take.

Law: a write is refused before it is proposed, never after it was appended. What others
have taken already is taken down to half of the headroom; below that only votes,
truncations and no-ops are written, for which the log has a reserve of its own.
"""

from __future__ import annotations

from kvstore.raft.events import Event, RoomIsBack, ShortOfRoom
from kvstore.storage.base import LogStore, StateStore


class Room:
    """What is left, as it was when somebody looked last, less what was taken since."""

    def __init__(
        self,
        log_store: LogStore,
        state_store: StateStore,
        headroom_bytes: int,
        interval_ms: float,
    ) -> None:
        self._log_store = log_store
        self._state_store = state_store
        self._headroom_bytes = headroom_bytes
        self._interval_ms = interval_ms
        self._next_ms = 0.0
        self._was_short = False
        self.changed_ms = 0.0
        """When it became short, or had enough again."""
        self.left_bytes = 0
        self._look()

    def tick(self, now_ms: float, term: int) -> Event | None:
        """Look again, once an interval; what to say when it becomes short, or is back."""
        if now_ms < self._next_ms:
            return None
        self._next_ms = now_ms + self._interval_ms
        self._look()
        if self.is_short == self._was_short:
            return None
        self._was_short, self.changed_ms = self.is_short, now_ms
        if self.is_short:
            return ShortOfRoom(term, self.left_bytes, self._headroom_bytes)
        return RoomIsBack(term, self.left_bytes)

    def _look(self) -> None:
        left_bytes = min(self._log_store.room_bytes(), self._state_store.room_bytes())
        self.left_bytes = max(0, left_bytes)

    def spend(self, entry_bytes: int) -> None:
        """An entry was proposed: it will stand in the log, and in the state."""
        self.left_bytes -= 2 * entry_bytes

    @property
    def is_short(self) -> bool:
        """Whether clients' writes must be refused."""
        return self.left_bytes < self._headroom_bytes

    @property
    def takes_entries(self) -> bool:
        """Whether entries that a leader took are taken."""
        return self.left_bytes >= self._headroom_bytes // 2

    @property
    def allows_checkpoint(self) -> bool:
        """Whether the state can be made durable; it can wait, as the log has it."""
        return self._state_store.room_bytes() > 0
