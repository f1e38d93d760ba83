"""The doorkeeper: who is connected, who is let in, and who is hung up on, and why.

Law: nobody keeps others out for ever. Whoever holds a place or memory that others want, and
does nothing for it, is hung up on by a rule of this file: a newcomer that stays silent, who was
told all and does not go, who sends a long request or reads no replies while memory is short.
Who goes on, and when, is for `load.py`. It must not know languages, or Raft.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from kvstore.config.limits import Limits
from kvstore.server.load import SHORT_INPUT_BYTES, Load
from kvstore.server.stream import Stream
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


class Member(Listed, Closable, Protocol):
    """A client, or who came when there were enough."""

    @property
    def unsent_bytes(self) -> int:
        """Replies that the client has not read, nor its system for it."""
        ...

    def stuck_ms(self, now_ms: float) -> float:
        """For how long the client has taken nothing of these, as far as seen."""
        ...


class Doorkeeper:
    """Of one server.

    * Who is let in stays in `connections` until it leaves, or turns out to be a peer's link and
      is in `linked`; a newcomer is in `newcomers` too.
    """

    def __init__(
        self,
        limits: Limits,
        peers_count: Callable[[], int],
        load: Load,
        log: FilteringBoundLogger,
        descriptors_max: int,
    ) -> None:
        """How many peers there are now, and how many descriptors this process may have open."""
        self.clients_max = max(1, min(limits.connections_max, descriptors_max - _DESCRIPTORS_KEPT))
        self._newcomers_max = limits.newcomers_max
        self._peers_count = peers_count
        self._load = load
        self._log = log
        self.connections: dict[int, Member] = {}
        """Those of clients and newcomers, by their numbers, in the order of their arrival."""
        self.linked: dict[int, Closable] = {}
        """The links of peers that have said hello: one of each."""
        self.newcomers: dict[Member, None] = {}
        """Those that came when there were clients enough, and have not said hello yet."""
        self._silent_newcomers: set[Member] = set()
        self.lingering: dict[Closable, float] = {}
        """Who was told all, and is read until he hangs up, since when; in order of time."""
        self._now_ms = self._newcomers_until_ms = self._progress_ms = 0.0

    # --- Who is there ---------------------------------------------------------------------

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

    # --- Who is let in --------------------------------------------------------------------

    def takes_clients(self) -> bool:
        """Whether another client may come in."""
        peers = self._peers_count() + len(self.newcomers)
        return self.connections_count - peers < self.clients_max

    def takes_newcomers(self) -> bool:
        """Whether a connection may come in that is perhaps a peer's."""
        return len(self.newcomers) < self._newcomers_max

    def let_in(self, member: Member, *, is_newcomer: bool) -> None:
        """A connection that may come in is there."""
        self.connections[member.state.number] = member
        if is_newcomer:
            self.newcomers[member] = None

    def has_left(self, member: Member) -> None:
        """It is hung up on, or turned out to be a peer's."""
        self.connections.pop(member.state.number, None)
        self.newcomers.pop(member, None)
        self.lingering.pop(member, None)

    def link(self, node_id: int, link: Closable) -> None:
        """A peer has said hello. What waits in its earlier link came from an earlier start."""
        if (earlier := self.linked.get(node_id)) is not None:
            earlier.close()
        self.linked[node_id] = link

    def unlink(self, node_id: int, link: Closable) -> None:
        """This link of the peer is hung up on."""
        self.lingering.pop(link, None)
        if self.linked.get(node_id) is link:
            del self.linked[node_id]

    # --- Who is hung up on ----------------------------------------------------------------

    def see_out(self, member: Closable, stream: Stream) -> None:
        """All is sent that will be: hang up once the other side has, or had its time to."""
        if stream.is_at_end:
            member.close()
        elif member not in self.lingering:
            stream.stop_writing()
            self.lingering[member] = self._now_ms

    def refuses_input(self, input_bytes: int) -> bool:
        """Whether who holds so much of an unfinished request must give it up, and go."""
        return input_bytes > SHORT_INPUT_BYTES and self._load.is_input_full

    def keep_links_of(self, peers: Container[int]) -> None:
        """Whoever is no peer by now is hung up on: should it come again, it is told why."""
        for node_id, link in [*self.linked.items()]:
            if node_id not in peers:
                link.close()

    def tick(self, now_ms: float) -> None:
        """Hang up on who keeps others out."""
        self._now_ms = now_ms
        self._hang_up_on_lingering(now_ms)
        if now_ms >= self._newcomers_until_ms:
            self._newcomers_until_ms = now_ms + _NEWCOMER_MS
            self._hang_up_on_silent()
        if self._load.is_output_short and now_ms >= self._progress_ms:
            self._progress_ms = now_ms + _PROGRESS_MS
            self._hang_up_on_stuck(now_ms)

    def _hang_up_on_lingering(self, now_ms: float) -> None:
        """Who was told all has had its time to go."""
        for lingerer, since_ms in [*self.lingering.items()]:
            if since_ms + _LINGER_MS > now_ms:
                break
            lingerer.close()

    def _hang_up_on_silent(self) -> None:
        """Who came when there were clients enough, and has not said since that it is a peer."""
        for member in self._silent_newcomers & self.newcomers.keys():
            member.close()
        self._silent_newcomers = {*self.newcomers}

    def _hang_up_on_stuck(self, now_ms: float) -> None:
        """Who reads slowly may take its time; who reads nothing, only while memory is not short."""
        for member in [*self.connections.values()]:
            stuck_ms = member.stuck_ms(now_ms)
            if stuck_ms >= _STUCK_MS:
                self._log.warning(
                    f"hung up on a client that did not read {member.unsent_bytes} bytes for "
                    f"{stuck_ms / 1000:.0f} s, as there is little memory for the replies of others",
                    code="client_stuck",
                )
                member.close()

    def hang_up_on_all(self) -> None:
        """The server stops."""
        for member in [*self.connections.values(), *self.linked.values()]:
            member.close()
