"""Leadership that is handed over: by command, and by a leader that is told to stop."""

from __future__ import annotations

import random
import re
import signal
from datetime import datetime

import pytest

from kvstore import RefusedError, api
from kvstore.client.blocking import Client

from .conftest import MakeCluster
from .steps import assert_holds_everywhere, others, progress, put
from .workload import Workload, check

pytestmark = [pytest.mark.process, pytest.mark.timed]


def test_leadership_moves_under_load_and_nothing_acknowledged_is_lost(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    workload = Workload(cluster, seed=31)
    with workload.running() as history:
        for heir in (*cluster.nodes, *cluster.nodes):
            cluster.wait_for_leader()
            addresses = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes.values())
            with Client(addresses, 30_000) as client:
                assert client.transfer_leader(heir).leader_id == heir
            progress(workload, random.Random(heir))
    check(cluster, history)


def test_a_hand_over_that_is_asked_for_twice_moves_leadership_once(
    make_cluster: MakeCluster,
) -> None:
    """As a client does whose first copy was not answered: it asks whoever leads by then."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    request = api.HandOver(None, cluster.status(leader).term)
    with Client(f"127.0.0.1:{cluster.nodes[leader].port}", 30_000) as client:
        moved = client.execute(request)
        assert isinstance(moved, api.HandOverResult)
        assert moved.leader_id != leader
        assert client.execute(request) == moved
    assert cluster.wait_for_leader() == moved.leader_id
    assert cluster.status(leader).term == moved.term


def test_a_leader_that_is_told_to_stop_hands_over_first(make_cluster: MakeCluster) -> None:
    """Nobody waits for an election timeout: the heir stands because it is told to."""
    cluster = make_cluster()
    old = cluster.wait_for_leader()
    put(cluster, old, "before", "1")
    cluster.wait_until_level()
    assert cluster.terminate(old) == 0
    assert f"[node {old}] handing leadership to node " in cluster.nodes[old].log
    new = cluster.wait_for_leader(others(cluster, old))
    log = cluster.nodes[new].log
    assert f"[node {new}] standing because node {old} hands over" in log
    put(cluster, new, "after", "2")
    cluster.restart(old)
    assert_holds_everywhere(cluster, {"before": "1", "after": "2"})


def test_a_follower_that_wakes_changes_neither_leader_nor_term(make_cluster: MakeCluster) -> None:
    """It heard nothing for a long time, and asks before it stands."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    term = cluster.status(leader).term
    sleeper = others(cluster, leader)[0]
    cluster.pause(sleeper)
    for number in range(200):
        put(cluster, leader, f"k{number}", "v")
    cluster.resume(sleeper)
    assert_holds_everywhere(cluster, {f"k{number}": "v" for number in range(200)})
    assert cluster.wait_for_leader() == leader
    assert cluster.status(leader).term == cluster.status(sleeper).term == term


def test_a_node_that_is_not_there_cannot_be_the_heir(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    heir = others(cluster, leader)[0]
    cluster.kill(heir)
    cluster.wait_for_log(leader, f"no link to node {heir}: ")
    with (
        Client(f"127.0.0.1:{cluster.nodes[leader].port}", 3_000) as client,
        pytest.raises(RefusedError, match=f"node {heir} cannot take over now") as caught,
    ):
        client.transfer_leader(heir)
    assert (caught.value.code, caught.value.retryable) == ("NOHEIR", True)
    with cluster.client(leader) as connection:
        assert connection.set("still", "leading")
    assert "handing leadership" not in cluster.nodes[leader].log


def test_a_leader_that_is_told_to_stop_hands_over_to_the_node_that_is_up(
    make_cluster: MakeCluster,
) -> None:
    """And not to the one that is as close, but gone."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    gone, heir = others(cluster, leader)
    cluster.wait_until_level()
    cluster.kill(gone)
    cluster.wait_for_log(leader, f"no link to node {gone}: ")
    assert cluster.terminate(leader) == 0
    assert f"handing leadership to node {heir}" in cluster.nodes[leader].log
    assert "did not take over" not in cluster.nodes[leader].log
    cluster.wait_for_log(heir, "standing because")


def test_a_leader_that_nobody_can_replace_stops_at_once(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    cluster.kill(*others(cluster, leader))
    for gone in others(cluster, leader):
        cluster.wait_for_log(leader, f"no link to node {gone}: ")
    assert cluster.terminate(leader) == 0
    log = cluster.nodes[leader].log
    assert "handing leadership" not in log
    assert "no other node can take over now" in log
    assert stopping_ms(log) < 500


def test_nodes_that_are_told_to_stop_together_wait_for_nobody(make_cluster: MakeCluster) -> None:
    """As Ctrl-C does with `make cluster`: an heir may be on its way out as well."""
    cluster = make_cluster()
    cluster.wait_for_leader()
    for node in cluster.nodes.values():
        node.send(signal.SIGTERM)
    assert [node.end(signal.SIGCONT) for node in cluster.nodes.values()] == [0, 0, 0]
    assert max(stopping_ms(node.log) for node in cluster.nodes.values()) < 500


def stopping_ms(log: str) -> float:
    """From the word that it stops to the one that it has."""
    found = re.findall(r"(?m)^(\S+) info \[node \d\] (?:shutting down|stopped)", log)
    begun, ended = map(datetime.fromisoformat, found[-2:])
    return (ended - begun).total_seconds() * 1000
