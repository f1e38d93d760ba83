"""Leadership that a node hands over, and what who asked for it is told."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.raft.messages import PreVoteReply, RequestVoteReply
from kvstore.raft.types import Role

from .cluster import TICK_MS, Claim, Cluster

PUT = api.Put(b"k", b"v")
GET = api.Get((b"k",))


def test_who_asked_for_a_handover_hears_when_it_is_done() -> None:
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    heir = cluster.followers()[0].raft.id
    leader.hand_over(api.HandOver(heir), claim)
    cluster.run(400)
    assert cluster.nodes[heir].raft.role is Role.LEADER
    assert claim.result == api.HandOverResult(heir, cluster.nodes[heir].raft.current_term)


def test_writes_are_refused_while_leadership_moves_and_taken_after() -> None:
    cluster, refused, taken = Cluster(), Claim(), Claim()
    leader = cluster.elect()
    cluster.run()
    heir = cluster.followers()[0].raft.id
    leader.hand_over(api.HandOver(heir), Claim())
    leader.submit_command(PUT, refused)
    cluster.run(400)
    assert refused.failure.code is api.FailureCode.NO_LEADER
    assert refused.failure.message == f"leadership is moving to node {heir}; try again"
    cluster.nodes[heir].submit_command(PUT, taken)
    cluster.run()
    assert isinstance(taken.result, api.PutResult)


def test_an_heir_that_is_down_keeps_the_leader_and_tells_why() -> None:
    cluster, claim, written = Cluster(), Claim(), Claim()
    leader = cluster.elect()
    cluster.run()
    heir = cluster.followers()[0].raft.id
    cluster.isolate(heir)
    leader.hand_over(api.HandOver(heir), claim)
    cluster.run(1_200)
    assert claim.failure.code is api.FailureCode.UNKNOWN, "who hears late stands late"
    assert f"node {heir} did not take over in time" in claim.failure.message
    again = Claim()
    leader.hand_over(api.HandOver(heir), again)
    cluster.run()
    assert again.failure.code is api.FailureCode.NO_HEIR, "nobody is told to stand"
    assert f"node {heir} cannot take over now" in again.failure.message
    leader.submit_command(PUT, written)
    cluster.run()
    assert isinstance(written.result, api.PutResult)


def test_who_asked_for_a_handover_waits_as_long_as_its_leader_does_for_the_heir() -> None:
    """Though its own time is up before: the heir may lead yet."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    leader.settings = msgspec.structs.replace(leader.settings, request_timeout_ms=100)
    cluster.run()
    heir = cluster.followers()[0].raft.id
    cluster.isolate(heir)
    leader.hand_over(api.HandOver(heir), claim)
    cluster.run(400)
    assert leader.raft.heir == heir
    assert claim.results == []
    until(lambda: leader.raft.heir is None, partial(cluster.run, TICK_MS), "it leads on")
    assert f"node {heir} did not take over in time" in claim.failure.message


@pytest.mark.parametrize("heir", [0, 9, -1])
def test_an_heir_that_does_not_exist_is_refused(heir: int) -> None:
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    leader.hand_over(api.HandOver(heir), claim)
    cluster.run()
    assert claim.failure.message == f"there is no node {heir}: the members are 1, 2, 3"


def test_a_leader_that_is_its_own_heir_leads_on() -> None:
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    leader.hand_over(api.HandOver(leader.raft.id), claim)
    cluster.run()
    assert claim.result == api.HandOverResult(leader.raft.id, leader.raft.current_term)
    assert leader.raft.takes_commands


def test_a_leader_of_a_later_term_than_was_named_tells_who_leads_and_leads_on() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    heir, other = (node.raft.id for node in cluster.followers())
    named = leader.raft.current_term
    leader.hand_over(api.HandOver(heir, named), Claim())
    cluster.run(400)
    heirs = cluster.nodes[heir]
    for again in (api.HandOver(None, named), api.HandOver(heir, named)):
        claim = Claim()
        heirs.hand_over(again, claim)
        cluster.run()
        assert claim.result == api.HandOverResult(heir, heirs.raft.current_term)
    refused = Claim()
    heirs.hand_over(api.HandOver(other, named), refused)
    cluster.run(400)
    assert refused.failure.code is api.FailureCode.INVALID
    assert f"node {heir} leads term {heirs.raft.current_term} by now" in refused.failure.message
    assert heirs.raft.takes_commands
    cluster.nodes[heir].hand_over(api.HandOver(other, heirs.raft.current_term), Claim())
    cluster.run(400)
    assert cluster.nodes[other].raft.role is Role.LEADER


def test_a_lone_node_can_hand_over_to_nobody() -> None:
    cluster, claim = Cluster(size=1), Claim()
    cluster.elect().hand_over(api.HandOver(None), claim)
    cluster.turn(1)
    assert claim.failure.message == "there is no other node"


def test_a_follower_points_who_wants_a_handover_to_the_leader() -> None:
    cluster, claim = Cluster(), Claim()
    cluster.elect()
    cluster.run()
    cluster.followers()[0].hand_over(api.HandOver(None), claim)
    cluster.run()
    assert claim.failure.code is api.FailureCode.NOT_LEADER


def test_a_second_handover_leaves_nobody_waiting_for_the_first() -> None:
    """A leader that lost its term amid a handover leads again, and is asked again at once."""
    cluster, first, second = Cluster(), Claim(), Claim()
    leader = cluster.elect()
    cluster.run()
    heir, voter = (node.raft.id for node in cluster.followers())
    cluster.asleep = {heir, voter}
    leader.hand_over(api.HandOver(heir), first)
    cluster.turn(leader.raft.id)
    term = leader.raft.current_term + 1
    sent = {"cluster_id": "test", "sender": voter, "recipient": leader.raft.id}
    leader.receive(RequestVoteReply(**sent, term=term, vote_granted=False))
    tick = partial(cluster.run, TICK_MS)
    until(lambda: leader.raft.role is Role.PRE_CANDIDATE, tick, "it would stand again")
    leader.receive(PreVoteReply(**sent, term=term, vote_granted=True))
    cluster.turn(leader.raft.id)
    leader.receive(RequestVoteReply(**sent, term=term + 1, vote_granted=True))
    leader.hand_over(api.HandOver(heir), second)
    cluster.turn(leader.raft.id)
    assert first.failure.code is api.FailureCode.INVALID
    assert f"node {leader.raft.id} leads term {term + 1} by now" in first.failure.message
    assert not second.results


def test_who_stops_waits_for_writers_only_while_a_majority_is_in_reach() -> None:
    """Otherwise their writes are not committed any more, however long it waits."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    one, other = (node.raft.id for node in cluster.followers())
    leader.submit_command(PUT, claim)
    leader.tick(cluster.now_ms, {one})
    assert leader.leading.is_needed
    leader.tick(cluster.now_ms, {one, other})
    assert not leader.leading.is_needed
    assert not leader.leading.make_way_before_exit()
    leader.tick(cluster.now_ms, {one})
    assert leader.leading.make_way_before_exit()
    assert leader.raft.heir == other
