"""Bytes that a disk gives back wrong: fetched from the others, or the node says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from kvstore.storage.inspect import inspect_directory

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .steps import QUICK, assert_refuses
from .workload import read_everything

pytestmark = pytest.mark.process

PRECIOUS = b"a value that can be found in the file"
PAGE = 4096


def data_file(cluster: Cluster, node_id: int, environment: str = "raft") -> Path:
    return cluster.nodes[node_id].data_dir / environment / "data.mdb"


def fill(cluster: Cluster) -> int:
    """Some entries, the precious one among them, everywhere; the leader."""
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        for number in range(60):
            client.set(f"key{number}", b"v" * 500)
        client.set("precious", PRECIOUS)
        for number in range(60, 120):
            client.set(f"key{number}", b"v" * 500)
    cluster.wait_until_level()
    return leader


def flip(path: Path) -> None:
    """Change the precious value wherever it stands."""
    blob = path.read_bytes()
    assert PRECIOUS in blob
    path.write_bytes(blob.replace(PRECIOUS, b"A" + PRECIOUS[1:]))


def lose_page(path: Path) -> None:
    """Lose the pages on which the precious value stands."""
    blob = bytearray(path.read_bytes())
    at = blob.find(PRECIOUS)
    assert at >= 0
    while at >= 0:
        begin = at // PAGE * PAGE
        blob[begin : begin + PAGE] = bytes(PAGE)
        at = blob.find(PRECIOUS)
    path.write_bytes(blob)


def assert_reads(cluster: Cluster, *among: int) -> None:
    with cluster.client(cluster.wait_for_leader(among)) as client:
        assert client.get("precious") == PRECIOUS


@pytest.mark.parametrize("damage", [flip, lose_page])
@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_damaged_entries_come_back_from_the_others(
    make_cluster: MakeCluster, victim: str, damage: object
) -> None:
    assert callable(damage)
    cluster = make_cluster()
    leader = fill(cluster)
    follower = next(node for node in cluster.nodes if node != leader)
    node_id = leader if victim == "leader" else follower
    cluster.kill(node_id)
    damage(data_file(cluster, node_id))
    found = inspect_directory(cluster.nodes[node_id].data_dir)
    assert found.unread
    cluster.restart(node_id)
    cluster.wait_for_log(node_id, "cannot vouch for log entry")
    cluster.wait_for_log(node_id, "the log is whole again")
    third = next(node for node in cluster.nodes if node not in (leader, follower))
    cluster.wait_until_level()
    # From now on a majority needs the node that was damaged.
    cluster.kill(third)
    assert_reads(cluster)
    assert not inspect_directory(cluster.nodes[node_id].data_dir).unread


def test_a_cluster_most_of_which_lost_an_entry_stops_and_says_why(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    fill(cluster)
    cluster.kill(1, 2, 3)
    for node_id in (1, 2):
        flip(data_file(cluster, node_id))
    cluster.restart(1, 2)
    for node_id in (1, 2):
        cluster.wait_for_log(node_id, "cannot vouch for log entry")
    said: list[str] = []

    def explained() -> bool:
        with cluster.client(1) as client:
            try:
                client.set("other", "x")
            except redis.RedisError as error:
                said.append(str(error))
        return "is damaged on its disk" in said[-1]

    eventually(explained, "node 1 says why it refuses")
    assert "start the other nodes" in said[-1]
    assert {cluster.status(node_id).role for node_id in (1, 2)} == {"follower"}
    cluster.restart(3)
    for node_id in (1, 2):
        cluster.wait_for_log(node_id, "the log is whole again")
    assert_reads(cluster)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7])
def test_damaged_data_is_built_anew_from_the_log(make_cluster: MakeCluster, kept: float) -> None:
    cluster = make_cluster(1, environ=QUICK)
    fill(cluster)
    assert cluster.terminate(1) == 0
    path = data_file(cluster, 1, "state")
    blob = path.read_bytes()
    path.write_bytes(blob[: int(len(blob) * kept)])
    cluster.restart(1)
    cluster.wait_for_log(1, "building the data anew from the log")
    cluster.wait_for_leader()
    cluster.wait_until_level()
    assert len(read_everything(cluster, 1)) == 121


def test_a_key_that_is_damaged_ends_the_node_and_its_next_start_mends_it(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(1, environ=QUICK)
    fill(cluster)
    assert cluster.terminate(1) == 0
    flip(data_file(cluster, 1, "state"))
    cluster.restart(1)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client, pytest.raises(redis.RedisError):
        client.get("precious")
    process = cluster.nodes[1].process
    assert process is not None
    assert process.wait(30) > 0
    cluster.wait_for_log(1, "start again: the data will be built anew")
    cluster.restart(1)
    assert_reads(cluster)


def test_a_damaged_key_of_a_lone_node_with_a_shortened_log_ends_it_and_nothing_is_moved(
    make_cluster: MakeCluster,
) -> None:
    """Its data are the only ones: they stay where they are, and can still be read."""
    cluster = make_cluster(1, environ={**QUICK, "KVSTORE_LOG_KEPT_BYTES": "64KiB"})
    fill(cluster)
    data_dir = cluster.nodes[1].data_dir

    def is_dropped() -> bool:
        with cluster.client(1) as client:
            for number in range(100):
                client.set("other", b"%d" % number * 1_000)
            return int(client.info()["raft_first_log_index"]) > 200

    eventually(is_dropped, "the log begins later")
    assert cluster.terminate(1) == 0
    flip(data_file(cluster, 1, "state"))
    for _ in range(2):
        cluster.restart(1)
        cluster.wait_for_leader()
        with cluster.client(1) as client:
            assert [client.get(f"key{number}") for number in range(120)] == [b"v" * 500] * 120
            with pytest.raises(redis.RedisError):
                client.get("precious")
        process = cluster.nodes[1].process
        assert process is not None
        assert process.wait(30) > 0
        assert "Nothing tells the data anew" in cluster.nodes[1].log
        assert "anew from" not in cluster.nodes[1].log
        assert not (data_dir / "state.damaged").exists()
    content = data_file(cluster, 1, "state").read_bytes()
    data_file(cluster, 1, "state").write_bytes(content[:5000])
    cluster.is_audited = False
    assert_refuses(cluster.run_to_end(1), "nothing tells the data anew", "kvstore restore")
    assert data_file(cluster, 1, "state").read_bytes() == content[:5000]


def test_a_log_that_was_emptied_is_refused(make_cluster: MakeCluster) -> None:
    """Whom it voted for nobody can tell: the others go on without it."""
    cluster = make_cluster()
    leader = fill(cluster)
    follower = next(node for node in cluster.nodes if node != leader)
    cluster.kill(follower)
    cluster.is_audited = False
    path = data_file(cluster, follower)
    path.write_bytes(b"")
    assert_refuses(cluster.run_to_end(follower), str(path.parent), "what this node voted for")
    assert_reads(cluster)
