"""Replicas that are compared while they run, on nodes without sockets."""

from __future__ import annotations

from typing import Any

from kvstore import api
from kvstore.raft.messages import CompareStatesReply, Message
from kvstore.raft.types import Role
from kvstore.server.node import Node

from .cluster import Claim, Cluster


def loses_replies_of(leader: Node, mute: int) -> None:
    """What this node says of states never arrives, and all else of it does."""
    receive = leader.receive

    def hears(message: Message) -> None:
        if not (isinstance(message, CompareStatesReply) and message.sender == mute):
            receive(message)

    leader.receive = hears  # type: ignore[method-assign]


def put(cluster: Cluster, leader: Node, key: bytes, value: bytes) -> None:
    claim = Claim()
    leader.submit_command(api.Put(key, value), claim)
    cluster.run()
    assert isinstance(claim.result, api.PutResult)


def ask(leader: Node, since: int = 0) -> Claim:
    claim = Claim()
    leader.check_replicas(api.CheckReplicas(since), claim)
    return claim


def check(cluster: Cluster, leader: Node) -> api.CheckResult:
    """What comes of a check, however long it takes."""
    since = 0
    for _ in range(40):
        claim = ask(leader, since)
        cluster.run(1_500)
        result = claim.result
        assert isinstance(result, api.CheckResult), result
        if result.is_settled:
            return result
        since = result.index
    raise AssertionError("the check never ends")


def spoil(cluster: Cluster, node_id: int, record: bytes = b"spoilt") -> None:
    """A record of one node becomes another one, before its checksum is made."""
    cluster.states[node_id].put(b"k", record)


def elected(cluster: Cluster) -> Node:
    leader = cluster.elect()
    put(cluster, leader, b"k", b"v")
    return leader


def events_of(cluster: Cluster, node_id: int, kind: type[Any]) -> list[Any]:
    return [event for event in cluster.events[node_id] if isinstance(event, kind)]


def leader_of(cluster: Cluster) -> Node:
    return max(
        (node for node in cluster.nodes.values() if node.raft.role is Role.LEADER),
        key=lambda node: node.raft.current_term,
    )
