"""Processes die at random moments under load, and nothing that was acknowledged is lost."""

from __future__ import annotations

import random

import pytest

from .cluster import Cluster
from .conftest import MakeCluster
from .steps import FAST, progress
from .workload import Workload, check

pytestmark = pytest.mark.process


def victims(cluster: Cluster, rng: random.Random) -> list[int]:
    """The leader, a follower, two nodes or all of them."""
    leader = cluster.wait_for_leader()
    followers = [node for node in cluster.nodes if node != leader]
    rng.shuffle(followers)
    choices = [[leader], followers[:1], [leader, followers[0]], [leader, *followers]]
    return rng.choice(choices)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_kills_lose_no_acknowledged_write(make_cluster: MakeCluster, seed: int) -> None:
    rng = random.Random(seed)
    cluster = make_cluster(environ=FAST)
    workload = Workload(cluster, seed)
    with workload.running() as history:
        for _ in range(4):
            progress(workload, rng)
            killed = victims(cluster, rng)
            cluster.kill(*killed)
            if len(killed) == 1:
                progress(workload, rng)
            cluster.restart(*killed)
        progress(workload, rng)
    check(cluster, history)


def test_each_leader_in_turn_is_killed_and_each_time_another_takes_over(
    make_cluster: MakeCluster,
) -> None:
    rng = random.Random(7)
    cluster = make_cluster(environ=FAST)
    workload = Workload(cluster, seed=7)
    with workload.running() as history:
        term = 0
        for _ in range(3):
            progress(workload, rng)
            leader = cluster.wait_for_leader()
            assert cluster.status(leader).term > term
            term = cluster.status(leader).term
            cluster.kill(leader)
            assert cluster.wait_for_leader() != leader
            cluster.restart(leader)
    check(cluster, history)


def test_all_nodes_killed_at_once_come_back_with_everything(make_cluster: MakeCluster) -> None:
    rng = random.Random(8)
    cluster = make_cluster(environ=FAST)
    workload = Workload(cluster, seed=8)
    with workload.running() as history:
        for _ in range(3):
            progress(workload, rng)
            cluster.kill(*cluster.nodes)
            cluster.restart()
        progress(workload, rng)
    check(cluster, history)


def test_a_single_node_serves_and_survives_kills(make_cluster: MakeCluster) -> None:
    rng = random.Random(9)
    cluster = make_cluster(1, environ=FAST)
    workload = Workload(cluster, seed=9)
    with workload.running() as history:
        for _ in range(3):
            progress(workload, rng)
            cluster.kill(1)
            cluster.restart(1)
        progress(workload, rng)
    check(cluster, history)


def test_five_nodes_go_on_without_any_two(make_cluster: MakeCluster) -> None:
    rng = random.Random(10)
    cluster = make_cluster(5, environ=FAST)
    workload = Workload(cluster, seed=10, clients=3)
    with workload.running() as history:
        for _ in range(2):
            leader = cluster.wait_for_leader()
            follower = rng.choice([node for node in cluster.nodes if node != leader])
            cluster.kill(leader, follower)
            progress(workload, rng)
            cluster.restart(leader, follower)
        progress(workload, rng)
    check(cluster, history)


def test_pauses_of_the_leader_under_load_lose_nothing(make_cluster: MakeCluster) -> None:
    rng = random.Random(11)
    cluster = make_cluster(environ=FAST)
    workload = Workload(cluster, seed=11)
    with workload.running() as history:
        for _ in range(3):
            progress(workload, rng)
            leader = cluster.wait_for_leader()
            cluster.pause(leader)
            cluster.wait_for_leader()
            progress(workload, rng)
            cluster.resume(leader)
        progress(workload, rng)
    check(cluster, history)


def test_sigterm_ends_a_node_cleanly_and_it_comes_back(make_cluster: MakeCluster) -> None:
    rng = random.Random(12)
    cluster = make_cluster(environ=FAST)
    workload = Workload(cluster, seed=12)
    with workload.running() as history:
        for node_id in cluster.nodes:
            progress(workload, rng)
            assert cluster.terminate(node_id) == 0
            assert "Traceback" not in cluster.nodes[node_id].log
            progress(workload, rng)
            cluster.restart(node_id)
            cluster.wait_for_leader()
    check(cluster, history)
