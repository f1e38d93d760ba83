"""No node ends for want of room.

Law: whatever clients ask, and however little is left on whichever disks, a node writes
only what fits; what it cannot take it refuses, or leaves to wait.
"""

from __future__ import annotations

from kvstore.errors import StorageError
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.disk import NoRoomError


class Room(Checker):
    """Looks at why nodes end."""

    theorem = "no node ends for want of room"

    def ended(self, host: Watched, error: StorageError) -> None:
        if isinstance(error, NoRoomError):
            self.fail(f"node {host.id} ends: {error}")
