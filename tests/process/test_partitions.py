"""Links fail while clients write: both ways, one way, and so that nobody sees everybody."""

from __future__ import annotations

import random

import pytest
import redis

from .cluster import eventually
from .conftest import MakeCluster
from .proxy import Mode
from .steps import FAST, asked, others, progress
from .workload import Workload, check

pytestmark = pytest.mark.process


@pytest.mark.parametrize("mode", [Mode.DROP, Mode.REFUSE])
def test_a_leader_cut_off_from_all_is_replaced_and_loses_nothing(
    make_cluster: MakeCluster, mode: Mode
) -> None:
    rng = random.Random(21)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed=21)
    with workload.running() as history:
        for _ in range(2):
            progress(workload, rng)
            leader = cluster.wait_for_leader()
            cluster.partition({leader}, others(cluster, leader), mode=mode)
            assert cluster.wait_for_leader(others(cluster, leader)) != leader
            progress(workload, rng)
            cluster.heal()
            cluster.wait_for_leader()
    check(cluster, history)


def test_two_of_five_cut_off_with_the_leader_cannot_commit(make_cluster: MakeCluster) -> None:
    rng = random.Random(22)
    cluster = make_cluster(5, links=True, environ=FAST)
    workload = Workload(cluster, seed=22, clients=3)
    with workload.running() as history:
        leader = cluster.wait_for_leader()
        companion = rng.choice(others(cluster, leader))
        majority = [node for node in cluster.nodes if node not in (leader, companion)]
        cluster.partition({leader, companion}, majority)
        cluster.wait_for_leader(majority)
        committed = cluster.status(leader).commit_index
        progress(workload, rng)
        assert cluster.status(leader).commit_index == committed
        cluster.heal()
        cluster.wait_for_leader()
    check(cluster, history)


def test_a_leader_that_can_only_listen_is_replaced(make_cluster: MakeCluster) -> None:
    rng = random.Random(23)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed=23)
    with workload.running() as history:
        progress(workload, rng)
        leader = cluster.wait_for_leader()
        for follower in others(cluster, leader):
            cluster.cut(leader, follower)
        # It hears the new term, and so must step down although nobody hears it.
        cluster.wait_for_role(leader, "follower")
        progress(workload, rng)
        cluster.heal()
        cluster.wait_for_leader()
    check(cluster, history)


def test_a_leader_that_can_only_speak_acknowledges_nothing(make_cluster: MakeCluster) -> None:
    rng = random.Random(24)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed=24)
    with workload.running() as history:
        progress(workload, rng)
        leader = cluster.wait_for_leader()
        for follower in others(cluster, leader):
            cluster.cut(follower, leader)
        with cluster.client(leader) as client, pytest.raises(redis.ResponseError) as caught:
            client.set("unheard", "x")
        assert str(caught.value).startswith(("UNKNOWN ", "NOTLEADER ", "NOLEADER "))
        cluster.heal()
        progress(workload, rng)
        eventually(lambda: asked(cluster, "DEL", "unheard") == "OK", "the leader deletes it")
    check(cluster, history)


@pytest.mark.timed
def test_a_follower_that_can_only_speak_does_no_harm(make_cluster: MakeCluster) -> None:
    rng = random.Random(25)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed=25)
    with workload.running() as history:
        leader = cluster.wait_for_leader()
        deaf = others(cluster, leader)[0]
        term = cluster.status(leader).term
        for node in cluster.nodes:
            if node != deaf:
                cluster.cut(node, deaf)
        # It hears no heartbeats, and asks in vain who would vote for it.
        cluster.wait_for_role(deaf, "pre-candidate")
        progress(workload, rng)
        assert (cluster.status(leader).role, cluster.status(leader).term) == ("leader", term)
        cluster.heal()
        progress(workload, rng)
    check(cluster, history)


def test_two_nodes_that_see_each_other_only_through_a_third_lose_nothing(
    make_cluster: MakeCluster,
) -> None:
    rng = random.Random(26)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed=26)
    with workload.running() as history:
        leader = cluster.wait_for_leader()
        far = others(cluster, leader)[0]
        cluster.cut(leader, far)
        cluster.cut(far, leader)
        for _ in range(3):
            progress(workload, rng)
        cluster.heal()
        progress(workload, rng)
    check(cluster, history)


@pytest.mark.parametrize("seed", [31, 32])
def test_random_cuts_lose_no_acknowledged_write(make_cluster: MakeCluster, seed: int) -> None:
    rng = random.Random(seed)
    cluster = make_cluster(links=True, environ=FAST)
    workload = Workload(cluster, seed)
    pairs = [(one, two) for one in cluster.nodes for two in cluster.nodes if one != two]
    with workload.running() as history:
        for _ in range(3):
            progress(workload, rng)
            for one, two in rng.sample(pairs, rng.randrange(1, 5)):
                cluster.cut(one, two, rng.choice([Mode.DROP, Mode.REFUSE]))
            attempts = len(history.writes) + rng.randrange(20, 100)
            eventually(lambda goal=attempts: len(history.writes) > goal, "clients try to write")
            cluster.heal()
            cluster.wait_for_leader()
        progress(workload, rng)
    check(cluster, history)
