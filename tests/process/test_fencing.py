"""A leader that lost its term while it slept, was cut off or was dead, comes back fenced."""

from __future__ import annotations

import re

import pytest
import redis

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .resp import ask, dial, encode, read_line
from .steps import asked, assert_holds_everywhere, others, put
from .workload import read_everything

pytestmark = pytest.mark.process


def put_error(cluster: Cluster, node_id: int) -> str:
    """What a node answers to a write that it must not take."""
    with cluster.client(node_id) as client, pytest.raises(redis.ResponseError) as caught:
        client.set("misplaced", "x")
    return str(caught.value)


def assert_fenced(cluster: Cluster, node_id: int, own_term: int, *, after: int) -> None:
    """The lines that a node must log when it learns of a higher term, in their order."""
    start = cluster.wait_for_log(node_id, f"[node {node_id}] stepping down: saw term ", after=after)
    cluster.wait_for_log(node_id, f"[node {node_id}] became follower", after=start)
    seen = re.match(r"(\d+) > my term (\d+)", cluster.nodes[node_id].log[start:])
    assert seen is not None
    assert int(seen[1]) > int(seen[2]) == own_term


def assert_points_at_leader(cluster: Cluster, node_id: int) -> None:
    def points() -> bool:
        leader = cluster.wait_for_leader()
        port = cluster.nodes[leader].port
        expected = f"NOTLEADER not leader, try node {leader} at 127.0.0.1:{port}"
        return leader != node_id and put_error(cluster, node_id) == expected

    eventually(points, f"node {node_id} points writers at the leader")


def test_a_paused_leader_wakes_fenced_and_its_waiting_write_never_happens(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    old = cluster.wait_for_leader()
    old_term = cluster.status(old).term
    put(cluster, old, "before", "1")
    position = len(cluster.nodes[old].log)
    with dial(cluster.nodes[old].port) as connection:
        assert ask(connection, b"PING") == "+PONG"
        cluster.pause(old)
        connection.sendall(encode(b"SET", b"waiting", b"stale"))
        new = cluster.wait_for_leader(others(cluster, old))
        put(cluster, new, "after", "2")
        cluster.resume(old)
        assert read_line(connection).startswith(("-NOTLEADER ", "-NOLEADER ", "-UNKNOWN "))
    assert_fenced(cluster, old, old_term, after=position)
    assert_points_at_leader(cluster, old)
    assert_holds_everywhere(cluster, {"before": "1", "after": "2"})


def test_a_leader_that_is_cut_off_takes_a_write_alone_steps_down_and_rolls_it_back(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(links=True, environ={"KVSTORE_REQUEST_TIMEOUT_MS": "1000"})
    old = cluster.wait_for_leader()
    old_term = cluster.status(old).term
    put(cluster, old, "before", "1")
    position = len(cluster.nodes[old].log)
    with dial(cluster.nodes[old].port) as connection:
        assert ask(connection, b"PING") == "+PONG"
        cluster.partition({old}, others(cluster, old))
        connection.sendall(encode(b"SET", b"waiting", b"stale"))
        new = cluster.wait_for_leader(others(cluster, old))
        put(cluster, new, "after", "2")
        assert read_line(connection).startswith("-UNKNOWN outcome unknown")
    cluster.wait_for_log(old, f"[node {old}] stepping down: no majority answered", after=position)
    alone = cluster.status(old)
    assert alone.role != "leader"
    assert alone.term == old_term, "nothing of the newer term can have reached it"
    assert put_error(cluster, old).startswith("NOLEADER ")
    assert cluster.status(new).term > old_term
    cluster.heal()
    assert_fenced(cluster, old, old_term, after=position)
    cluster.wait_for_log(old, f"[node {old}] rolled back 1 uncommitted entry", after=position)
    assert_holds_everywhere(cluster, {"before": "1", "after": "2"})


def test_a_leader_that_wakes_cut_off_leads_no_more(make_cluster: MakeCluster) -> None:
    """It stood still for longer than any election takes, and needs nobody to tell it."""
    cluster = make_cluster(links=True)
    old = cluster.wait_for_leader()
    old_term = cluster.status(old).term
    with dial(cluster.nodes[old].port) as connection:
        assert ask(connection, b"PING") == "+PONG"
        cluster.pause(old)
        cluster.partition({old}, others(cluster, old))
        connection.sendall(encode(b"SET", b"waiting", b"stale"))
        new = cluster.wait_for_leader(others(cluster, old))
        cluster.wait_for_log(new, f"[node {new}] became leader")
        put(cluster, new, "after", "2")
        cluster.resume(old)
        assert read_line(connection).startswith(("-NOLEADER ", "-UNKNOWN "))
    assert cluster.status(old).role != "leader"
    assert cluster.status(old).term == old_term
    cluster.heal()
    assert_holds_everywhere(cluster, {"after": "2"})


def test_a_write_that_was_rolled_back_while_it_waited_is_refused_not_lost(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(links=True, environ={"KVSTORE_REQUEST_TIMEOUT_MS": "60000"})
    old = cluster.wait_for_leader()
    cluster.partition({old}, others(cluster, old))
    with dial(cluster.nodes[old].port) as connection:
        connection.sendall(encode(b"SET", b"alone", b"x"))
        new = cluster.wait_for_leader(others(cluster, old))
        put(cluster, new, "after", "2")
        cluster.heal()
        assert "rolled back" in read_line(connection)
    assert_holds_everywhere(cluster, {"after": "2"})


def test_a_killed_leader_comes_back_with_its_old_term_and_follows(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    old = cluster.wait_for_leader()
    old_term = cluster.status(old).term
    put(cluster, old, "before", "1")
    cluster.kill(old)
    new = cluster.wait_for_leader()
    put(cluster, new, "after", "2")
    position = len(cluster.nodes[old].log)
    cluster.restart(old)
    assert_fenced(cluster, old, old_term, after=position)
    assert_points_at_leader(cluster, old)
    assert_holds_everywhere(cluster, {"before": "1", "after": "2"})


def test_a_follower_that_slept_through_an_election_steps_down_to_the_new_term(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    follower, third = others(cluster, leader)
    old_term = cluster.status(follower).term
    cluster.kill(follower)
    cluster.kill(leader)
    cluster.start(leader)
    cluster.wait_for_leader((leader, third))
    position = len(cluster.nodes[follower].log)
    cluster.restart(follower)
    assert_fenced(cluster, follower, old_term, after=position)
    assert cluster.wait_for_leader() != follower


def test_a_leader_without_followers_cannot_say_yes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ={"KVSTORE_REQUEST_TIMEOUT_MS": "700"})
    leader = cluster.wait_for_leader()
    cluster.kill(*others(cluster, leader))
    assert put_error(cluster, leader).startswith("UNKNOWN outcome unknown")
    # It alone holds the write, so its log is the most complete: a cluster may keep it.
    cluster.restart(*others(cluster, leader))
    # What the new leader found is decided with what it takes itself.
    eventually(lambda: asked(cluster, "SET", "after", "x") == "OK", "writes are taken again")
    cluster.wait_until_level()
    contents = [read_everything(cluster, node_id) for node_id in cluster.nodes]
    assert contents[0] in ({"after": "x"}, {"after": "x", "misplaced": "x"})
    assert contents == [contents[0]] * 3


def test_a_node_that_knows_no_leader_refuses_and_says_so(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    alone, killed = others(cluster, leader)
    cluster.kill(leader, killed)
    cluster.wait_for_role(alone, "pre-candidate")
    assert put_error(cluster, alone).startswith("NOLEADER ")
    cluster.restart(leader, killed)
    assert_holds_everywhere(cluster, {})
