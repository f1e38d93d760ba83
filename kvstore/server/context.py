"""What every session of one server shares.

Law: plain state, no behaviour of its own beyond keeping itself bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Final

from structlog.typing import FilteringBoundLogger

from kvstore.config import Settings
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.load import Load
from kvstore.server.node import Node

if TYPE_CHECKING:
    from kvstore.server.session import Session


_NEWCOMER_MS: Final = 2_000.0
_DESCRIPTORS_KEPT: Final = 96
"""For files, peers both ways, newcomers, and whoever is turned away."""


class ScanCursors:
    """Where each SCAN goes on: Redis cursors are integers, our keys are ordered bytes.

    * Bounded: the cursor that was given out longest ago is forgotten first.
    * A cursor stays valid when it is used, as a client may repeat a call.
    """

    def __init__(self, cursors_max: int) -> None:
        self._cursors_max = cursors_max
        self._start_keys: OrderedDict[int, bytes] = OrderedDict()
        self._numbers = count(1)

    def remember(self, start_key: bytes) -> int:
        """A new cursor that goes on at `start_key`."""
        cursor = next(self._numbers)
        self._start_keys[cursor] = start_key
        if len(self._start_keys) > self._cursors_max:
            self._start_keys.popitem(last=False)
        return cursor

    def start_key(self, cursor: int) -> bytes | None:
        """Where `cursor` goes on; cursor 0 is the start, None an unknown one."""
        return b"" if cursor == 0 else self._start_keys.get(cursor)


class Context:
    """The server as its sessions see it."""

    def __init__(
        self,
        settings: Settings,
        node: Node,
        acquaintances: Acquaintances,
        log: FilteringBoundLogger,
        descriptors_max: int,
    ) -> None:
        """`descriptors_max`: how many this process may have open."""
        connections_max = settings.limits.connections_max
        self._connections_max = max(1, min(connections_max, descriptors_max - _DESCRIPTORS_KEPT))
        self._newcomers_until_ms = 0.0
        self._silent_newcomers: set[Session] = set()
        self.settings = settings
        self.node = node
        self.acquaintances = acquaintances
        self.log = log
        self.cursors = ScanCursors(settings.limits.scan_cursors_max)
        self.peer_ids = frozenset(settings.members) - {settings.node_id}
        self.sessions: dict[Session, None] = {}
        """Open connections, in the order of their arrival."""
        self.newcomers: dict[Session, None] = {}
        """Those that came when there was no room for clients, and have not said hello yet."""
        self.load = Load(settings.limits)
        self.dirty: dict[Session, None] = {}
        """Sessions with replies to send at the end of the turn."""
        self.session_numbers = count(1)
        self.commands_processed = 0

    def hang_up_on_peer(self, node_id: int) -> None:
        """Let go of a peer's earlier links: what waits in them came from an earlier start."""
        for session in [session for session in self.sessions if session.peer == node_id]:
            session.close()

    def has_room(self) -> bool:
        """Whether another client may come in."""
        peers = len(self.peer_ids) + len(self.newcomers)
        return len(self.sessions) - peers < self._connections_max

    def has_room_for_newcomers(self) -> bool:
        """Whether a connection may come in that is perhaps a peer's."""
        return len(self.newcomers) < self.settings.limits.newcomers_max

    def tick(self, now_ms: float) -> None:
        """Hang up on who keeps room from others: silent newcomers, and who does not read."""
        if now_ms >= self._newcomers_until_ms:
            for session in self._silent_newcomers & self.newcomers.keys():
                session.close()
            self._silent_newcomers = {*self.newcomers}
            self._newcomers_until_ms = now_ms + _NEWCOMER_MS
        if self.load.is_output_full:
            slowest = max(self.sessions, key=lambda one: one.unsent_bytes, default=None)
            if slowest is not None and slowest.unsent_bytes:
                self.log.warning(
                    f"hung up on a client that does not read {slowest.unsent_bytes} bytes, "
                    "as there is no room for the replies of others"
                )
                slowest.close()
