"""When a node has something to do though nothing arrives: neither too seldom, nor for ever."""

from __future__ import annotations

import random

from until import until

from kvstore import api
from kvstore.raft.types import DurableUpdate, Role
from kvstore.server.node import Node
from kvstore.storage.base import LogStore

from .cluster import TICK_MS, Claim, Cluster

PUT = api.Put(b"k", b"v")


class Held:
    """A writer of the log that writes when the test says so."""

    def __init__(self, log_store: LogStore) -> None:
        self._log_store = log_store
        self._waiting: list[DurableUpdate] = []
        self.durable_number = 0

    def submit(self, update: DurableUpdate) -> None:
        self._waiting.append(update)

    def write(self) -> None:
        """All that waits."""
        for update in self._waiting:
            self._log_store.write(update)
            self.durable_number = update.number
        self._waiting.clear()


class HeldCluster(Cluster):
    """One node, whose log is written beside its turns."""

    def __init__(self) -> None:
        super().__init__(size=1)

    def start(self, node_id: int) -> None:
        super().start(node_id)
        plain = self.nodes[node_id]
        self.writer = Held(self.logs[node_id])
        self.nodes[node_id] = Node(
            plain.settings,
            self.logs[node_id],
            self.states[node_id],
            random.Random(1),
            writer=self.writer,
        )


def test_a_node_goes_on_when_its_writer_has() -> None:
    """Nothing arrives, and no time passes: what was waited for is durable."""
    cluster, claim = HeldCluster(), Claim()
    node = cluster.nodes[1]
    until(lambda: node.raft.role is Role.CANDIDATE, lambda: cluster.run(TICK_MS), "it stands")
    assert not node.is_busy
    for role in (Role.CANDIDATE, Role.LEADER):
        assert node.raft.role is role
        cluster.writer.write()
        assert node.is_busy
        until(lambda: not node.is_busy, lambda: cluster.turn(1), "it has done all that it can")
    node.submit_command(PUT, claim)
    until(lambda: not node.is_busy, lambda: cluster.turn(1), "it has done all that it can")
    assert claim.results == []
    cluster.writer.write()
    assert node.is_busy
    cluster.turn(1)
    assert claim.result == api.PutResult(revision=2, written=True)
    assert not node.is_busy


def test_a_node_that_lost_a_committed_entry_rests_while_nobody_gives_it() -> None:
    """It cannot apply what it cannot read; a turn after the other would not change that."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    leader.submit_command(PUT, claim)
    cluster.run()
    lost = min(node.raft.id for node in cluster.followers())
    log = cluster.logs[lost]
    key, _ = log.pairs[-1]
    log.pairs[-1] = (key, b"")
    cluster.states[lost].crash()
    cluster.start(lost)
    cluster.cut |= {(lost, other) for other in cluster.members}
    node = cluster.nodes[lost]
    until(lambda: node.raft.commit_index >= 2, lambda: cluster.run(TICK_MS), "it hears the leader")
    assert (node.machine.last_applied, [*node.raft.log.damaged]) == (1, [2])
    cluster.turn(lost)
    assert not node.is_busy
    cluster.heal()
    until(lambda: node.machine.last_applied == 2, cluster.run, "it gets the entry")
