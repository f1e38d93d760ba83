"""Nodes of two releases in one cluster, upgraded and put back one by one, under load."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from kvstore.client.blocking import Client
from kvstore.errors import KvstoreError

from .cluster import DEADLINE_S, ROOT, Cluster, eventually
from .conftest import MakeCluster
from .history import now
from .newer import make_newer
from .resp import ask_for_text, dial
from .workload import Workload, check

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the next release is."""
    return make_newer(tmp_path_factory.mktemp("newer"))


def version_at(cluster: Cluster, node_id: int) -> int:
    """Of the cluster, as a node sees it."""
    node = cluster.nodes[node_id]
    with dial(node.port, 2.0, node.host) as connection:
        found = re.search(r"raft_cluster_version:(\d+)", ask_for_text(connection, b"INFO"))
    assert found is not None
    return int(found[1])


def wait_for_version(cluster: Cluster, version: int) -> None:
    eventually(
        lambda: all(version_at(cluster, one) == version for one in cluster.nodes),
        f"the cluster has version {version}",
        ignoring=(OSError,),
    )


def replace(cluster: Cluster, workload: Workload, node_id: int, release: Path) -> None:
    """Another release takes over a node, and the cluster goes on."""
    assert cluster.terminate(node_id) == 0
    cluster.nodes[node_id].root = release
    cluster.restart(node_id)
    cluster.wait_for_leader()
    workload.wait_for_writes(30, now())
    cluster.wait_for_leader()


def have_lead(cluster: Cluster, heir: int) -> redis.Redis:
    """A client of a node that leads by now."""
    addresses = ",".join(f"{node.host}:{node.port}" for node in cluster.nodes.values())
    with Client(addresses, 30_000) as mover:
        eventually(
            lambda: mover.transfer_leader(heir).leader_id == heir,
            f"node {heir} leads",
            ignoring=(KvstoreError,),
        )
    return cluster.client(heir)


def test_a_cluster_is_upgraded_node_by_node_under_load_and_back_until_the_last_one_has_it(
    make_cluster: MakeCluster, newer: Path
) -> None:
    cluster = make_cluster()
    cluster.wait_for_leader()
    workload = Workload(cluster, seed=38)
    with workload.running() as history:
        for node_id, release in ((1, newer), (2, newer), (2, ROOT), (1, ROOT), (3, newer)):
            replace(cluster, workload, node_id, release)
            assert {version_at(cluster, one) for one in cluster.nodes} == {2}
        # A leader of the newer release offers its command, and takes none before all have it.
        client = have_lead(cluster, 3)
        with pytest.raises(redis.ResponseError, match="needs version 3 of the protocol"):
            client.execute_command("APPEND", "k", "a")
        for one in (1, 2):  # As they were the newer release both, they may have told each other.
            since_start = cluster.nodes[one].log.rpartition("directories of format")[2]
            assert "gossip of node" not in since_start
        for node_id in (1, 2):
            replace(cluster, workload, node_id, newer)
        wait_for_version(cluster, 3)
        leader = cluster.wait_for_leader()
        client = cluster.client(leader)
        client.execute_command("APPEND", "k", "a")
        client.execute_command("APPEND", "k", "b")
        assert client.get("k") == b"ab"
        client.delete("k")
    check(cluster, history)
    for node in cluster.nodes.values():
        assert "hung up" not in node.log, "what a peer does not know, it is not told"
        assert "the cluster has version 3 of the protocol" in node.log
    follower = next(one for one in cluster.nodes if one != leader)
    eventually(
        lambda: "gossip of node" in cluster.nodes[follower].log, "followers hear the new message"
    )
    assert cluster.terminate(follower) == 0
    refused = cluster.run_to_end(follower)
    assert refused.returncode != 0
    assert "the cluster has version 3 of the protocol, and this program speaks 2" in refused.stderr
    assert "start this node with a release that speaks 3" in refused.stderr
    cluster.restart(follower)
    cluster.wait_until_level()


@pytest.mark.parametrize("directory", ["empty", "of before the upgrade"])
def test_an_older_release_that_joins_a_newer_cluster_is_told_what_to_start(
    directory: str, make_cluster: MakeCluster, newer: Path, tmp_path: Path
) -> None:
    """By the hello of its peers, as nothing in its own directory knows of the cluster's version."""
    cluster = make_cluster()
    cluster.wait_until_level()
    old = tmp_path / "before"
    for node in cluster.nodes.values():
        assert cluster.terminate(node.id) == 0
        node.root = newer
    shutil.copytree(cluster.nodes[3].data_dir, old)
    cluster.restart()
    wait_for_version(cluster, 3)
    joining = cluster.nodes[3]
    assert cluster.terminate(3) == 0
    shutil.rmtree(joining.data_dir)
    if directory != "empty":
        shutil.move(old, joining.data_dir)
    joining.root, logged = ROOT, len(joining.log)
    cluster.join(3)
    assert joining.process is not None
    assert joining.process.wait(DEADLINE_S) == 3
    said = joining.log[logged:]
    assert "the cluster has version 3 of the protocol, and node 3 speaks 2: start it with" in said
    assert re.search(r"a release that speaks 3, as node [12] does", said)
    assert "Traceback" not in said
    # What it was told is all that is wrong with it.
    joining.root = newer
    if directory == "empty":
        cluster.join(3)
        cluster.wait_until_answers(3)
        cluster.wait_until_level()
