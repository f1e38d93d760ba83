"""Replicas that are compared while they run, on three nodes without sockets."""

from __future__ import annotations

from typing import Any

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.divergence_events import DataDiffer
from kvstore.raft.messages import CompareStates, CompareStatesReply, Message, SnapshotPiece
from kvstore.raft.state_events import StatesCompared, StatesDisputed
from kvstore.raft.types import CHECK, Role
from kvstore.server import refusals
from kvstore.server.node import Node
from kvstore.storage.base import Divergence

from .cluster import AHEAD_BYTES, Claim, Cluster


def loses_replies_of(leader: Node, mute: int) -> None:
    """What this node says of states never arrives, and all else of it does."""
    receive = leader.receive

    def hears(message: Message) -> None:
        if not (isinstance(message, CompareStatesReply) and message.sender == mute):
            receive(message)

    leader.receive = hears  # type: ignore[method-assign]


def hold_up_snapshots(cluster: Cluster) -> None:
    """From now on no piece of one arrives."""
    turn = cluster.turn

    def turn_without(node_id: int) -> None:
        turn(node_id)
        cluster.messages = [m for m in cluster.messages if not isinstance(m, SnapshotPiece)]

    cluster.turn = turn_without  # type: ignore[method-assign]


def put(cluster: Cluster, leader: Node, key: bytes, value: bytes) -> None:
    claim = Claim()
    leader.submit_command(api.Put(key, value), claim)
    cluster.run()
    assert isinstance(claim.result, api.PutResult)


def ask(leader: Node, since: int = 0) -> Claim:
    claim = Claim()
    leader.check_replicas(api.CheckReplicas(since), claim)
    return claim


def check(cluster: Cluster, leader: Node) -> api.CheckResult:
    """What comes of a check, however long it takes."""
    since = 0
    for _ in range(40):
        claim = ask(leader, since)
        cluster.run(1_500)
        result = claim.result
        assert isinstance(result, api.CheckResult), result
        if result.is_settled:
            return result
        since = result.index
    raise AssertionError("the check never ends")


def spoil(cluster: Cluster, node_id: int, record: bytes = b"spoilt") -> None:
    """A record of one node becomes another one, before its checksum is made."""
    cluster.states[node_id].put(b"k", record)


def elected(cluster: Cluster) -> Node:
    leader = cluster.elect()
    put(cluster, leader, b"k", b"v")
    return leader


def events_of(cluster: Cluster, node_id: int, kind: type[Any]) -> list[Any]:
    return [event for event in cluster.events[node_id] if isinstance(event, kind)]


def leader_of(cluster: Cluster) -> Node:
    return max(
        (node for node in cluster.nodes.values() if node.raft.role is Role.LEADER),
        key=lambda node: node.raft.current_term,
    )


def test_nodes_that_hold_the_same_agree_and_nobody_stops_for_it() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    claim = ask(leader)
    put(cluster, leader, b"k", b"while it is compared")
    cluster.run()
    result = claim.result
    assert isinstance(result, api.CheckResult)
    assert (result.is_settled, result.is_decided) == (True, True)
    assert result.digests.keys() == {1, 2, 3}
    assert len({*result.digests.values()}) == 1
    assert (result.differ, result.absent, result.silent) == ((), (), ())
    [event] = events_of(cluster, leader.raft.id, StatesCompared)
    assert event == StatesCompared(leader.raft.current_term, result.index, (1, 2, 3), (), ())


def test_the_digest_is_as_of_the_entry_whatever_is_applied_in_the_same_turn() -> None:
    """A node that takes the entry with those behind it in one batch agrees with who did not."""
    cluster = Cluster()
    leader = elected(cluster)
    away = next(node.raft.id for node in cluster.followers())
    cluster.isolate(away)
    claim = ask(leader)
    for value in (b"1", b"2", b"3"):
        put(cluster, leader, b"k", value)
    cluster.heal()
    cluster.run(3_000)
    result = leader.checking.result
    assert result is not None
    assert claim.results
    assert result.digests.keys() == {1, 2, 3}
    assert result.differ == ()


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


def test_one_at_a_time() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    first, second = ask(leader), ask(leader)
    cluster.run()
    assert first.result == second.result
    kinds = [entry.kind for entry in leader.raft.log.readable(1, leader.raft.commit_index, 1 << 20)]
    assert kinds.count(CHECK) == 1
    third = check(cluster, leader)
    assert third.index > first.result.index


def test_it_is_done_by_itself_every_so_often() -> None:
    cluster = Cluster(check_every_ms=10_000)
    cluster.elect()
    cluster.run(31_000)
    told = [e for node_id in (1, 2, 3) for e in events_of(cluster, node_id, StatesCompared)]
    assert len(told) == 3


