"""Real nodes that get a snapshot, as the others dropped what they lack: under writes, and kills."""

from __future__ import annotations

import random
import shutil
import threading
import time

import pytest

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .steps import FAST

pytestmark = pytest.mark.process

KEPT = {**FAST, "KVSTORE_LOG_KEPT_BYTES": "64KiB"}
VALUE = b"v" * 1_000
INSTALLED = "installed a snapshot"


def load(cluster: Cluster, node_id: int, keys: int, value: bytes = VALUE) -> None:
    with cluster.client(node_id) as client:
        for first in range(0, keys, 500):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + 500, keys)):
                pipeline.set(f"key {number}", value + b"%d" % number)
            pipeline.execute()


class Writer:
    """Counts up, over and over, with whoever leads, until it is told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stops = threading.Event()
        self.count = 0
        self.longest_seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stops.set()
        self._thread.join()

    def _run(self) -> None:
        with self._cluster.client(self._cluster.wait_for_leader()) as client:
            while not self._stops.is_set():
                began = time.monotonic()
                client.incr("counter")
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                self.count += 1


def left_behind(make_cluster: MakeCluster, keys: int) -> tuple[Cluster, int, int]:
    """Three nodes of which one was killed long ago: (cluster, leader, that one)."""
    cluster = make_cluster(environ=KEPT)
    leader = cluster.wait_for_leader()
    load(cluster, leader, 10)
    cluster.wait_until_level()
    lost = next(node for node in cluster.nodes if node != leader)
    cluster.kill(lost)
    load(cluster, leader, keys)

    def has_dropped() -> bool:
        with cluster.client(leader) as client:
            return int(client.info()["raft_first_log_index"]) > 100

    eventually(has_dropped, "the leader has dropped what the other lacks")
    return cluster, leader, lost


def all_data(cluster: Cluster, node_id: int) -> dict[bytes, bytes]:
    with cluster.client(node_id) as client:
        client.readonly()
        keys = sorted(client.scan_iter(count=1_000))
        found: dict[bytes, bytes] = {}
        for first in range(0, len(keys), 1_000):
            some = keys[first : first + 1_000]
            found.update(zip(some, client.mget(some), strict=True))
        return found


def test_who_was_away_gets_a_snapshot_under_writes_and_nobody_is_elected(
    make_cluster: MakeCluster,
) -> None:
    cluster, leader, lost = left_behind(make_cluster, 10_000)
    term = cluster.status(leader).term
    with Writer(cluster) as writer:
        cluster.restart(lost)
        cluster.wait_for_log(lost, INSTALLED)
        seen = writer.count
        eventually(lambda: writer.count > seen, "writes go on")
    cluster.wait_until_level()
    assert cluster.status(leader).term == term
    with cluster.client(lost) as client:
        client.readonly()
        assert int(client.get("counter")) == writer.count
    assert all_data(cluster, lost) == all_data(cluster, leader)
    for text in ("writing a snapshot", "wrote a snapshot", "sending node", "by its snapshot"):
        cluster.wait_for_log(leader, text)
    assert not (cluster.nodes[lost].data_dir / "state.new").exists()
    # By what it has now it can lead, and begin again.
    cluster.kill(leader)
    cluster.wait_for_leader()
    cluster.kill(lost)
    cluster.restart(leader, lost)
    cluster.wait_until_level()


def test_a_node_whose_data_are_lost_gets_them_from_its_leader(make_cluster: MakeCluster) -> None:
    cluster, leader, lost = left_behind(make_cluster, 2_000)
    cluster.restart(lost)
    cluster.wait_for_log(lost, INSTALLED)
    cluster.wait_until_level()
    assert cluster.terminate(lost) == 0
    shutil.rmtree(cluster.nodes[lost].data_dir / "state")
    before = len(cluster.nodes[lost].log)
    cluster.restart(lost)
    cluster.wait_for_log(lost, INSTALLED, after=before)
    cluster.wait_until_level()
    assert all_data(cluster, lost) == all_data(cluster, leader)


def test_a_node_whose_directory_is_lost_gets_all_of_it_and_votes_again(
    make_cluster: MakeCluster,
) -> None:
    """Who is in the cluster comes with the snapshot, too."""
    cluster, leader, lost = left_behind(make_cluster, 2_000)
    shutil.rmtree(cluster.nodes[lost].data_dir)
    with Writer(cluster):
        cluster.join(lost)
        cluster.wait_until_answers(lost)
        cluster.wait_for_log(lost, INSTALLED)
        cluster.wait_for_log(lost, "this node votes")
    cluster.wait_until_level()
    assert all_data(cluster, lost) == all_data(cluster, leader)
    third = next(node for node in cluster.nodes if node not in (leader, lost))
    cluster.kill(third)
    load(cluster, leader, 10, b"by two")
    cluster.restart(third)
    cluster.wait_until_level()


def test_a_node_that_is_killed_amid_a_snapshot_has_all_of_it_in_the_end(
    make_cluster: MakeCluster,
) -> None:
    """At random moments, with the old data or the new ones beneath."""
    cluster, leader, lost = left_behind(make_cluster, 6_000)
    rng = random.Random(7)
    for _ in range(6):
        before = len(cluster.nodes[lost].log)
        cluster.restart(lost)
        cluster.wait_for_log(lost, "following leader", after=before)
        deadline = time.monotonic() + rng.uniform(0.0, 0.8)
        eventually(lambda until=deadline: time.monotonic() > until, "some time has passed")
        cluster.kill(lost)
    cluster.restart(lost)
    cluster.wait_until_level()
    assert all_data(cluster, lost) == all_data(cluster, leader)


def test_who_receives_a_snapshot_gets_another_one_when_its_leader_is_killed(
    make_cluster: MakeCluster,
) -> None:
    cluster, leader, lost = left_behind(make_cluster, 20_000)
    cluster.restart(lost)
    cluster.wait_for_log(lost, "receiving a snapshot")
    cluster.kill(leader)
    second = cluster.wait_for_leader()
    assert second != lost
    cluster.wait_for_log(lost, INSTALLED)
    cluster.restart(leader)
    cluster.wait_until_level()
    assert all_data(cluster, lost) == all_data(cluster, second)
