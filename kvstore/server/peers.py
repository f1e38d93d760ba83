"""Links to the other nodes: each carries this node's messages to one peer, one way.

Law: a message is sent once or lost, never kept for later, as Raft expects of a
network. Nothing is sent before both sides have agreed, in a hello, on protocol
versions, cluster and node ids. What a peer sends us arrives on the link that it
dialled (`incoming_link`).
"""

from __future__ import annotations

import math
import random
import selectors
import socket
from collections.abc import Callable, Iterable, Mapping

from structlog.typing import FilteringBoundLogger

from kvstore.address import Address
from kvstore.config.settings import Settings
from kvstore.errors import DirectoryRefusedError, ProtocolError
from kvstore.lookup import Lookup
from kvstore.raft.messages import Message
from kvstore.raft.versions import SPOKEN, Versions
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.stream import Stream
from kvstore.wire.peer import (
    Hello,
    HelloAnswer,
    check_hello,
    check_versions,
    encode_hello,
    encode_message,
    says_final,
)

_FIRST_RETRY_MS = 20.0
_LOOKUP_POLL_MS = 20.0
_HELLO_TIMEOUT_MS = 2_000.0
_MISSED_AFTER_MS = 10_000.0
"""A restart takes less; who is away for longer should be looked after."""


class PeerLink:
    """The outgoing connection to one peer: down, looking up, greeting, or ready.

    * Down: dialled again at `deadline_ms`; the pause doubles up to a bound. Where a peer should
      be is tried by turns with where it says that it is, if that is elsewhere.
    * Looking up: `_lookup` is asked again and again for the address.
    * Greeting: our hello is out, theirs is awaited until `_greeting_until_ms`.
    """

    def __init__(
        self,
        peer: int,
        address: Address,
        settings: Settings,
        acquaintances: Acquaintances,
        selector: selectors.BaseSelector,
        rng: random.Random,
        log: FilteringBoundLogger,
        elsewhere: Callable[[], Address | None] = lambda: None,
    ) -> None:
        """`elsewhere`: where the peer says that it is instead, while it speaks with this node."""
        self._peer = peer
        self.address = address
        self._elsewhere = elsewhere
        self._dialled: Address | None = None
        self._settings = settings
        self._acquaintances = acquaintances
        self._selector = selector
        self._rng = rng
        self._log = log
        self._lookup: Lookup | None = None
        self._stream: Stream | None = None
        self._answer = HelloAnswer()
        self._is_ready = False
        self._speaks = SPOKEN
        self._pause_ms = _FIRST_RETRY_MS
        self._last_complaint = ""
        self._down_since_ms = math.inf
        self._is_missed = self._is_refused = False
        self.deadline_ms = 0.0
        """When `tick` has something to do: dial again, or give up on a greeting."""

    @property
    def comes_first(self) -> bool:
        """A link is heard before clients."""
        return True

    @property
    def served(self) -> int:
        """Nothing is counted for peers."""
        return 0

    def tick(self, now_ms: float) -> None:
        """Dial if it is time; give up on a greeting that takes too long."""
        if self._stream is not None and not self._stream.is_open:
            self._lost(self._stream.failure, now_ms)
        if now_ms < self.deadline_ms:
            return
        if self._stream is None:
            self._dial(now_ms)
        else:
            self._stream.close()
            self._lost("no answer to our hello", now_ms)

    @property
    def is_ready(self) -> bool:
        """Whether the peer is there: it has answered our hello, and has not hung up."""
        stream = self._stream
        return self._is_ready and stream is not None and stream.is_open

    @property
    def speaks(self) -> Versions | None:
        """What the peer's program speaks, by its hello; None if there is no link."""
        return self._speaks if self.is_ready else None

    @property
    def leads_to(self) -> Address | None:
        """Where the peer was found; None if there is no link."""
        return self._dialled if self.is_ready else None

    @property
    def trouble(self) -> str:
        """Why there is no link, "" if there is one."""
        return "" if self.is_ready else self._last_complaint or "not connected yet"

    @property
    def is_crowded(self) -> bool:
        """Whether entries should not be sent now: they would be lost, or only wait."""
        stream, limits = self._stream, self._settings.limits
        if stream is None or not self._is_ready:
            return True
        return stream.unsent_bytes >= limits.peer_backlog_bytes_max

    def send(self, message: Message) -> None:
        """Send now, or lose it: the link is down, the peer does not read, or knows no such kind."""
        stream = self._stream
        if stream is None or not self._is_ready or self._speaks.newest < message.SINCE:
            return
        if stream.unsent_bytes < self._settings.limits.peer_output_bytes_max:
            stream.write(encode_message(message))

    def close(self) -> None:
        """Hang up."""
        if self._stream is not None:
            self._stream.close()

    def _dial(self, now_ms: float) -> None:
        if self._lookup is None:
            self._dialled = self._next_address()
            self._lookup = Lookup(self._dialled)
        if not self._lookup.is_done:
            self.deadline_ms = now_ms + _LOOKUP_POLL_MS
            return
        lookup, self._lookup = self._lookup, None
        self.deadline_ms = now_ms + _HELLO_TIMEOUT_MS
        try:
            family, address = lookup.result()[0]
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._lost(f"cannot dial: {error.strerror}", now_ms)
            return
        sock.setblocking(False)
        sock.connect_ex(address)
        self._answer = HelloAnswer()
        self._stream = Stream(sock, self._selector, self)
        self._stream.detect_dead_link()
        # Not connected yet: the hello waits in the output buffer until the socket takes it.
        self._stream.write(encode_hello(self._acquaintances.hello_to(self._peer)))

    @property
    def _at(self) -> Address:
        """Where the peer is, or where it should be."""
        return (self._dialled if self._is_ready else None) or self.address

    def _next_address(self) -> Address:
        is_turn_of_other = self._dialled == self.address
        return (self._elsewhere() if is_turn_of_other else None) or self.address

    def on_events(self, mask: int) -> None:
        stream = self._stream
        assert stream is not None
        if mask & selectors.EVENT_WRITE:
            stream.flush()
        if mask & selectors.EVENT_READ and stream.is_open:
            self._on_bytes(stream, stream.read())
        if stream.is_at_end:
            stream.close()

    def _on_bytes(self, stream: Stream, data: bytes) -> None:
        try:
            theirs = self._answer.feed(data)
            complaint = theirs and self._reason_to_refuse(theirs)
        except ProtocolError as error:
            theirs, complaint = None, str(error)
        if complaint:
            self._is_refused = True
            stream.failure = complaint
            stream.close()
            if final := says_final(complaint):
                raise DirectoryRefusedError(f"{self._settings.data_dir}: {final}")
        elif theirs is not None:
            self._acquaintances.remember(theirs)
            self._speaks = theirs.speaks
            self._is_ready = True
            self.deadline_ms = float("inf")
            self._pause_ms = _FIRST_RETRY_MS
            self._last_complaint = ""
            self._down_since_ms, self._is_missed = math.inf, False
            self._say(self._log.info, "peer_connected", f"connected to node {self._peer}")

    def _reason_to_refuse(self, theirs: Hello) -> str | None:
        ours = self._acquaintances.hello_to(self._peer)
        if complaint := check_hello(ours, theirs) or self._acquaintances.reason_to_refuse(theirs):
            return complaint
        self._acquaintances.check_own_version(theirs)
        return check_versions(ours, theirs)

    def _lost(self, why: str, now_ms: float) -> None:
        """Plan the next attempt; say why, but the same thing only once.

        A peer that is restarted is soon back, and nobody need look at it.
        """
        self._stream = None
        self._down_since_ms = min(self._down_since_ms, now_ms)
        is_refused, self._is_refused = self._is_refused, False
        if not self._is_ready and self._dialled != self.address:
            why = self._last_complaint  # What counts is why it is not where it should be.
        if self._is_ready or why != self._last_complaint:
            say = self._log.warning if is_refused else self._log.info
            self._say(say, "peer_lost", f"no link to node {self._peer}: {why}")
        elif not self._is_missed and now_ms >= self._down_since_ms + _MISSED_AFTER_MS:
            self._is_missed = True
            text = (
                f"still no link to node {self._peer} after {_MISSED_AFTER_MS / 1000:.0f} s: {why}"
            )
            self._say(self._log.warning, "peer_missed", text)
        self._is_ready = False
        self._last_complaint = why
        self.deadline_ms = now_ms + self._rng.uniform(self._pause_ms / 2, self._pause_ms)
        self._pause_ms = min(2 * self._pause_ms, self._settings.peer_retry_max_ms)

    def _say(self, say: Callable[..., object], code: str, text: str) -> None:
        say(text, code=code, peer=self._peer, address=str(self._at))


