"""What is told of replicas that were compared, on nodes without sockets."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.divergence_events import DataDiffer
from kvstore.raft.messages import CompareStatesReply, Message
from kvstore.raft.state_events import StatesCompared, StatesDisputed
from kvstore.raft.types import Role
from kvstore.storage.base import Divergence

from .checks import ask, check, elected, events_of, leader_of, loses_replies_of, put, spoil
from .cluster import Cluster


def test_a_follower_that_differs_is_named_and_sees_it_itself() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    odd = next(node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    result = check(cluster, leader)
    assert result.differ == (odd,)
    assert events_of(cluster, odd, DataDiffer) == [
        DataDiffer(leader.raft.current_term, result.index)
    ]
    assert not events_of(cluster, leader.raft.id, DataDiffer)
    [told] = events_of(cluster, leader.raft.id, StatesCompared)
    assert told.differ == (odd,)
    assert told.agree == tuple(sorted({1, 2, 3} - {odd}))


def test_a_node_that_differs_is_told_though_messages_get_lost() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    odd = next(node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    claim = ask(leader)
    cluster.run(100)
    cluster.isolate(odd)
    cluster.run(7_000)
    assert claim.results
    cluster.heal()
    cluster.run(3_000)
    assert len(events_of(cluster, odd, DataDiffer)) == 1


def test_a_leader_that_differs_hands_over_and_finds_itself() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    spoil(cluster, leader.raft.id)
    ask(leader)
    cluster.run(3_000)
    assert leader.raft.role is not Role.LEADER
    assert leader_of(cluster).raft.id != leader.raft.id
    assert len(events_of(cluster, leader.raft.id, DataDiffer)) == 1


@pytest.mark.parametrize("leads", [True, False])
def test_the_next_comparison_waits_until_who_differs_knows(leads: bool) -> None:
    """It would take the place of what is to be told of the last one."""
    cluster = Cluster()
    leader = elected(cluster)
    odd = leader.raft.id if leads else cluster.followers()[0].raft.id
    spoil(cluster, odd)
    claim = ask(leader)
    until(lambda: claim.results, lambda: cluster.run(50), "the comparison is over")

    def nothing_else_is_compared() -> None:
        assert leader.checking.index_under_way == leader.raft.log.last_index
        cluster.run(50)

    until(lambda: events_of(cluster, odd, DataDiffer), nothing_else_is_compared, "it knows")
    cluster.run(1_000)
    assert leader_of(cluster).checking.index_under_way == 0


def test_a_leader_that_differs_is_named_once() -> None:
    """Where nobody can take over, it is a leader for a while."""
    cluster = Cluster()
    leader = elected(cluster)
    spoil(cluster, leader.raft.id)
    named: list[Divergence] = []
    leader.state_differs = named.append  # type: ignore[method-assign]
    ask(leader)
    cluster.run(3_000)
    assert [one.index for one in named] == [leader.raft.log.last_index]


def test_of_two_that_differ_nobody_is_named_and_all_are_told() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    odd, down = (node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    cluster.asleep.add(down)
    result = check(cluster, leader)
    assert result.is_disputed
    assert (result.differ, result.silent) == ((), (down,))
    for node_id in (odd, leader.raft.id):
        assert len(events_of(cluster, node_id, StatesDisputed)) == 1
        assert not events_of(cluster, node_id, DataDiffer)


def test_a_dispute_ends_when_the_third_is_back() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    odd, away = (node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    cluster.isolate(away)
    assert check(cluster, leader).is_disputed
    cluster.heal()
    cluster.run(3_000)
    assert leader_of(cluster).checking.result.differ == (odd,)
    assert len(events_of(cluster, odd, DataDiffer)) == 1


def test_all_that_differ_from_each_other_are_a_dispute() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    for node_id in (1, 2):
        spoil(cluster, node_id, b"spoilt %d" % node_id)
    result = check(cluster, leader)
    assert result.is_disputed
    assert result.differ == ()


def test_a_new_leader_goes_on_with_what_the_last_one_began() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    others = [node.raft.id for node in cluster.followers()]
    spoil(cluster, others[0])
    ask(leader)
    cluster.run(100)
    cluster.asleep.add(leader.raft.id)
    cluster.run(5_000)
    new = leader_of(cluster)
    assert new.raft.id != leader.raft.id
    cluster.asleep.clear()
    cluster.run(5_000)
    assert len(events_of(cluster, others[0], DataDiffer)) == 1


def test_a_check_that_takes_long_is_answered_with_what_is_known() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    down = cluster.followers()[0].raft.id
    cluster.asleep.add(down)
    claim = ask(leader)
    cluster.run(1_500)
    result = claim.result
    assert isinstance(result, api.CheckResult)
    assert not result.is_settled
    assert result.silent == (down,)
    assert result.is_decided
    assert check(cluster, leader).silent == (down,)


def test_a_dispute_is_told_only_when_nothing_more_is_to_come() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    odd, slow = (node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    cluster.asleep.add(slow)
    ask(leader)
    cluster.run(1_500)
    cluster.asleep.clear()
    cluster.run(3_000)
    assert len(events_of(cluster, odd, DataDiffer)) == 1
    assert not [e for n in (1, 2, 3) for e in events_of(cluster, n, StatesDisputed)]


def test_who_is_down_is_told_among_those_that_took_no_part() -> None:
    """Else whoever reads the log takes two that agree for all of them."""
    cluster = Cluster()
    leader = elected(cluster)
    there, down = (node.raft.id for node in cluster.followers())
    cluster.asleep.add(down)
    assert check(cluster, leader).silent == (down,)
    [told] = events_of(cluster, leader.raft.id, StatesCompared)
    assert told.agree == tuple(sorted((leader.raft.id, there)))
    assert told.absent == (down,)


def test_who_is_told_of_a_dispute_again_and_again_says_it_once() -> None:
    cluster = Cluster(limits=Limits(check_ms=5_000))
    leader = elected(cluster)
    odd, down = (node.raft.id for node in cluster.followers())
    spoil(cluster, odd)
    cluster.asleep.add(down)
    ask(leader)
    cluster.run(1_000)
    assert leader.checking.result is not None
    assert leader.checking.result.digests.keys() == {leader.raft.id, odd}
    loses_replies_of(leader, odd)
    cluster.run(9_000)
    assert leader.checking.result.is_disputed
    assert len(events_of(cluster, odd, StatesDisputed)) == 1


def test_what_comes_late_of_the_last_comparison_is_no_part_of_this_one() -> None:
    """Else a node would be named for what it held before."""
    cluster = Cluster()
    leader = elected(cluster)
    late = cluster.followers()[0].raft.id
    receive, heard = leader.receive, list[CompareStatesReply]()

    def hears(message: Message) -> None:
        if isinstance(message, CompareStatesReply) and message.sender == late:
            heard.append(message)
        receive(message)

    leader.receive = hears  # type: ignore[method-assign]
    check(cluster, leader)
    leader.receive = receive  # type: ignore[method-assign]
    loses_replies_of(leader, late)
    put(cluster, leader, b"k", b"another value")
    ask(leader)
    cluster.run(500)
    receive(heard[-1])
    cluster.run(500)
    result = leader.checking.result
    assert result is not None
    assert result.index > heard[-1].index
    assert result.is_decided
    assert (late in result.digests, result.differ) == (False, ())


def test_who_asks_late_is_told_what_came_of_it_though_the_next_one_is_under_way() -> None:
    """With a node down each one takes seconds, and one that is asked for often follows at once."""
    cluster = Cluster()
    leader = elected(cluster)
    first = check(cluster, leader)
    cluster.isolate(cluster.followers()[0].raft.id)
    ask(leader)
    until(lambda: leader.checking.index_under_way, lambda: cluster.run(50), "the next one begins")
    until(
        lambda: leader.raft.log.applied_index > first.index,
        lambda: cluster.run(50),
        "it is under way",
    )
    late = ask(leader, first.index)
    cluster.run(50)
    assert late.result == first
