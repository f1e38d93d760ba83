"""A client's end of a connection to a server of which the test takes the turns."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
from collections.abc import Set
from functools import partial
from pathlib import Path
from typing import Any

from founding import founders
from until import until

from kvstore.address import Address
from kvstore.config.limits import Limits
from kvstore.config.settings import Settings
from kvstore.logs import logger_for
from kvstore.raft.messages import AppendEntries, PreVoteReply, RequestVoteReply
from kvstore.raft.types import Role
from kvstore.raft.versions import Versions
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.connection import Connection
from kvstore.server.context import Context
from kvstore.server.incoming_link import IncomingLink
from kvstore.server.node import Node, Outcome
from kvstore.server.replaced import replaced_at
from kvstore.server.turn import Turn
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLineage, MemoryLog, MemoryState
from kvstore.wire import peer

LIMITS = Limits(pipeline_requests_max=8, clients_output_bytes_max=32 << 20, value_bytes_max=1 << 20)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _address = listening.accept()
    return near, far


class Line:
    """A client's end of a connection to a server of which the test takes the turns."""

    def __init__(self, members: int = 1, limits: Limits = LIMITS) -> None:
        identity = Identity(1, "test", 1, f"{1:032x}")
        settings = Settings(
            node_id=1,
            members={i: Address("127.0.0.1", 9000 + i) for i in range(1, members + 1)},
            cluster_id="test",
            data_dir=Path("unused"),
            limits=limits,
        )
        log = MemoryLog(identity, configuration=founders(settings.members))
        self.node = Node(settings, log, MemoryState(identity), random.Random(1))
        self.lineage = MemoryLineage(b"1" * 8)
        acquaintances = Acquaintances(
            cluster_id="test",
            node_id=1,
            address="127.0.0.1:9001",
            incarnation=identity.incarnation,
            lineage=self.lineage,
            admitted_at=lambda: self.node.raft.admitted_at,
            configured_at=lambda: self.node.roster.configured_at,
            peers=lambda: self.node.roster.peers,
            members=lambda: self.node.roster.members,
            replaced_at=partial(replaced_at, self.node.raft),
            cluster_version=lambda: self.node.machine.cluster_version,
        )
        self.selector = selectors.DefaultSelector()
        self.context = Context(settings, self.node, acquaintances, logger_for(1), 10_000)
        self.connections: list[Connection] = []
        """In the order in which they came, open or not."""
        self.client = self.connect()
        self.earlier_clients: list[socket.socket] = []
        [self.connection] = self.connections
        self.now_ms = 0.0
        self.without_link: set[int] = set()
        """Peers to which the node has none; the test says which."""
        self._turns = Turn(self.node, self)
        if members == 1:
            until(lambda: self.node.raft.has_committed_in_term, self.turn, "it leads")

    def connect(self, **options: Any) -> socket.socket:
        """Another client; `options` are those of its `Connection`."""
        client, ours = tcp_pair()
        client.setblocking(False)
        self.connections.append(Connection(ours, "test", self.context, self.selector, **options))
        return client

    def connect_anew(self, **options: Any) -> None:
        """Go on with another connection; the one before stays."""
        self.earlier_clients.append(self.client)
        self.client = self.connect(**options)
        self.connection = self.connections[-1]

    def greet(self) -> None:
        """Go on as node 2."""
        self.ask(peer.encode_hello(THEIRS))

    def elect(self) -> None:
        """Have node 2 vote for the node, which leads term 1 then; the test goes on as node 2."""
        self.greet()
        raft = self.node.raft
        until(lambda: raft.role is Role.PRE_CANDIDATE, self.turn, "it would stand")
        said = {"cluster_id": "test", "sender": 2, "recipient": 1, "vote_granted": True}
        would, vote = PreVoteReply(**said, term=0), RequestVoteReply(**said, term=1)
        self.ask(peer.encode_message(would), peer.encode_message(vote))
        assert raft.role is Role.LEADER

    @property
    def link(self) -> IncomingLink:
        """That of node 2, which has said hello."""
        link = self.context.doorkeeper.linked[2]
        assert isinstance(link, IncomingLink)
        return link

    def turn(self) -> None:
        """What the loop does in one turn."""
        self._turns.take()

    def clock_ms(self) -> float:
        return self.now_ms

    def hear(self) -> None:
        self.context.load.hear({key.data: mask for key, mask in self.selector.select(0)})
        self.now_ms += 50.0

    def unreachable(self) -> Set[int]:
        return self.without_link

    def crowded(self) -> Set[int]:
        return frozenset()

    def spoken_versions(self) -> dict[int, Versions]:
        return {}

    def pass_time(self, now_ms: float) -> None:
        self.context.tick(now_ms)

    def let_out(self, outcome: Outcome) -> None:
        for answer in outcome.answers:
            answer.ticket.fill(answer.result)
        for subscriber in outcome.news:
            subscriber.listener.has_news()
        dirty, self.context.dirty = self.context.dirty, {}
        for sender in dirty:
            sender.send_ready_replies()

    def send(self, data: bytes) -> None:
        """Send more than the socket's buffers hold."""
        while data:
            try:
                data = data[self.client.send(data) :]
            except BlockingIOError:
                self.turn()
        self.turn()

    def send_until_unread(self, data: bytes) -> bytes:
        """Send until the server leaves its input unread, in no turn of its node; the rest."""
        rest = memoryview(data)

        def step() -> None:
            nonlocal rest
            with contextlib.suppress(BlockingIOError):
                rest = rest[self.client.send(rest) :]
            self.context.load.hear({key.data: mask for key, mask in self.selector.select(0)})

        until(lambda: self.connection._is_stalled, step, "its input is left unread")
        return bytes(rest)

    def receive(self, turns: int = 3) -> bytes:
        """Everything that the client gets in a few turns."""
        got = b""
        for _ in range(turns):
            self.turn()
            try:
                while data := self.client.recv(1 << 20):
                    got += data
            except BlockingIOError:
                continue
        return got

    def ask(self, *requests: bytes) -> bytes:
        """Send all at once, and collect the replies."""
        self.client.sendall(b"".join(requests))
        return self.receive()

    @property
    def is_closed(self) -> bool:
        """Whether the server has hung up."""
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.client.close()
        self.context.doorkeeper.hang_up_on_all()
        for client in self.earlier_clients:
            client.close()
        self.selector.close()


HEARTBEAT = AppendEntries(
    cluster_id="test",
    sender=2,
    recipient=1,
    term=1,
    prev_log_index=0,
    prev_log_term=0,
    entries=(),
    leader_commit=0,
)
"""Of node 2, which leads term 1."""
THEIRS = peer.Hello(
    cluster_id="test",
    node_id=2,
    recipient=1,
    incarnation="ab" * 16,
    starts=b"2" * 8,
    admitted_at=0,
    address="127.0.0.1:9002",
    configured_at=0,
)
