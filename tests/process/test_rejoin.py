"""Nodes that lose their directories: silent until an operator says so, then one after another
heard, level, and counted.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from kvstore import api
from kvstore.address import Address
from kvstore.cli import probe

from .cluster import DEADLINE_S, Cluster
from .conftest import MakeCluster
from .steps import assert_refuses, others, put_anywhere
from .workload import read_everything

pytestmark = pytest.mark.process


def lose_directory(cluster: Cluster, node_id: int) -> None:
    cluster.kill(node_id)
    shutil.rmtree(cluster.nodes[node_id].data_dir)


def rejoin(cluster: Cluster, node_id: int) -> None:
    """Start it as a supervisor does that knows of the loss, and of nothing else."""
    cluster.join(node_id, *(one for one in cluster.awake if one != node_id))
    cluster.wait_until_answers(node_id)


def wait_for_end(cluster: Cluster, node_id: int, text: str) -> None:
    """The node ends itself, and says why."""
    node = cluster.nodes[node_id]
    assert node.process is not None
    assert node.process.wait(DEADLINE_S) == 3
    assert text in node.log
    assert "Traceback" not in node.log


def test_a_wiped_directory_neither_votes_nor_counts(make_cluster: MakeCluster) -> None:
    """etcd#10817: with a forgotten vote and a forgotten log, it would help a wrong leader."""
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    wiped, third = (node for node in cluster.nodes if node != leader)
    cluster.kill(third)
    lose_directory(cluster, wiped)
    cluster.spawn(wiped)
    wait_for_end(cluster, wiped, f"knows node {wiped} by another directory")
    assert "--join" in cluster.nodes[wiped].log
    # Its own log says so as well, but `kvstore status` asks those that are there.
    address = Address(cluster.nodes[leader].host, cluster.nodes[leader].port)
    (status,) = probe.ask_all([address], api.Call(api.Status()), time.monotonic() + 10)
    assert isinstance(status, api.StatusResult)
    assert f"knows node {wiped} by another directory" in status.refused[wiped]
    assert "refused a peer" in cluster.nodes[leader].log
    # Alone, the leader has no majority.
    cluster.wait_for_log(leader, "no majority answered")
    cluster.restart(third)
    put_anywhere(cluster, "after", (leader, third))
    cluster.is_audited = False


def test_a_node_that_rejoins_catches_up_and_then_votes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    lost, third = (node for node in cluster.nodes if node != leader)
    lose_directory(cluster, lost)
    put_anywhere(cluster, "meanwhile", (leader, third))
    rejoin(cluster, lost)
    cluster.wait_for_log(lost, "this node votes from now on")
    cluster.wait_until_level()
    cluster.kill(leader)
    put_anywhere(cluster, "after", (lost, third))
    cluster.wait_until_level()
    assert set(read_everything(cluster, lost)) == {"before", "meanwhile", "after"}
    # A supervisor starts it as it was told to, whatever has happened since.
    cluster.restart(leader)
    cluster.wait_until_level()
    assert cluster.terminate(lost) == 0
    rejoin(cluster, lost)
    cluster.wait_until_level()


