"""When replicas are compared, and who takes part, on nodes without sockets."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.messages import CompareStates, CompareStatesReply, Message, SnapshotPiece
from kvstore.raft.state_events import StatesCompared
from kvstore.raft.types import CHECK, Role
from kvstore.server import refusals
from kvstore.storage.base import Divergence

from .checks import ask, check, elected, events_of, leader_of, loses_replies_of, put
from .cluster import AHEAD_BYTES, Claim, Cluster


def hold_up_snapshots(cluster: Cluster) -> None:
    """From now on no piece of one arrives."""
    turn = cluster.turn

    def turn_without(node_id: int) -> None:
        turn(node_id)
        cluster.messages = [m for m in cluster.messages if not isinstance(m, SnapshotPiece)]

    cluster.turn = turn_without  # type: ignore[method-assign]


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


def test_who_answers_its_leader_and_says_nothing_of_states_is_waited_for_so_long() -> None:
    """Its program is too old, or its messages of this kind are lost."""
    cluster = Cluster(limits=Limits(check_ms=2_000))
    leader = elected(cluster)
    mute = cluster.followers()[0].raft.id
    loses_replies_of(leader, mute)
    result = check(cluster, leader)
    assert result.silent == (mute,)
    assert result.is_decided


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
