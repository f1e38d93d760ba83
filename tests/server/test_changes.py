"""Changes of members that clients ask for, and what each is told."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.raft.types import Role
from kvstore.server.node import Node
from kvstore.server.node_status import members_of

from .cluster import TICK_MS, Claim, Cluster

ADD = api.AddMember(4, "127.0.0.1:9004")


def asked(node: Node, change: api.Change) -> Claim:
    claim = Claim()
    node.change_members(change, claim)
    return claim


def listed(node: Node, *, is_stale: bool = False) -> api.MembersResult:
    found = members_of(node, is_stale=is_stale)
    assert isinstance(found, api.MembersResult)
    return found


def settled() -> tuple[Cluster, Node]:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    return cluster, leader


def test_a_change_is_answered_when_a_majority_has_it_and_in_force_before() -> None:
    cluster, leader = settled()
    assert listed(leader).index == 0
    claim = asked(leader, ADD)
    index = leader.raft.log.last_index
    assert leader.roster.members.keys() == {1, 2, 3, 4}
    assert (listed(leader).index, listed(leader).is_settled) == (index, False)
    assert claim.results == []
    cluster.run()
    assert claim.result == api.ChangeResult(index)
    assert listed(leader).is_settled
    for node in cluster.nodes.values():
        assert node.roster.members.keys() == {1, 2, 3, 4}


def test_the_leader_tells_who_the_members_are_and_how_they_do() -> None:
    cluster, leader = settled()
    asked(leader, ADD)
    away = cluster.followers()[0].raft.id
    cluster.isolate(away)
    cluster.run(1_000)
    found = listed(leader)
    assert (found.cluster_id, found.leader_id) == ("test", leader.raft.id)
    assert [one.node_id for one in found.members] == [1, 2, 3, 4]
    assert [one.address for one in found.members][3] == "127.0.0.1:9004"
    answering = {one.node_id for one in found.members if one.answers}
    assert answering == {1, 2, 3} - {away}
    assert {one.node_id: one.role for one in found.members} == {
        **dict.fromkeys((1, 2, 3), api.MemberRole.VOTER),
        4: api.MemberRole.LEARNER,
    }
    assert found.members[leader.raft.id - 1].match_index == found.last_log_index


def test_other_nodes_say_who_leads_or_what_they_know_if_that_will_do() -> None:
    cluster, leader = settled()
    follower = cluster.followers()[0]
    refusal = members_of(follower, is_stale=False)
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.NOT_LEADER
    assert asked(follower, ADD).results == []
    cluster.run()
    assert leader.roster.members.keys() == {1, 2, 3}
    found = listed(follower, is_stale=True)
    assert found.leader_id == leader.raft.id
    assert not any(one.answers for one in found.members)


def test_one_change_is_made_at_a_time() -> None:
    cluster, leader = settled()
    first = asked(leader, ADD)
    second = asked(leader, api.AddMember(5, "127.0.0.1:9005"))
    cluster.run()
    assert isinstance(first.result, api.ChangeResult)
    assert second.failure.code is api.FailureCode.NO_CHANGE
    assert "another change of members is under way (log entry 2)" in second.failure.message
    third = asked(leader, api.AddMember(5, "127.0.0.1:9005"))
    cluster.run()
    assert isinstance(third.result, api.ChangeResult)


def test_a_leader_that_has_committed_nothing_yet_has_changes_wait() -> None:
    """What another leader began is decided with its own first entry: that is worth a retry."""
    cluster, old = settled()
    asked(old, ADD)
    heirs, index = cluster.followers(), old.raft.log.last_index

    def tick() -> None:
        cluster.run(TICK_MS)

    until(lambda: all(one.raft.log.last_index == index for one in heirs), tick, "they have it")
    cluster.isolate(old.raft.id)
    until(lambda: any(one.raft.leadership for one in heirs), tick, "another one leads")
    new = next(one for one in heirs if one.raft.leadership)
    assert new.raft.commit_index < index, "it does not know what became of it"
    claim = asked(new, api.AddMember(5, "127.0.0.1:9005"))
    tick()
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_a_copy_of_a_change_is_answered_as_the_first_one_was_and_does_nothing() -> None:
    cluster, leader = settled()
    named = api.AddMember(4, ADD.address, after=0)
    first, at_once = asked(leader, named), asked(leader, named)
    cluster.run()
    last_index = leader.raft.log.last_index
    late = asked(leader, named)
    cluster.run()
    assert first.result == at_once.result == late.result == api.ChangeResult(2)
    assert leader.raft.log.last_index == last_index


def test_a_copy_of_a_remove_removes_nobody_who_came_since() -> None:
    cluster, leader = settled()
    gone = cluster.followers()[0].raft.id
    remove = api.RemoveMember(gone, after=0)
    assert asked(leader, remove).results == []
    cluster.run()
    back = asked(leader, api.AddMember(gone, "127.0.0.1:9009"))
    cluster.run()
    assert isinstance(back.result, api.ChangeResult)
    late = asked(leader, remove)
    cluster.run()
    assert late.failure.code is api.FailureCode.INVALID
    assert "the members have changed meanwhile" in late.failure.message
    assert gone in leader.roster.members


def test_a_change_is_refused_with_its_reason() -> None:
    cluster, leader = settled()
    known = asked(leader, api.AddMember(2, "127.0.0.1:9009"))
    away, other = (node.raft.id for node in cluster.followers())
    cluster.isolate(away)
    cluster.run(1_000)
    risky = asked(leader, api.RemoveMember(other))
    cluster.run()
    assert known.failure.code is api.FailureCode.INVALID
    assert risky.failure.code is api.FailureCode.NO_CHANGE
    assert leader.roster.members.keys() == {1, 2, 3}


def test_a_change_that_other_entries_replaced_was_rolled_back() -> None:
    cluster, old = settled()
    cluster.isolate(old.raft.id)
    claim = asked(old, ADD)
    cluster.run(3_000)
    new = next(node for node in cluster.nodes.values() if node.raft.role is Role.LEADER)
    assert new is not old
    assert new.roster.members.keys() == {1, 2, 3}
    cluster.heal()
    cluster.run(1_000)
    assert claim.failure.message.endswith("the write was rolled back") or (
        claim.failure.code is api.FailureCode.UNKNOWN
    )
    assert old.roster.members.keys() == {1, 2, 3}


@pytest.mark.parametrize("ends", [False, True])
def test_the_outcome_of_a_change_that_nobody_confirms_is_unknown(ends: bool) -> None:
    cluster, leader = settled()
    for follower in cluster.followers():
        cluster.isolate(follower.raft.id)
    claim = asked(leader, ADD)
    if ends:
        for answer in leader.abandon_clients():
            answer.ticket.fill(answer.result)
    else:
        cluster.run(leader.settings.request_timeout_ms + 1_000)
    assert claim.failure.code is api.FailureCode.UNKNOWN
    assert "kvstore member list" in claim.failure.message


def test_a_learner_that_lags_is_not_promoted() -> None:
    cluster, leader = settled()
    asked(leader, ADD)
    cluster.run(1_000)
    claim = asked(leader, api.PromoteMember(4))
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_CHANGE
    assert "node 4 does not answer: start it" in claim.failure.message


def test_a_learner_that_was_never_heard_is_not_promoted_however_short_the_log_is() -> None:
    """It would vote with a directory of no name."""
    cluster, leader = settled()
    asked(leader, ADD)
    until(lambda: listed(leader).is_settled, lambda: cluster.run(50), "the change is committed")
    claim = asked(leader, api.PromoteMember(4))
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_CHANGE
    assert leader.raft.log.configuration.voters == {1, 2, 3}


def test_a_change_that_waits_across_an_installation_is_answered() -> None:
    """Until the data is in place there is no term to judge it by."""
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run(1_000)
    cluster.isolate(leader.raft.id)
    for number in range(60):
        leader.submit_command(api.Put(b"%d" % number, b"v"), Claim())
    claim = Claim()
    leader.change_members(api.AddMember(4, "127.0.0.1:9004"), claim)
    cluster.run(2_000)
    [successor] = [
        one for one in cluster.nodes.values() if one.raft.leadership and one is not leader
    ]
    for number in range(20):
        successor.submit_command(api.Put(b"n%d" % number, b"v"), Claim())
    cluster.run(1_000)
    successor.raft.compact(cluster.states[successor.raft.id].applied().last_applied)
    cluster.run(100)
    assert not claim.results
    cluster.heal()
    cluster.run(2_000)
    assert claim.failure.code in (api.FailureCode.UNKNOWN, api.FailureCode.NOT_LEADER)