def test_until_it_is_admitted_it_is_no_majority_with_one_other(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    lost, third = (node for node in cluster.nodes if node != leader)
    cluster.kill(third)
    lose_directory(cluster, lost)
    rejoin(cluster, lost)
    cluster.wait_for_log(leader, "no majority answered")
    cluster.wait_for_log(lost, "connected to node")
    assert "votes from now on" not in cluster.nodes[lost].log
    assert cluster.status(leader).role != "leader"
    cluster.restart(third)
    cluster.wait_for_log(lost, "this node votes from now on")
    put_anywhere(cluster, "after")


def test_an_old_copy_of_a_directory_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    victim = next(node for node in cluster.nodes if node != leader)
    data_dir = cluster.nodes[victim].data_dir
    copy = data_dir.with_name("copy")
    assert cluster.terminate(victim) == 0
    shutil.copytree(data_dir, copy)
    cluster.restart(victim)
    cluster.wait_for_log(leader, f"connected to node {victim}")
    put_anywhere(cluster, "after")
    cluster.wait_until_level()
    assert cluster.terminate(victim) == 0
    shutil.rmtree(data_dir)
    shutil.copytree(copy, data_dir)
    cluster.spawn(victim)
    wait_for_end(cluster, victim, "copied before its last starts")
    lose = cluster.nodes[victim].data_dir
    shutil.rmtree(lose)
    rejoin(cluster, victim)
    cluster.wait_for_log(victim, "this node votes from now on")
    cluster.wait_until_level()


def test_the_old_directory_does_not_come_back_after_a_rejoin(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    victim = next(node for node in cluster.nodes if node != leader)
    data_dir = cluster.nodes[victim].data_dir
    old = data_dir.with_name("old")
    cluster.kill(victim)
    data_dir.rename(old)
    rejoin(cluster, victim)
    cluster.wait_for_log(victim, "this node votes from now on")
    assert cluster.terminate(victim) == 0
    new = data_dir.with_name("new")
    data_dir.rename(new)
    old.rename(data_dir)
    cluster.spawn(victim)
    wait_for_end(cluster, victim, "votes no more")
    shutil.rmtree(data_dir)
    new.rename(data_dir)
    cluster.restart(victim)
    put_anywhere(cluster, "after")
    cluster.wait_until_level()


def test_who_never_met_the_new_directory_refuses_the_old_one(make_cluster: MakeCluster) -> None:
    """Its log has the entry by which the new one votes: with the old one it would elect a leader
    without a write that was acknowledged meanwhile.
    """
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    victim, third = others(cluster, leader)
    data_dir, known = cluster.nodes[victim].data_dir, peers_file(cluster, third)
    cluster.kill(victim)
    data_dir.rename(old := data_dir.with_name("old"))
    before = known.read_bytes()
    rejoin(cluster, victim)
    cluster.wait_for_log(victim, "this node votes from now on")
    cluster.wait_until_level()
    assert cluster.terminate(third) == 0
    put_anywhere(cluster, "acknowledged", (leader, victim))
    cluster.kill(leader, victim)
    data_dir.rename(new := data_dir.with_name("new"))
    old.rename(data_dir)
    known.write_bytes(before)  # It has met nobody since.
    cluster.start(third)
    cluster.spawn(victim)
    wait_for_end(cluster, victim, f"this directory of node {victim} votes no more")
    assert "--join" in cluster.nodes[victim].log
    data_dir.rename(old)
    new.rename(data_dir)
    cluster.restart(victim)
    put_anywhere(cluster, "after", (victim, third))
    cluster.restart(leader)
    cluster.wait_until_level()
    for node_id in cluster.nodes:
        assert set(read_everything(cluster, node_id)) == {"before", "acknowledged", "after"}


def peers_file(cluster: Cluster, node_id: int) -> Path:
    """What a node knows of the directories of others."""
    return cluster.nodes[node_id].data_dir / "raft" / "peers"


def test_a_directory_that_is_there_is_what_counts_whatever_the_command_line_says(
    make_cluster: MakeCluster,
) -> None:
    """A supervisor may go on with `--join`, with the founders, or with hardly anything."""
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    victim = next(node for node in cluster.nodes if node != cluster.wait_for_leader())
    for changes in ({"peers": None, "join": "127.0.0.1:1"}, {"peers": "none"}, LITTLE):
        assert cluster.terminate(victim) == 0
        command = cluster.command(victim, **changes)
        cluster.nodes[victim].spawn(command, cluster.process_environ())
        cluster.wait_until_answers(victim)
        cluster.wait_until_level()
    assert cluster.terminate(victim) == 0
    assert_refuses(cluster.run_to_end(victim, cluster="other"), "belongs to cluster")
    assert_refuses(cluster.run_to_end(victim, id=9), f"belongs to node {victim}, not 9")
    cluster.restart(victim)


LITTLE = {"peers": None, "cluster": None, "id": None}
