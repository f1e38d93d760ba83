"""How much a leader takes upon itself, and when it has another node lead in its place.

Law: a leader takes no more writes than a majority keeps up with, and does not stay in the way of
one that can do better: one with room on its disk, or any, before it exits. What a client asks
for in so many words is for `waiting/handovers.py`.
"""

from __future__ import annotations

from kvstore.config.settings import Settings
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Raft
from kvstore.server.reach import Reach
from kvstore.server.room import Room
from kvstore.server.waiting.writes import WaitingWrites


class Leading:
    """What one node does about its own leadership, while it has it."""

    def __init__(
        self,
        settings: Settings,
        raft: Raft,
        machine: StateMachine,
        room: Room,
        reach: Reach,
        writes: WaitingWrites,
    ) -> None:
        self._settings = settings
        self._raft = raft
        self._machine = machine
        self._room = room
        self._reach = reach
        self._writes = writes

    @property
    def is_full(self) -> bool:
        """Whether too much waits for a majority: in the log, whoever still waits for it."""
        raft, limits = self._raft, self._settings.limits
        return (
            raft.log.last_index - raft.log.commit_index >= limits.pending_writes_max
            or raft.log.cached_bytes >= limits.pending_bytes_max
            # What earlier leaders took is counted only as it is applied.
            or (self._room.is_scarce and self._machine.last_applied < raft.log.last_term_start)
        )

    @property
    def is_filling(self) -> bool:
        """Whether clients that send much should go on a little later, or some would be refused."""
        raft, limits = self._raft, self._settings.limits
        return raft.takes_commands and raft.log.cached_bytes > limits.pending_bytes_max // 2

    def make_way_for_room(self, now_ms: float) -> None:
        """A leader that is short of room lets one lead that is not."""
        raft, room = self._raft, self._room
        if room.is_short and raft.takes_commands:
            # The others' disks may have filled up just now, too.
            since_ms = now_ms - self._settings.raft.election_timeout_min_ms
            heir = raft.roomier_follower(max(since_ms, room.changed_ms))
            if heir is not None:
                raft.hand_over(heir)

    def make_way_before_exit(self) -> bool:
        """Let another node lead, if this one does; whether one can.

        To be asked again while this node is needed: an heir may be gone, and another there.
        """
        return not self._raft.takes_commands or self._raft.hand_over() is not None

    @property
    def is_needed(self) -> bool:
        """Whether somebody still counts on a node that is to exit: an heir, or a writer."""
        has_writers = bool(self._writes.waiting)
        return self._raft.heir is not None or (has_writers and self._reach.has_majority)
