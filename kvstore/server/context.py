"""What the connections of one server share.

Law: plain state, and no rule of its own: who goes on is for `load`, who is let in or hung up on
for `doorkeeper`, what the node does for `node`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.complaints import Complaints
from kvstore.server.doorkeeper import Doorkeeper
from kvstore.server.envelope import reply_of
from kvstore.server.load import Load
from kvstore.server.node import Node
from kvstore.server.node_status import status_of
from kvstore.server.router import answer_of
from kvstore.server.scan_cursors import ScanCursors
from kvstore.server.traffic import Traffic


class Sender(Protocol):
    """Somebody to whom replies go."""

    def send_ready_replies(self) -> None:
        """The turn ends: hand over every reply that no earlier request holds back."""
        ...


class Context:
    """The server as its connections see it."""

    def __init__(
        self,
        settings: Settings,
        node: Node,
        acquaintances: Acquaintances,
        log: FilteringBoundLogger,
        descriptors_max: int,
    ) -> None:
        """`descriptors_max`: how many this process may have open."""
        self.settings = settings
        self.node = node
        self.reach = node.reach
        self.links: Callable[[], Mapping[int, str]] = dict
        """Per peer, why there is no link to it; "" if there is."""
        self.acquaintances = acquaintances
        self.log = log
        self.envelope: Callable[[api.Result], api.Reply] = partial(reply_of, node)
        self.cursors = ScanCursors(settings.limits.scan_cursors_max)
        self.roster = node.roster
        self.refused: dict[int, str] = {}
        """Peers whose directory was refused when they came last, and why."""
        self.complaints = Complaints()
        self.load = Load(settings.limits)
        self.doorkeeper = Doorkeeper(
            settings.limits, lambda: len(self.roster.peers), self.load, log, descriptors_max
        )
        self.dirty: dict[Sender, None] = {}
        """Who has replies to send at the end of the turn."""
        self.now_ms = 0.0
        """When this turn began."""
        self.numbers = count(1)
        """Of connections."""
        self.commands_processed = 0
        self.traffic = Traffic()

    @property
    def leads(self) -> bool:
        """Whether this node leads, as far as it knows."""
        raft = self.node.raft
        return raft.leader_id == raft.id

    def answer(self, query: api.Query | api.NodeQuery) -> api.Result:
        """What this node has applied by now, what it says of itself, or a piece of a backup."""
        if isinstance(query, api.Status):
            return self.status()
        return answer_of(self.node, query)

    @property
    def is_input_full(self) -> bool:
        """Whether unfinished requests hold more than they may."""
        return self.load.is_input_full

    @property
    def is_output_full(self) -> bool:
        """Whether a reply that is not short must be refused."""
        return self.load.is_output_full

    def status(self) -> api.StatusResult:
        """This node, and what it has of its peers."""
        return status_of(self.node, self.links(), self.doorkeeper.linked, self.refused)

    def tick(self, now_ms: float) -> None:
        """It is `now_ms` for all of it."""
        self.now_ms = self.load.now_ms = now_ms
        self.load.watch_bytes = self.node.watches.held_bytes
        self.traffic.tick(now_ms, self.commands_processed)
        self.doorkeeper.keep_links_of(self.roster.peers)
        self.doorkeeper.tick(now_ms)
