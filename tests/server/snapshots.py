"""A node that is too far behind, and what gets in the way of the snapshot that it needs."""

from __future__ import annotations

from typing import NamedTuple

from until import until

from kvstore import api
from kvstore.errors import DiskWriteError, StorageError, StorageUnavailableError
from kvstore.kv.view import Applied
from kvstore.raft import snapshot_events as events
from kvstore.server.node import Node
from kvstore.storage.memory import MemoryState

from .cluster import Claim, Cluster, FullState

VALUE = bytes(20_000)


def put(cluster: Cluster, leader: Node, keys: int = 40, value: bytes = VALUE) -> None:
    for number in range(keys):
        leader.submit_command(api.Put(b"key %d" % number, value), Claim())
    leader.submit_command(api.OpenSession(), Claim())
    cluster.run(1_000)


def everything(state: MemoryState) -> tuple[Applied, list[tuple[bytes, bytes]]]:
    return state.applied(), [*state.committed(), *state.sessions.committed()]


def others(cluster: Cluster, leader: Node) -> list[Node]:
    return [node for node in cluster.nodes.values() if node is not leader]


def drop(cluster: Cluster, node: Node) -> None:
    """Its log begins after all that is durable in its state."""
    node.raft.compact(cluster.states[node.raft.id].applied().last_applied)


def left_behind(cluster: Cluster) -> tuple[Node, Node]:
    """A leader whose log begins later than that of the other node, which was away."""
    leader = cluster.elect()
    put(cluster, leader, 3)
    lost = others(cluster, leader)[0]
    cluster.isolate(lost.raft.id)
    put(cluster, leader)
    drop(cluster, leader)
    cluster.run(200)
    return leader, lost


def level(cluster: Cluster, leader: Node, follower: Node) -> None:
    def is_level() -> bool:
        ids = leader.raft.id, follower.raft.id
        one, two = (everything(cluster.states[node_id]) for node_id in ids)
        return one == two and leader.machine.last_applied == follower.machine.last_applied

    until(is_level, cluster.run, "both have the same data")
    assert follower.machine.applied == leader.machine.applied


def told(cluster: Cluster, node: Node) -> list[type]:
    kinds = vars(events).values()
    return [type(event) for event in cluster.events[node.raft.id] if type(event) in kinds]


def without_data(cluster: Cluster, node: Node) -> Node:
    """The same node, started again on its log alone, which begins after what it had applied."""
    node_id = node.raft.id
    drop(cluster, node)
    cluster.run(100)
    cluster.logs[node_id].crash()
    identity = cluster.states[node_id].identity
    cluster.states[node_id] = FullState(identity, cluster.room, cluster.state_room)
    cluster.start(node_id)
    assert cluster.nodes[node_id].raft.log.lacks_base
    return cluster.nodes[node_id]


class Tries(NamedTuple):
    """What a node has tried of its part in a snapshot, each by the time."""

    began_ms: list[float]


def fails(
    cluster: Cluster, state: MemoryState, name: str, error: StorageError, *, within: bool = False
) -> Tries:
    """`state` fails at what is called so, or `within` what that gives, until it is mended."""
    tries = Tries([])
    sound = getattr(state, name)

    def fail(*_: object) -> None:
        raise error

    def attempt() -> object:
        tries.began_ms.append(cluster.now_ms)
        if not within:
            raise error
        made = sound()
        for write in {"put", "write"} & set(dir(made)):
            setattr(made, write, fail)
        return made

    setattr(state, name, attempt)
    return tries


FULL = DiskWriteError("state.new: the disk is full")
FILES = StorageUnavailableError("state.new cannot be used: let this process open more files")