def test_never_is_never() -> None:
    cluster = Cluster(check_every_ms=None)
    cluster.elect()
    cluster.run(31_000)
    assert not [e for node_id in (1, 2, 3) for e in events_of(cluster, node_id, StatesCompared)]


def test_who_does_not_lead_says_who_does() -> None:
    cluster = Cluster()
    cluster.elect()
    claim = ask(cluster.followers()[0])
    cluster.run(100)
    assert claim.failure.code is api.FailureCode.NOT_LEADER


def test_who_waits_at_a_leader_that_steps_down_is_sent_on() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    cluster.isolate(leader.raft.id)
    claim = ask(leader)
    cluster.run(950)
    cluster.run(3_000)
    assert claim.results
    later = ask(leader)
    cluster.run(100)
    assert isinstance(later.result, api.Failure)


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


def test_who_starts_again_takes_no_part_and_nobody_waits_for_it() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    again = cluster.followers()[0].raft.id
    cluster.asleep.add(again)
    ask(leader)
    cluster.run(200)
    cluster.asleep.clear()
    cluster.cut = {(again, leader.raft.id)}
    cluster.run(300)
    cluster.crash(again)
    cluster.heal()
    cluster.run(3_000)
    result = leader_of(cluster).checking.result
    assert result is not None
    assert result.is_settled
    assert result.differ == ()
    assert again in (*result.absent, *result.digests)


def test_without_room_for_a_checkpoint_a_node_takes_no_part() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    full = cluster.followers()[0]
    cluster.state_room[full.raft.id] = 0
    claim, index = ask(leader), leader.raft.log.last_index
    while full.machine.last_applied < index:
        cluster.run(50)
    del cluster.state_room[full.raft.id]
    cluster.run(1_500)
    assert isinstance(claim.result, api.CheckResult)
    assert claim.result.absent == (full.raft.id,)
    assert claim.result.is_decided


def test_what_takes_too_long_is_given_up() -> None:
    cluster = Cluster(limits=Limits(check_ms=100))
    leader = elected(cluster)
    for number in range(3):
        put(cluster, leader, b"k%d" % number, bytes(300 << 10))
    result = check(cluster, leader)
    assert result.absent == (1, 2, 3)
    assert not result.is_decided
    assert not result.is_disputed


def test_a_question_of_what_is_not_applied_waits() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    follower = cluster.followers()[0]
    index = leader.raft.log.last_index + 1
    question = CompareStates(
        cluster_id="test",
        sender=leader.raft.id,
        recipient=follower.raft.id,
        term=leader.raft.current_term,
        index=index,
        digest=b"",
    )
    follower.receive(question)
    cluster.turn(follower.raft.id)
    assert follower.raft.state_talk.question == question
    claim = ask(leader)
    cluster.run(1_000)
    assert isinstance(claim.result, api.CheckResult)
    assert follower.raft.state_talk.question is None


@pytest.mark.parametrize("size", [1, 2, 5])
def test_clusters_of_any_size_agree(size: int) -> None:
    cluster = Cluster(size)
    leader = elected(cluster)
    result = check(cluster, leader)
    assert result.is_decided
    assert result.digests.keys() == {*range(1, size + 1)}


def test_a_digest_is_given_up_that_makes_the_file_grow_too_far() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    for number in range(3):
        put(cluster, leader, b"k%d" % number, bytes(300 << 10))
    growing, other = (node.raft.id for node in cluster.followers())
    cluster.states[growing].pinned_bytes = cluster.limits.pinned_bytes_max + 1
    cluster.states[other].pinned_bytes = cluster.limits.pinned_bytes_max
    assert check(cluster, leader).absent == (growing,)
    assert not cluster.states[growing]._readings


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


def test_who_gets_a_snapshot_has_no_digest_any_more() -> None:
    """Else a state that was built anew would be named for what it was before."""
    cluster = Cluster(log_kept_bytes=64 << 10)
    leader = elected(cluster)
    lost = cluster.followers()[0].raft.id
    node = cluster.nodes[lost]
    result = check(cluster, leader)
    assert lost in result.digests
    cluster.isolate(lost)
    for number in range(30):
        put(cluster, leader, b"k%d" % number, bytes(8 << 10))
    cluster.run(3_000)
    assert leader.raft.log.start.index > node.machine.last_applied
    cluster.heal()
    cluster.run(8_000)
    assert node.machine.last_applied == leader.machine.last_applied
    node.receive(
        CompareStates(
            cluster_id="test",
            sender=leader.raft.id,
            recipient=lost,
            term=leader.raft.current_term,
            index=result.index,
            digest=b"",
        )
    )
    cluster.turn(lost)
    [reply] = [one for one in cluster.messages if isinstance(one, CompareStatesReply)]
    assert reply.digest == b""


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


