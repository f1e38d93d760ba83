"""When all faults are gone, the cluster gets well: it leads, answers and catches up.

Law: this says what is missing now; how long it may be missing is the world's to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kvstore.server.node import Node


class Patient(Protocol):
    """A machine that should get well."""

    id: int
    node: Node | None

    @property
    def can_run(self) -> bool:
        """Whether nothing keeps its node from running."""
        ...


class Caller(Protocol):
    """A client that waits for what it asked."""

    id: int

    @property
    def is_done(self) -> bool: ...


def missing_progress(hosts: Iterable[Patient], clients: Iterable[Caller]) -> list[str]:
    """What a healthy cluster would have and this one has not; nothing if it is well."""
    hosts = list(hosts)
    missing = [f"node {host.id} is down" for host in hosts if host.can_run and not host.node]
    running = [(host.id, host.node) for host in hosts if host.node is not None]
    leaders = [node for _, node in running if node.raft.has_committed_in_term]
    if len(leaders) != 1:
        missing.append(f"{len(leaders)} nodes lead")
    else:
        goal = leaders[0].raft.commit_index
        missing += [
            f"node {node_id} has applied {node.machine.last_applied} of {goal} entries"
            for node_id, node in running
            if node.machine.last_applied != goal
        ]
    missing += [
        f"node {node_id} cannot vouch for entry {node.raft.log.damaged.first_from(1)}"
        for node_id, node in running
        if node.raft.log.damaged
    ]
    missing += [
        f"node {node_id} has data that differ from the majority's"
        for node_id, node in running
        if node.state_store.divergence is not None
    ]
    missing += [
        f"node {node_id} was not admitted" for node_id, node in running if not node.raft.is_voter
    ]
    if len(running) == len(hosts):
        spoken = min(node.cluster_version.speaks.newest for _, node in running)
        missing += [
            f"to node {node_id} the cluster has version {node.machine.cluster_version}, and all"
            f" speak {spoken}"
            for node_id, node in running
            if node.machine.cluster_version != spoken
        ]
    missing += [f"client {client.id} waits" for client in clients if not client.is_done]
    return missing
