"""What the connections of one server share.

Law: plain state, no behaviour of its own beyond keeping itself bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.envelope import reply_of
from kvstore.server.load import Load
from kvstore.server.node import Node
from kvstore.server.node_status import status_of
from kvstore.server.scan_cursors import ScanCursors
from kvstore.server.stream import Stream
from kvstore.server.traffic import Traffic
from kvstore.server.view import Listed

_NEWCOMER_MS: Final = 2_000.0
_STUCK_MS: Final = 10_000.0
"""Who holds replies and takes nothing for so long, while memory is short, is hung up on."""
_LINGER_MS: Final = 5_000.0
_PROGRESS_MS: Final = 500.0
_DESCRIPTORS_KEPT: Final = 96
"""For files, peers both ways, newcomers, and whoever is turned away."""


class Closable(Protocol):
    """Somebody who is connected."""

    def close(self) -> None:
        """Hang up now."""
        ...


class Sender(Protocol):
    """Somebody to whom replies go."""

    def send_ready_replies(self) -> None:
        """The turn ends: hand over every reply that no earlier request holds back."""
        ...


class Member(Listed, Closable, Protocol):
    """A client, or who came when there were enough."""

    @property
    def unsent_bytes(self) -> int:
        """Replies that the client has not read, nor its system for it."""
        ...

    def stuck_ms(self, now_ms: float) -> float:
        """For how long the client has taken nothing of these, as far as seen."""
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
        connections_max = settings.limits.connections_max
        self.clients_max = max(1, min(connections_max, descriptors_max - _DESCRIPTORS_KEPT))
        self._newcomers_until_ms = self._progress_ms = 0.0
        self._silent_newcomers: set[Member] = set()
        self.settings = settings
        self.node = node
        self.links: Callable[[], Mapping[int, str]] = dict
        """Per peer, why there is no link to it; "" if there is."""
        self.acquaintances = acquaintances
        self.log = log
        self.envelope: Callable[[api.Result], api.Reply] = partial(reply_of, node)
        self.cursors = ScanCursors(settings.limits.scan_cursors_max)
        self.peer_ids = frozenset(settings.members) - {settings.node_id}
        self.connections: dict[int, Member] = {}
        """Those of clients and newcomers, by their numbers, in the order of their arrival."""
        self.linked: dict[int, Closable] = {}
        """The links of peers that have said hello: one of each."""
        self.refused: dict[int, str] = {}
        """Peers whose directory was refused when they came last, and why."""
        self.newcomers: dict[Member, None] = {}
        """Those that came when there were clients enough, and have not said hello yet."""
        self.lingering: dict[Closable, float] = {}
        """Who was told all, and is read until he hangs up, since when; in order of time."""
        self.load = Load(settings.limits)
        self.dirty: dict[Sender, None] = {}
        """Who has replies to send at the end of the turn."""
        self.now_ms = 0.0
        """When this turn began."""
        self.numbers = count(1)
        """Of connections."""
        self.commands_processed = 0
        self.traffic = Traffic()

    @property
    def clients(self) -> dict[int, Listed]:
        """Who is connected and no peer, by number; nor has come when there were enough."""
        newcomers = self.newcomers
        return {n: member for n, member in self.connections.items() if member not in newcomers}

    def client(self, number: int) -> Listed:
        """One of these."""
        return self.connections[number]

    @property
    def clients_count(self) -> int:
        """How many these are, at no cost."""
        return len(self.connections) - len(self.newcomers)

    @property
    def connections_count(self) -> int:
        """How many are connected, peers and newcomers too."""
        return len(self.connections) + len(self.linked)

    @property
    def leads(self) -> bool:
        """Whether this node leads, as far as it knows."""
        raft = self.node.raft
        return raft.leader_id == raft.id

    @property
    def leader_in_reach(self) -> int | None:
        """Who leads, if there is a link to it."""
        return self.node.leader_in_reach

    @property
    def reaches_majority(self) -> bool:
        """Whether it has links to so many that one of them may lead, and commit."""
        return self.node.reaches_majority

    def answer(self, query: api.Query | api.Status) -> api.Result:
        """What this node has applied by now, or what it says of itself."""
        return self.status() if isinstance(query, api.Status) else self.node.answer(query)

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
        return status_of(self.node, self.links(), self.linked, self.refused)

    def link(self, node_id: int, link: Closable) -> None:
        """A peer has said hello. What waits in its earlier link came from an earlier start."""
        if (earlier := self.linked.get(node_id)) is not None:
            earlier.close()
        self.linked[node_id] = link

    def unlink(self, node_id: int, link: Closable) -> None:
        """This link of the peer is gone."""
        if self.linked.get(node_id) is link:
            del self.linked[node_id]

    def linger(self, member: Closable, stream: Stream) -> None:
        """All is sent that will be: give the other side its time to see that, and hang up."""
        if member not in self.lingering:
            stream.stop_writing()
            self.lingering[member] = self.now_ms

    def takes_clients(self) -> bool:
        """Whether another client may come in."""
        peers = len(self.peer_ids) + len(self.newcomers)
        return self.connections_count - peers < self.clients_max

    def takes_newcomers(self) -> bool:
        """Whether a connection may come in that is perhaps a peer's."""
        return len(self.newcomers) < self.settings.limits.newcomers_max

    def tick(self, now_ms: float) -> None:
        """Hang up on who keeps others out: silent newcomers, and who does not read."""
        self.now_ms = self.load.now_ms = now_ms
        self.traffic.tick(now_ms, self.commands_processed)
        for lingerer, since_ms in [*self.lingering.items()]:
            if since_ms + _LINGER_MS > now_ms:
                break
            lingerer.close()
        if now_ms >= self._newcomers_until_ms:
            for member in self._silent_newcomers & self.newcomers.keys():
                member.close()
            self._silent_newcomers = {*self.newcomers}
            self._newcomers_until_ms = now_ms + _NEWCOMER_MS
        if self.load.is_output_short and now_ms >= self._progress_ms:
            self._progress_ms = now_ms + _PROGRESS_MS
            self._hang_up_on_stuck(now_ms)

    def _hang_up_on_stuck(self, now_ms: float) -> None:
        """Who reads slowly may take its time; who reads nothing, only while memory is not short."""
        for member in [*self.connections.values()]:
            stuck_ms = member.stuck_ms(now_ms)
            if stuck_ms >= _STUCK_MS:
                self.log.warning(
                    f"hung up on a client that did not read {member.unsent_bytes} bytes for "
                    f"{stuck_ms / 1000:.0f} s, as there is little memory for the replies of others",
                    code="client_stuck",
                )
                member.close()