class Peers:
    """The links to all peers, who come and go and move.

    * A peer that is somewhere else by now has another link: what the old one held is lost.
    """

    def __init__(
        self,
        whereabouts: Callable[[], Mapping[int, Address]],
        link_to: Callable[[int, Address], PeerLink],
    ) -> None:
        """`whereabouts`: who the peers are now, and where; another object if that has changed."""
        self._whereabouts = whereabouts
        self._link_to = link_to
        self._known: Mapping[int, Address] = {}
        self._links: dict[int, PeerLink] = {}
        self._follow()

    def _follow(self) -> None:
        """Have a link to each peer where it is, and no other."""
        known = self._whereabouts()
        if known is self._known:
            return
        self._known, before = known, self._links
        self._links = {
            peer: before[peer]
            if peer in before and before[peer].address == address
            else self._link_to(peer, address)
            for peer, address in known.items()
        }
        for peer, link in before.items():
            if self._links.get(peer) is not link:
                link.close()

    def send(self, messages: Iterable[Message]) -> None:
        """Send each message to its recipient, or lose it."""
        for message in messages:
            if (link := self._links.get(message.recipient)) is not None:
                link.send(message)

    def tick(self, now_ms: float) -> None:
        """Let time pass on every link."""
        self._follow()
        for link in self._links.values():
            link.tick(now_ms)

    @property
    def unreachable(self) -> set[int]:
        """The peers to whom there is no link."""
        self._follow()
        return {peer for peer, link in self._links.items() if not link.is_ready}

    def leads_to(self, peer: int) -> Address | None:
        """Where a peer was found to whom there is a link."""
        link = self._links.get(peer)
        return link.leads_to if link is not None else None

    def spoken_versions(self) -> dict[int, Versions]:
        """What each peer speaks to whom there is a link."""
        return {peer: v for peer, link in self._links.items() if (v := link.speaks) is not None}

    @property
    def crowded(self) -> set[int]:
        """The peers to whom no entries should be sent now."""
        return {peer for peer, link in self._links.items() if link.is_crowded}

    @property
    def troubles(self) -> dict[int, str]:
        """Per peer, why there is no link to it; "" if there is one."""
        return {peer: link.trouble for peer, link in self._links.items()}

    @property
    def deadline_ms(self) -> float:
        """When `tick` has something to do next."""
        return min((link.deadline_ms for link in self._links.values()), default=float("inf"))

    def close(self) -> None:
        """Hang up everywhere."""
        for link in self._links.values():
            link.close()