def test_who_answers_its_leader_and_says_nothing_of_states_is_waited_for_so_long() -> None:
    """Its program is too old, or its messages of this kind are lost."""
    cluster = Cluster(limits=Limits(check_ms=2_000))
    leader = elected(cluster)
    mute = cluster.followers()[0].raft.id
    loses_replies_of(leader, mute)
    result = check(cluster, leader)
    assert result.silent == (mute,)
    assert result.is_decided


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


def test_where_no_entry_has_room_nothing_is_compared() -> None:
    """What is left then is for votes."""
    cluster = Cluster()
    leader = elected(cluster)
    cluster.room[leader.raft.id] = -AHEAD_BYTES
    cluster.run(50)
    last_index = leader.raft.log.last_index
    claim = ask(leader)
    cluster.run(50)
    assert claim.result == refusals.CANNOT_CHECK
    assert leader.raft.log.last_index == last_index


def test_who_goes_on_at_a_leader_that_has_not_applied_the_entry_yet_waits_for_it() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    ask(leader)
    index = leader.raft.log.last_index
    for node_id in (leader.raft.id, *(node.raft.id for node in cluster.followers())):
        cluster.turn(node_id)
    cluster.isolate(leader.raft.id)
    heirs = cluster.followers()
    assert all(node.raft.log.applied_index < index <= node.raft.log.last_index for node in heirs)
    until(
        lambda: any(node.raft.role is Role.LEADER for node in heirs),
        lambda: cluster.run(50),
        "another one leads",
    )
    new = leader_of(cluster)
    assert new.raft.log.applied_index < index
    claim = ask(new, index)
    cluster.run(9_000)
    result = claim.result
    assert isinstance(result, api.CheckResult)
    assert result.index == index


def test_who_waits_for_its_data_says_at_once_that_it_takes_no_part() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    lost = cluster.followers()[0]
    hold_up_snapshots(cluster)
    lost.state_differs(Divergence(lost.machine.last_applied, bytes(32)))
    claim = ask(leader)
    cluster.run(3_000)
    assert lost.raft.log.lacks_base
    assert isinstance(claim.result, api.CheckResult)
    assert claim.result.absent == (lost.raft.id,)
    assert claim.result.is_settled


def test_a_node_wakes_for_each_slice_and_leaves_the_rest_of_the_time_to_others() -> None:
    cluster = Cluster()
    leader = elected(cluster)
    for number in range(3):
        put(cluster, leader, b"k%d" % number, bytes(300 << 10))
    ask(leader)
    follower = cluster.followers()[0]
    readings = cluster.states[follower.raft.id]._readings
    until(lambda: readings, lambda: cluster.run(50), "a digest is being taken")
    cluster.now_ms += 1.0
    cluster.turn(follower.raft.id)
    assert readings
    assert cluster.now_ms < follower.due_ms <= cluster.now_ms + 10


def test_who_asks_again_waits_for_what_is_under_way() -> None:
    """Else who asks again and again is never answered."""
    cluster = Cluster()
    leader = elected(cluster)
    cluster.isolate(cluster.followers()[0].raft.id)
    ask(leader)
    cluster.run(1_000)
    result = leader.checking.result
    assert result is not None
    assert not result.is_settled
    ask(leader)
    cluster.run(1_000)
    assert leader.raft.log.last_index == result.index


def test_who_does_not_answer_is_asked_every_so_often_and_not_for_ever() -> None:
    cluster = Cluster(limits=Limits(check_ms=2_000))
    leader = elected(cluster)
    mute = cluster.followers()[0]
    loses_replies_of(leader, mute.raft.id)
    asked_ms: list[float] = []
    receive = mute.receive

    def counts(message: Message) -> None:
        if isinstance(message, CompareStates):
            asked_ms.append(cluster.now_ms)
        receive(message)

    mute.receive = counts  # type: ignore[method-assign]
    ask(leader)
    cluster.run(2_000)
    assert 15 <= len(asked_ms) <= 21
    cluster.run(8_000)
    asked_ms.clear()
    cluster.run(5_000)
    assert not asked_ms


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


def test_nothing_is_compared_while_leadership_moves() -> None:
    """An heir would have to catch up with one entry more."""
    cluster = Cluster(check_every_ms=300)
    leader = cluster.elect()
    until(
        lambda: events_of(cluster, leader.raft.id, StatesCompared),
        lambda: cluster.run(50),
        "they are compared",
    )
    until(lambda: not leader.checking.index_under_way, lambda: cluster.run(50), "that is over")
    heir = cluster.followers()[0].raft.id
    cluster.isolate(heir)
    leader.hand_over(api.HandOver(heir), Claim())
    last_index, began_ms = leader.raft.log.last_index, cluster.now_ms

    def nothing_is_proposed() -> None:
        assert leader.raft.log.last_index == last_index
        cluster.run(50)

    until(lambda: leader.raft.takes_commands, nothing_is_proposed, "the heir is given up")
    assert cluster.now_ms > began_ms + 300


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
