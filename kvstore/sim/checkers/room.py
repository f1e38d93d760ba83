"""A full disk is refused before the append.

Law: once a node was told that its disk has no room left, no write but the one of that
same turn brings client commands to it. Votes, truncations and no-ops go on.
"""

from __future__ import annotations

from kvstore.raft.types import DurableUpdate, EntryKind
from kvstore.sim.checkers.checker import Checker, Watched


class Room(Checker):
    """Looks at what is written to disks without room."""

    theorem = "a full disk takes no commands"

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        commands = [entry for entry in update.entries if entry.kind is EntryKind.COMMAND]
        self.require(
            not commands or host.disk.log.writes_without_room <= 1,
            f"node {host.id} writes {len(commands)} commands to a disk that has no room",
        )
