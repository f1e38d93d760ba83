"""Disks that others have filled to the last byte, under nodes that go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from process.cluster import eventually
from process.steps import put_anywhere
from process.workload import read_everything

from .cluster import ChaosCluster
from .conftest import needs_root

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ChaosCluster]:
    with ChaosCluster(tmp_path).running() as cluster:
        yield cluster


def fill(cluster: ChaosCluster, *node_ids: int) -> None:
    for node_id in node_ids:
        cluster.disks[node_id].fill()
    for node_id in node_ids:
        cluster.wait_for_log(node_id, "short of room")


def test_leadership_moves_away_from_a_full_disk(cluster: ChaosCluster) -> None:
    put_anywhere(cluster, "before")
    full = cluster.wait_for_leader()
    fill(cluster, full)
    eventually(
        lambda: cluster.wait_for_leader() != full, "a node with room leads", ignoring=(OSError,)
    )
    put_anywhere(cluster, "after")
    assert set(read_everything(cluster, cluster.wait_for_leader())) == {"before", "after"}
    cluster.disks[full].make_room()
    cluster.wait_until_level()


def test_a_node_without_room_votes(cluster: ChaosCluster) -> None:
    """Its vote is the second of two, and durable, on a disk with no byte left."""
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    full, heir = (node_id for node_id in cluster.nodes if node_id != leader)
    cluster.wait_until_level()
    fill(cluster, full)
    term = cluster.status(full).term
    cluster.kill(leader)
    assert cluster.wait_for_leader((full, heir)) in (full, heir)
    assert cluster.status(full).term > term
    assert cluster.nodes[full].is_running
    cluster.kill(full)
    cluster.restart(full)
    cluster.wait_for_leader((full, heir))
    cluster.disks[full].make_room()
    cluster.restart(leader)
    put_anywhere(cluster, "after")


def test_a_cluster_without_room_answers_reads_refuses_writes_and_recovers(
    cluster: ChaosCluster,
) -> None:
    put_anywhere(cluster, "before")
    fill(cluster, *cluster.nodes)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        with pytest.raises(redis.RedisError, match=r"NOSPACE.*nothing was changed"):
            client.set("during", "x")
        assert client.get("before") == b"x"
    for node_id in cluster.nodes:
        assert cluster.terminate(node_id) == 0, "it can be stopped"
    cluster.restart()
    with cluster.client(cluster.wait_for_leader()) as client:
        assert client.get("before") == b"x"
    for disk in cluster.disks.values():
        disk.make_room()
    for node_id, node in cluster.nodes.items():
        cluster.wait_for_log(node_id, "has room again", after=len(node.log) // 2)
    put_anywhere(cluster, "after")
    assert set(read_everything(cluster, cluster.wait_for_leader())) == {"before", "after"}
