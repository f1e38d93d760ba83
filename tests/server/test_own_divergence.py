"""A node whose data differ from the majority's neither leads nor answers, and is rebuilt."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.errors import DirectoryRefusedError
from kvstore.raft.divergence_events import DataDiffer, DifferingDataReplaced, LoneDataDiffer
from kvstore.raft.messages import SnapshotPiece, TimeoutNow
from kvstore.raft.types import Role
from kvstore.server import refusals
from kvstore.server.node import Node
from kvstore.server.node_status import status_of
from kvstore.storage.base import Divergence

from .cluster import Claim, Cluster

DIGEST = bytes(32)


def written(cluster: Cluster, keys: int = 5) -> Node:
    """A leader, with some keys that all have applied."""
    leader = cluster.elect()
    for number in range(keys):
        leader.submit_command(api.Put(b"key %d" % number, b"value"), Claim())
    cluster.run(1_000)
    return leader


def others(cluster: Cluster, leader: Node) -> list[Node]:
    return [node for node in cluster.nodes.values() if node is not leader]


def without_snapshots(cluster: Cluster) -> None:
    """Let time pass, and no piece of a snapshot arrive."""
    for _ in range(20):
        cluster.messages = [m for m in cluster.messages if not isinstance(m, SnapshotPiece)]
        cluster.run(50)


def ask(node: Node) -> Claim:
    claim = Claim()
    node.submit_query(api.Get((b"key 1",)), claim, from_any=True)
    return claim


def is_whole(cluster: Cluster, node_id: int) -> bool:
    node, state = cluster.nodes[node_id], cluster.states[node_id]
    return node.divergence.known is None and state.divergence is None


def rebuilt(cluster: Cluster, node_id: int) -> Node:
    until(lambda: is_whole(cluster, node_id), cluster.run, "it has a snapshot")
    cluster.run(1_000)
    node = cluster.nodes[node_id]
    assert not node.raft.log.lacks_base
    assert isinstance(node.answer(api.Get((b"key 1",))), api.GetResult)
    return node


def events_of(cluster: Cluster, node: Node) -> list[type]:
    kinds = (DataDiffer, LoneDataDiffer, DifferingDataReplaced)
    return [type(event) for event in cluster.events[node.raft.id] if isinstance(event, kinds)]


def test_from_then_on_it_answers_nothing_and_a_snapshot_ends_that() -> None:
    """Though its log lacks nothing."""
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    waiting = ask(node)
    index = node.machine.last_applied
    node.state_differs(Divergence(index, DIGEST))
    refusal = refusals.state_differs(node.raft.id, index)
    cluster.run(50)
    assert waiting.result == refusal
    assert node.answer(api.Get((b"key 1",))) == refusal
    assert node.answer(api.Count()) == refusal
    assert node.backups.fetch(api.FetchBackup(0, 0)) == refusal
    assert (status_of(node).differs_at, status_of(node).lacks_data) == (index, True)
    asked = ask(node)
    without_snapshots(cluster)
    assert asked.result == refusal
    assert cluster.states[node.raft.id].divergence == Divergence(index, DIGEST)
    node = rebuilt(cluster, node.raft.id)
    assert events_of(cluster, node) == [DataDiffer, DifferingDataReplaced]
    assert status_of(node).differs_at == 0
    late = ask(node)
    cluster.run(500)
    assert isinstance(late.result, api.GetResult)


def test_it_goes_on_to_vote_and_to_take_entries() -> None:
    """With a third one gone, nothing is committed without it."""
    cluster = Cluster()
    leader = written(cluster)
    node, third = others(cluster, leader)
    cluster.asleep.add(third.raft.id)
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    claim = Claim()
    leader.submit_command(api.Put(b"key 1", b"new"), claim)
    without_snapshots(cluster)
    assert isinstance(claim.result, api.PutResult)
    assert node.raft.commit_index == leader.raft.commit_index
    assert node.machine.last_applied < node.raft.commit_index
    cluster.asleep.clear()
    rebuilt(cluster, node.raft.id)


def test_it_votes_for_another_and_never_stands() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node, third = others(cluster, leader)
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    cluster.asleep = {leader.raft.id, third.raft.id}
    term = node.raft.current_term
    cluster.run(5_000)
    assert (node.raft.role, node.raft.current_term) == (Role.FOLLOWER, term)
    cluster.asleep = {leader.raft.id}
    until(lambda: third.raft.role is Role.LEADER, cluster.run, "the other is elected by it")
    rebuilt(cluster, node.raft.id)


def test_who_asks_for_votes_when_it_becomes_known_is_not_elected() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node, third = others(cluster, leader)
    cluster.asleep = {leader.raft.id, third.raft.id}
    until(
        lambda: node.raft.role is Role.PRE_CANDIDATE, lambda: cluster.run(50), "it asks for votes"
    )
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    cluster.asleep = {leader.raft.id}
    term = node.raft.current_term
    until(lambda: third.raft.role is Role.LEADER, lambda: cluster.run(50), "the other leads")
    assert third.raft.current_term == term + 1


def test_it_is_no_heir_and_does_not_stand_if_it_is_told_to() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node, third = others(cluster, leader)
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    cluster.messages = [m for m in cluster.messages if not isinstance(m, SnapshotPiece)]
    cluster.run(100)
    assert leader.raft.hand_over(node.raft.id) is None
    term = leader.raft.current_term
    node.receive(
        TimeoutNow(cluster_id="test", sender=leader.raft.id, recipient=node.raft.id, term=term)
    )
    assert (node.raft.role, node.raft.current_term) == (Role.FOLLOWER, term)
    assert leader.raft.hand_over() == third.raft.id


def test_a_leader_hands_over_and_is_rebuilt_by_its_heir() -> None:
    cluster = Cluster()
    leader = written(cluster)
    read, write = ask(leader), Claim()
    index = leader.machine.last_applied
    leader.state_differs(Divergence(index, DIGEST))
    refusal = refusals.state_differs(leader.raft.id, index)
    assert ask(leader) is not None
    leader.submit_command(api.Put(b"key 1", b"lost"), write)
    cluster.run(50)
    assert read.result == refusal
    assert write.failure.code is not api.FailureCode.UNKNOWN
    assert leader.raft.heir is not None
    until(lambda: leader.raft.role is Role.FOLLOWER, lambda: cluster.run(50), "another leads")
    assert leader.answer(api.Get((b"key 1",))) == refusal
    rebuilt(cluster, leader.raft.id)
    assert leader.machine.applied == cluster.elect().machine.applied


def test_a_leader_that_nobody_can_follow_steps_down_and_answers_nobody() -> None:
    cluster = Cluster()
    leader = written(cluster)
    cluster.isolate(leader.raft.id)
    leader.state_differs(Divergence(leader.machine.last_applied, DIGEST))
    until(lambda: leader.raft.role is Role.FOLLOWER, lambda: cluster.run(50), "it steps down")
    cluster.heal()
    rebuilt(cluster, leader.raft.id)


def test_a_lone_node_says_so_and_goes_on() -> None:
    """Nothing tells better data."""
    cluster = Cluster(1)
    node = written(cluster)
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    cluster.run(200)
    assert events_of(cluster, node) == [LoneDataDiffer]
    assert isinstance(node.answer(api.Get((b"key 1",))), api.GetResult)
    assert node.raft.role is Role.LEADER
    assert cluster.states[1].divergence is None


def test_it_is_known_and_said_once_in_each_life() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node_id = others(cluster, leader)[0].raft.id
    node = cluster.nodes[node_id]
    index = node.machine.last_applied
    for _ in range(2):
        node.state_differs(Divergence(index, DIGEST))
    without_snapshots(cluster)
    cluster.crash(node_id)
    node = cluster.nodes[node_id]
    assert node.raft.log.lacks_base
    without_snapshots(cluster)
    assert events_of(cluster, node) == [DataDiffer, DataDiffer]
    assert node.answer(api.Count()) == refusals.state_differs(node_id, index)
    node = rebuilt(cluster, node_id)
    cluster.crash(node_id)
    cluster.run(500)
    assert events_of(cluster, node) == [DataDiffer, DataDiffer, DifferingDataReplaced]


def test_whose_data_differ_again_says_so_again() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    for _ in range(2):
        node.state_differs(Divergence(node.machine.last_applied, DIGEST))
        rebuilt(cluster, node.raft.id)
    assert events_of(cluster, node) == 2 * [DataDiffer, DifferingDataReplaced]


def test_nothing_is_committed_to_data_that_differ() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    leader.submit_command(api.Put(b"last", b"1"), Claim())
    until(
        lambda: node.machine.applied != cluster.states[node.raft.id].applied(),
        lambda: cluster.run(50),
        "more is applied than is durable",
    )
    state = cluster.states[node.raft.id]
    durable, commits = state.applied(), state.commits
    node.state_differs(Divergence(durable.last_applied, DIGEST))
    without_snapshots(cluster)
    node.checkpoint()
    assert (state.applied(), state.commits) == (durable, commits)
    assert node.due_ms > cluster.now_ms
    rebuilt(cluster, node.raft.id)


def test_a_snapshot_reaches_as_far_as_what_was_applied() -> None:
    """Else who read here before would see what was before that."""
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    applied = node.machine.last_applied
    node.state_differs(Divergence(applied - 2, DIGEST))
    assert node.raft.log.needs_snapshot == applied
    rebuilt(cluster, node.raft.id)
    assert node.raft.log.start.index >= applied


@pytest.mark.parametrize("is_written", [False, True], ids=["while it is written", "when it is"])
def test_a_leader_sends_nothing_more_of_its_data(is_written: bool) -> None:
    cluster = Cluster(5)
    leader = cluster.elect()
    lost = others(cluster, leader)[0]
    cluster.isolate(lost.raft.id)
    for number in range(60):
        leader.submit_command(api.Put(b"key %d" % number, bytes(30_000)), Claim())
    cluster.run(1_500)
    leader.raft.compact(cluster.states[leader.raft.id].applied().last_applied)
    cluster.run(200)
    cluster.heal()
    until(
        lambda: leader.raft.sending.source is not None if is_written else leader._spooling.is_busy,
        lambda: cluster.run(50),
        "the leader has a file, or writes it",
    )
    leader.state_differs(Divergence(leader.machine.last_applied, DIGEST))
    cluster.messages = [m for m in cluster.messages if m.sender != leader.raft.id]
    cluster.run(50)
    assert (leader.raft.role, leader._spooling.is_busy) == (Role.LEADER, False)
    for _ in range(100):
        cluster.run(50)
        assert leader.raft.sending.source is None or leader.divergence.known is None
        from_it = [m for m in cluster.messages if m.sender == leader.raft.id]
        assert leader.divergence.known is None or not any(
            isinstance(m, SnapshotPiece) for m in from_it
        )
    assert not leader._spooling.is_busy
    rebuilt(cluster, leader.raft.id)
    until(
        lambda: lost.machine.applied == cluster.elect().machine.applied,
        cluster.run,
        "who was away has the data",
    )


def test_where_there_is_no_room_it_answers_nothing_all_the_same() -> None:
    """It is recorded as soon as there is."""
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    node_id = node.raft.id
    cluster.room[node_id] = 100
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    without_snapshots(cluster)
    assert cluster.states[node_id].divergence is None
    assert node.answer(api.Count()) == refusals.state_differs(node_id, node.machine.last_applied)
    del cluster.room[node_id]
    cluster.messages = [m for m in cluster.messages if not isinstance(m, SnapshotPiece)]
    cluster.run(50)
    assert cluster.states[node_id].divergence is not None
    rebuilt(cluster, node_id)


def test_the_room_of_what_the_record_forgets_is_room_for_it() -> None:
    cluster = Cluster()
    leader = written(cluster)
    node = others(cluster, leader)[0]
    state = cluster.states[node.raft.id]
    state.owed_bytes = lambda: 64 << 10  # type: ignore[method-assign]
    cluster.room[node.raft.id] = 100
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    assert state.divergence is not None


def test_a_leader_does_not_leave_it_alone() -> None:
    """Nobody could lead any more, and the only good data would be gone."""
    cluster = Cluster(2)
    leader = written(cluster)
    [node] = others(cluster, leader)
    node.state_differs(Divergence(node.machine.last_applied, DIGEST))
    cluster.run(100)
    claim = Claim()
    leader.change_members(api.RemoveMember(leader.raft.id), claim)
    cluster.run(50)
    assert "nobody could lead" in claim.failure.message
    rebuilt(cluster, node.raft.id)
    leader.change_members(api.RemoveMember(leader.raft.id), Claim())
    with pytest.raises(DirectoryRefusedError, match=f"node {leader.raft.id} was removed"):
        cluster.run(2_000)


@pytest.mark.parametrize("leads", [False, True], ids=["a follower", "the leader"])
def test_who_is_named_by_a_comparison_is_rebuilt_and_the_next_one_finds_nothing(
    leads: bool,
) -> None:
    cluster = Cluster()
    leader = written(cluster)
    node = leader if leads else others(cluster, leader)[0]
    node_id, state = node.raft.id, cluster.states[node.raft.id]
    state.put(b"key 1", b"spoilt")
    leader.check_replicas(api.CheckReplicas(0), Claim())
    until(lambda: DataDiffer in events_of(cluster, node), cluster.run, "it is named")
    assert state.get(b"key 1") == b"spoilt" or is_whole(cluster, node_id)
    rebuilt(cluster, node_id)
    assert state.get(b"key 1") != b"spoilt"
    leader = cluster.elect()
    leader.check_replicas(api.CheckReplicas(0), Claim())
    cluster.run(3_000)
    result = leader.checking.result
    assert result is not None
    assert (result.is_decided, result.differ) == (True, ())
    assert result.digests.keys() == {1, 2, 3}
