"""Real nodes whose logs begin after any entry: they live as others do."""

from __future__ import annotations

import shutil

import pytest
from storage.samples import begin_after

from kvstore.raft.configuration import Configuration
from kvstore.raft.types import LogStart

from .cluster import CLUSTER_NAME, Cluster
from .conftest import MakeCluster

pytestmark = pytest.mark.process

PRECIOUS = b"a value that can be found in the file"


def begun_after(start: LogStart, make_cluster: MakeCluster) -> Cluster:
    """Three nodes, each with an empty key space as of that entry."""
    cluster = make_cluster()
    cluster.kill(*cluster.nodes)
    founders = Configuration.of_founders(
        {node.id: f"{node.host}:{node.port}" for node in cluster.nodes.values()}
    )
    for node in cluster.nodes.values():
        shutil.rmtree(node.data_dir)
        begin_after(
            start,
            node.data_dir,
            node_id=node.id,
            cluster_id=CLUSTER_NAME,
            configuration=founders,
        )
    cluster.restart()
    return cluster


@pytest.mark.parametrize(
    "start", [LogStart(1, 1), LogStart(999_999_999, 7)], ids=lambda one: f"at {one.index + 1}"
)
def test_nodes_write_elect_and_repair_wherever_their_logs_begin(
    make_cluster: MakeCluster, start: LogStart
) -> None:
    cluster = begun_after(start, make_cluster)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        assert client.dbsize() == 0
        client.set("precious", PRECIOUS)
    cluster.wait_until_level()
    assert cluster.status(leader).commit_index > start.index
    cluster.kill(leader)
    other = cluster.wait_for_leader()
    path = cluster.nodes[leader].data_dir / "raft" / "data.mdb"
    damaged = path.read_bytes().replace(PRECIOUS, b"A" + PRECIOUS[1:])
    path.write_bytes(damaged)
    cluster.restart(leader)
    cluster.wait_for_log(leader, "cannot vouch for log entry")
    cluster.wait_for_log(leader, "the log is whole again")
    with cluster.client(other) as client:
        client.set("after", b"it")
    cluster.wait_until_level()
    for node_id, report in cluster.reports().items():
        assert report.start == start
        assert report.terms[0].first_index == start.index + 1
        with cluster.client(node_id) as client:
            client.readonly()
            assert client.get("precious") == PRECIOUS
