"""Three nodes without sockets, over honest stores in memory.

Law: messages pass only when the test says so, and every store write is noted in
the order in which it happened relative to what the node lets out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Set
from pathlib import Path

from founding import founders

from kvstore import api
from kvstore.address import Address
from kvstore.config.limits import LOG_KEPT_BYTES, Limits
from kvstore.config.settings import Settings
from kvstore.errors import DiskWriteError
from kvstore.kv.view import NO_FOOTPRINT, Applied, Footprint
from kvstore.raft.configuration import Configuration
from kvstore.raft.events import Event
from kvstore.raft.messages import Message
from kvstore.raft.types import DurableUpdate, RaftSettings, Role
from kvstore.raft.versions import Versions
from kvstore.server.cluster_version import THIS_RELEASE, Release
from kvstore.server.node import Node, Outcome
from kvstore.server.turn import Turn
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLog, MemoryState
from kvstore.storage.reading import Reading

TICK_MS = 50.0
AHEAD_BYTES = 64 << 10
"""Allocated ahead for a log, so that votes and no-ops go on where nothing is left."""
CHANGE_BYTES = 8 << 10
"""What a change of the key space takes of the room of a full state."""


class Claim:
    """A ticket that keeps every result it was given."""

    def __init__(self) -> None:
        self.results: list[api.Result] = []

    def fill(self, result: api.Result) -> None:
        self.results.append(result)

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        """It wants its answer when it is due."""
        return False

    @property
    def result(self) -> api.Result:
        """The one result."""
        assert len(self.results) == 1, self.results
        return self.results[0]

    @property
    def failure(self) -> api.Failure:
        """The one result, a failure."""
        assert isinstance(self.result, api.Failure), self.result
        return self.result


class FailingLog(MemoryLog):
    """A log whose disk fails, or is full, from the moment the test says so."""

    fails = False
    looks = 0
    """How often somebody asked how much room is left."""

    def __init__(
        self, identity: Identity, configuration: Configuration, room: dict[int, int]
    ) -> None:
        super().__init__(identity, configuration=configuration)
        self._room = room

    def room_bytes(self, beside_bytes: int = 0) -> int:
        self.looks += 1
        room = self._room.get(self.identity.node_id, super().room_bytes())
        return AHEAD_BYTES + room - beside_bytes

    def write(self, update: DurableUpdate) -> None:
        if self.fails:
            raise DiskWriteError("fsync failed")
        super().write(update)


class FullState(MemoryState):
    """Applied data on the same disk, in a map that may be small."""

    commits = 0
    pinned_bytes = 0
    """What a file would have grown by for the sake of each reading."""

    def __init__(
        self, identity: Identity, room: dict[int, int], state_room: dict[int, int]
    ) -> None:
        super().__init__(identity)
        self._room = room
        self._state_room = state_room

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        node_id, boundless = self.identity.node_id, super().room_bytes()
        room = min(self._room.get(node_id, boundless), self._state_room.get(node_id, boundless))
        keys = footprint.of("keys")
        return room - CHANGE_BYTES * (keys.puts + keys.deletes)

    def commit(self, applied: Applied) -> None:
        self.commits += 1
        super().commit(applied)

    def reading(self) -> Reading:
        reading = super().reading()
        reading._pinned = lambda: self.pinned_bytes
        return reading

    def can_hold(self, footprint: Footprint) -> bool:
        return self.identity.node_id not in self._state_room


class _Around:
    """What is around one node of a cluster."""

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        self._cluster = cluster
        self._node_id = node_id

    def clock_ms(self) -> float:
        return self._cluster.now_ms

    def hear(self) -> None:
        cluster, node_id = self._cluster, self._node_id
        arrived = [m for m in cluster.messages if m.recipient == node_id]
        cluster.messages = [m for m in cluster.messages if m.recipient != node_id]
        for message in arrived:
            if (message.sender, node_id) not in cluster.cut:
                cluster.nodes[node_id].receive(message)

    def unreachable(self) -> Set[int]:
        return frozenset()

    def crowded(self) -> Set[int]:
        return frozenset()

    def spoken_versions(self) -> Mapping[int, Versions]:
        return self._cluster.links_of(self._node_id)

    def pass_time(self, now_ms: float) -> None:
        """Nothing else has time."""

    def let_out(self, outcome: Outcome) -> None:
        self._cluster.messages += outcome.messages
        self._cluster.events[self._node_id] += outcome.events
        for answer in outcome.answers:
            answer.ticket.fill(answer.result)
        for subscriber in outcome.news:
            subscriber.listener.has_news()


class Cluster:
    """Nodes 1..n.

    * `room`: what is left on a node's disk, where the test says so; `state_room`: what is
      left in its state's map.
    * `cut`: the (sender, recipient) pairs whose messages are lost.
    * `asleep`: nodes that take no turn while time passes, like a stopped process.
    """

    def __init__(
        self,
        size: int = 3,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cached_bytes_max: int = 1 << 20,
        log_kept_bytes: int = LOG_KEPT_BYTES,
        check_every_ms: int | None = None,
    ) -> None:
        self.check_every_ms = check_every_ms
        self.log_kept_bytes = log_kept_bytes
        self.raft = RaftSettings(cached_bytes_max=cached_bytes_max)
        self.members = {i: Address("127.0.0.1", 9000 + i) for i in range(1, size + 1)}
        self.limits = limits
        self.now_ms = 0.0
        self.cut: set[tuple[int, int]] = set()
        self.room: dict[int, int] = {}
        self.state_room: dict[int, int] = {}
        self.asleep: set[int] = set()
        self.messages: list[Message] = []
        self.events: dict[int, list[Event]] = {node_id: [] for node_id in self.members}
        self.logs: dict[int, FailingLog] = {}
        self.states: dict[int, FullState] = {}
        self.nodes: dict[int, Node] = {}
        for node_id in self.members:
            identity = Identity(1, "test", node_id, f"{node_id:032x}")
            self.logs[node_id] = FailingLog(identity, founders(self.members), self.room)
            self.states[node_id] = FullState(identity, self.room, self.state_room)
            self.start(node_id)

    def start(self, node_id: int) -> None:
        """Start, or start again from what the stores hold."""
        settings = Settings(
            node_id=node_id,
            members=self.members,
            cluster_id="test",
            data_dir=Path("unused"),
            limits=self.limits,
            raft=self.raft,
            log_kept_bytes=self.log_kept_bytes,
            check_every_ms=self.check_every_ms,
        )
        rng = random.Random(node_id)
        log, state = self.logs[node_id], self.states[node_id]
        self.nodes[node_id] = Node(settings, log, state, rng, release=self.release_of(node_id))

    def release_of(self, node_id: int) -> Release:
        """Which program a node runs."""
        return THIS_RELEASE

    def crash(self, node_id: int) -> None:
        """End a node without notice, and start it again."""
        self.logs[node_id].crash()
        self.states[node_id].crash()
        self.start(node_id)

    def turn(self, node_id: int) -> None:
        """One turn of one node: what has arrived, then time, then what it lets out."""
        Turn(self.nodes[node_id], _Around(self, node_id)).take()

    def run(self, duration_ms: float = 500.0) -> None:
        """Let time pass for everybody."""
        for _ in range(int(duration_ms / TICK_MS)):
            self.now_ms += TICK_MS
            for node_id in self.nodes.keys() - self.asleep:
                self.turn(node_id)

    def links_of(self, node_id: int) -> dict[int, Versions]:
        """What each of the others speaks that takes turns: a node has links to all of them."""
        there = self.nodes.keys() - self.asleep - {node_id}
        return {at: self.nodes[at].cluster_version.speaks for at in there}

    def isolate(self, node_id: int) -> None:
        """Cut every link from and to a node."""
        for other in self.members:
            self.cut |= {(node_id, other), (other, node_id)}

    def heal(self) -> None:
        """Mend every link."""
        self.cut.clear()

    def elect(self) -> Node:
        """Run until somebody leads with a committed no-op, and return it."""
        for _ in range(20):
            self.run()
            leaders = [n for n in self.nodes.values() if n.raft.has_committed_in_term]
            if leaders:
                return max(leaders, key=lambda node: node.raft.current_term)
        raise AssertionError("nobody was elected")

    def followers(self) -> list[Node]:
        """The nodes that do not lead."""
        return [node for node in self.nodes.values() if node.raft.role is not Role.LEADER]
