"""A disk that fills up: refused in time, given up by leaders, and taken again by itself."""

from __future__ import annotations

from kvstore import api
from kvstore.config import Limits
from kvstore.raft.types import Role

from .cluster import Claim, Cluster

HEADROOM = Limits().headroom_bytes
PUT = api.Put(b"k", b"v")


def write(cluster: Cluster) -> api.Result:
    """What the leader of the moment answers to a put."""
    claim = Claim()
    cluster.elect().submit_command(PUT, claim)
    cluster.run()
    return claim.result


def leader_of(cluster: Cluster) -> int:
    return cluster.elect().raft.id


def test_a_leader_short_of_room_refuses_writes_before_it_proposes_them() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = HEADROOM - 1
    cluster.run()
    last = node.raft.log.last_index
    claim = Claim()
    node.submit_command(PUT, claim)
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_SPACE
    assert "15 MiB of room left and keeps 16 MiB" in claim.failure.message
    assert node.raft.log.last_index == last


def test_reads_need_no_room() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = 0
    cluster.run()
    claim = Claim()
    node.submit_query(api.Get((b"k",)), claim)
    cluster.run()
    assert isinstance(claim.result, api.GetResult)


def test_leadership_moves_to_a_node_with_room() -> None:
    cluster = Cluster()
    assert isinstance(write(cluster), api.PutResult)
    full = leader_of(cluster)
    cluster.room[full] = 0
    cluster.run(1_500)
    assert leader_of(cluster) != full
    assert cluster.nodes[full].raft.role is Role.FOLLOWER
    assert isinstance(write(cluster), api.PutResult)


def test_a_leader_goes_on_if_nobody_else_has_room() -> None:
    cluster = Cluster()
    leader = leader_of(cluster)
    term = cluster.nodes[leader].raft.current_term
    for node in cluster.nodes:
        cluster.room[node] = 0
    cluster.run(3_000)
    assert (leader_of(cluster), cluster.nodes[leader].raft.current_term) == (leader, term)
    refusal = write(cluster)
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.NO_SPACE


def test_room_that_is_back_is_used_by_itself() -> None:
    cluster = Cluster()
    for node in cluster.nodes:
        cluster.room[node] = 0
    cluster.elect()
    cluster.run()
    assert isinstance(write(cluster), api.Failure)
    cluster.room.clear()
    cluster.run()
    assert isinstance(write(cluster), api.PutResult)


def test_what_a_leader_took_its_followers_take_with_half_of_the_headroom() -> None:
    cluster = Cluster()
    leader = leader_of(cluster)
    for node in cluster.nodes:
        if node != leader:
            cluster.room[node] = HEADROOM // 2
    cluster.run()
    assert isinstance(write(cluster), api.PutResult)


def test_writes_between_two_looks_are_counted() -> None:
    """A burst must not run through the headroom before somebody looks again."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = HEADROOM + (1 << 20)
    cluster.run()
    claims = [Claim() for _ in range(8)]
    for claim in claims:
        node.submit_command(api.Put(b"k", b"x" * (200 << 10)), claim)
    cluster.run()
    codes = [getattr(claim.result, "code", None) for claim in claims]
    assert codes[:2] == [None, None]
    assert codes[-1] is api.FailureCode.NO_SPACE


def test_a_state_that_has_no_room_waits_and_loses_nothing() -> None:
    cluster = Cluster(size=1)
    cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = 0
    cluster.run(2_000)
    before = cluster.states[1].applied()
    cluster.nodes[1].checkpoint()
    assert cluster.states[1].applied() == before
    cluster.room.clear()
    cluster.run(2_000)
    assert cluster.states[1].applied().last_applied == cluster.nodes[1].raft.commit_index
