"""Nodes on a machine with 512 MiB of memory: under load, while logs are dropped, by a snapshot.

Law: what docs/performance.md says of such a machine. The system counts what a process has of its
own (RLIMIT_DATA); maps of files are not among that.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from .cluster import Cluster, eventually
from .conftest import MakeCluster

pytestmark = pytest.mark.process

MIB = 1 << 20
MEMORY_BYTES = 384 * MIB
"""What the system leaves of 512 MiB."""
MAPS = {"KVSTORE_LOG_MAP_BYTES": "256MiB", "KVSTORE_STATE_MAP_BYTES": "768MiB"}
SMALL = {**MAPS, "KVSTORE_LOG_KEPT_BYTES": "256KiB"}
DISK_BYTES = 1_800 * MIB
KEYS, VALUE_BYTES, BATCH = 6_000, 4_000, 300


def confine(cluster: Cluster, *node_ids: int) -> None:
    for node_id in node_ids:
        process = cluster.nodes[node_id].process
        assert process is not None
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def load(cluster: Cluster, fill: bytes) -> None:
    with cluster.client(cluster.wait_for_leader()) as client:
        for first in range(0, KEYS, BATCH):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, first + BATCH):
                pipeline.set(f"key {number}", fill * VALUE_BYTES)
            pipeline.execute()


def disk_bytes(directory: Path) -> int:
    found = [one.stat() for one in directory.rglob("*") if one.is_file()]
    return sum(one.st_blocks * 512 for one in found)


def test_a_small_machine_bears_load_compaction_and_a_snapshot(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=SMALL)
    confine(cluster, *cluster.nodes)
    leader = cluster.wait_for_leader()
    load(cluster, b"1")
    cluster.wait_until_level()
    lost = next(node for node in cluster.nodes if node != leader)
    cluster.kill(lost)
    for fill in (b"2", b"3"):
        load(cluster, fill)

    def has_dropped() -> bool:
        with cluster.client(cluster.wait_for_leader()) as client:
            return int(client.info()["raft_first_log_index"]) > KEYS

    eventually(has_dropped, "the leader has dropped what the other lacks")
    cluster.restart(lost)
    confine(cluster, lost)
    cluster.wait_for_log(lost, "installed a snapshot")
    cluster.wait_until_level()
    for node in cluster.nodes.values():
        assert node.is_running, f"node {node.id} ended:\n{node.log[-2_000:]}"
        assert disk_bytes(node.data_dir) < DISK_BYTES
    with cluster.client(lost) as client:
        client.readonly()
        assert client.get("key 7") == b"3" * VALUE_BYTES
