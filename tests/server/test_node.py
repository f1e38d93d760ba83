"""The driver of one node: what it tells whom, and when."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.config import Limits
from kvstore.errors import DiskWriteError
from kvstore.raft.types import Role

from .cluster import Claim, Cluster

PUT = api.Put(b"k", b"v")


def read(cluster: Cluster, node_id: int, key: bytes) -> bytes | None:
    """The value in a node's own applied state."""
    claim = Claim()
    cluster.nodes[node_id].submit_stale_query(api.Get((key,)), claim)
    cluster.turn(node_id)
    assert isinstance(claim.result, api.GetResult)
    item = claim.result.items[0]
    return None if item is None else item.value


def test_a_write_is_answered_once_when_a_majority_has_it() -> None:
    cluster = Cluster()
    leader, claim = cluster.elect(), Claim()
    leader.submit_command(PUT, claim)
    cluster.turn(leader.raft.id)
    assert claim.results == [], "no follower has it yet"
    cluster.run()
    assert claim.result == api.PutResult(revision=1, written=True)
    assert all(read(cluster, node_id, b"k") == b"v" for node_id in cluster.nodes)


def test_a_lone_node_answers_in_the_turn_that_made_the_write_durable() -> None:
    cluster, claim = Cluster(size=1), Claim()
    cluster.elect().submit_command(PUT, claim)
    cluster.turn(1)
    assert claim.result == api.PutResult(revision=1, written=True)


def test_a_failed_write_to_disk_lets_nothing_out() -> None:
    cluster, claim = Cluster(size=1), Claim()
    node = cluster.elect()
    node.submit_command(PUT, claim)
    cluster.logs[1].fails = True
    node.prepare()
    with pytest.raises(DiskWriteError):
        node.complete()
    assert claim.results == []


def test_a_vote_is_not_let_out_when_it_could_not_be_made_durable() -> None:
    cluster = Cluster()
    while not cluster.messages:
        cluster.now_ms += 50.0
        cluster.turn(1)
    cluster.logs[2].fails = True
    with pytest.raises(DiskWriteError):
        cluster.turn(2)
    assert not [m for m in cluster.messages if m.sender == 2]


def test_a_follower_names_the_leader_and_changes_nothing() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    follower, claim, asked = cluster.followers()[0], Claim(), Claim()
    follower.submit_command(PUT, claim)
    follower.submit_query(api.Get((b"k",)), asked)
    cluster.run()
    number = leader.raft.id
    expected = api.Failure(
        api.FailureCode.NOT_LEADER,
        f"not leader, try node {number} at 127.0.0.1:900{number}",
        f"127.0.0.1:900{number}",
    )
    assert claim.result == asked.result == expected
    assert follower.raft.log.last_index == leader.raft.log.last_index == 1


def test_a_node_that_knows_no_leader_says_so() -> None:
    cluster, claim = Cluster(), Claim()
    cluster.nodes[1].submit_command(PUT, claim)
    cluster.turn(1)
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_a_write_that_no_majority_confirms_ends_as_unknown_not_as_refused() -> None:
    cluster = Cluster()
    leader, claim = cluster.elect(), Claim()
    cluster.isolate(leader.raft.id)
    leader.submit_command(PUT, claim)
    cluster.run(leader.settings.request_timeout_ms + 500)
    assert claim.failure.code is api.FailureCode.UNKNOWN


def test_a_write_that_outlives_its_leader_is_answered_as_done() -> None:
    """The entry reached one follower, which became leader and committed it."""
    cluster = Cluster()
    old, claim = cluster.elect(), Claim()
    old.submit_command(PUT, claim)
    cluster.turn(old.raft.id)
    heir = cluster.followers()[0].raft.id
    cluster.turn(heir)
    cluster.messages.clear()
    cluster.isolate(old.raft.id)
    while cluster.nodes[heir].raft.role is not Role.LEADER:
        cluster.run(50)
    cluster.heal()
    cluster.run(1_000)
    assert old.raft.role is Role.FOLLOWER
    assert isinstance(claim.result, api.PutResult)


def test_writes_whose_place_other_entries_took_are_refused_as_rolled_back() -> None:
    """At the new leader's no-op, at its write, and behind both, where nothing is yet."""
    cluster = Cluster()
    old, won = cluster.elect(), Claim()
    lost = [Claim(), Claim(), Claim()]
    cluster.isolate(old.raft.id)
    for claim in lost:
        old.submit_command(api.Put(b"k", b"lost"), claim)
    cluster.run(2_000)
    new = cluster.elect()
    assert new is not old
    new.submit_command(api.Put(b"k", b"won"), won)
    cluster.run(200)
    assert isinstance(won.result, api.PutResult)
    assert [claim.results for claim in lost] == [[], [], []], "the old leader cannot know yet"
    cluster.heal()
    cluster.run(1_000)
    for claim in lost:
        assert claim.failure.code is api.FailureCode.NOT_LEADER
        assert claim.failure.message.startswith(f"not leader, try node {new.raft.id} at ")
        assert claim.failure.message.endswith("the write was rolled back")
    assert read(cluster, old.raft.id, b"k") == b"won"


def test_pipelined_reads_and_writes_of_one_client_keep_their_order() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    before, between, after = Claim(), Claim(), Claim()
    get = api.Get((b"k",))
    leader.submit_query(get, before)
    first = leader.submit_command(api.Put(b"k", b"1"), Claim())
    leader.submit_query(get, between, first)
    second = leader.submit_command(api.Put(b"k", b"2"), Claim())
    leader.submit_query(get, after, second)
    cluster.run()
    values = []
    for claim in (before, between, after):
        assert isinstance(claim.result, api.GetResult)
        item = claim.result.items[0]
        values.append(None if item is None else item.value)
    assert values == [None, b"1", b"2"]


def test_a_new_leader_answers_no_read_before_its_own_entry_is_committed() -> None:
    cluster, claim = Cluster(), Claim()
    while not any(n.raft.role is Role.LEADER for n in cluster.nodes.values()):
        cluster.now_ms += 50.0
        for node_id in cluster.nodes:
            cluster.turn(node_id)
    leader = next(n for n in cluster.nodes.values() if n.raft.role is Role.LEADER)
    cluster.isolate(leader.raft.id)
    assert not leader.raft.has_committed_in_term
    leader.submit_query(api.Get((b"k",)), claim)
    cluster.run(1_000)
    assert claim.results == []
    cluster.run(leader.settings.request_timeout_ms)
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_reads_of_a_deposed_leader_are_refused() -> None:
    cluster, claim = Cluster(), Claim()
    while not any(n.raft.role is Role.LEADER for n in cluster.nodes.values()):
        cluster.run(50)
    leader = next(n for n in cluster.nodes.values() if n.raft.role is Role.LEADER)
    cluster.isolate(leader.raft.id)
    leader.submit_query(api.Get((b"k",)), claim)
    cluster.turn(leader.raft.id)
    pending = claim.results == []
    cluster.run(2_500)
    cluster.heal()
    cluster.run(1_000)
    assert leader.raft.role is Role.FOLLOWER
    assert pending
    assert claim.failure.code is api.FailureCode.NOT_LEADER


def test_too_many_waiting_writes_are_refused_as_busy() -> None:
    cluster = Cluster(limits=Limits(pending_writes_max=2))
    leader = cluster.elect()
    claims = [Claim() for _ in range(3)]
    for claim in claims:
        leader.submit_command(PUT, claim)
    cluster.run()
    assert claims[2].failure.code is api.FailureCode.BUSY
    assert isinstance(claims[0].result, api.PutResult)
    assert isinstance(claims[1].result, api.PutResult)


def test_after_a_crash_the_log_replays_from_the_last_checkpoint() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    node.submit_command(api.Increment(b"n", 1), Claim())
    cluster.turn(1)
    node.checkpoint()
    node.submit_command(api.Increment(b"n", 1), Claim())
    cluster.turn(1)
    cluster.crash(1)
    assert cluster.nodes[1].machine.last_applied == 2
    cluster.elect()
    assert read(cluster, 1, b"n") == b"2"
    assert cluster.nodes[1].machine.revision == 2


def test_a_stopping_node_tells_its_writers_that_the_outcome_is_unknown() -> None:
    cluster = Cluster()
    leader, claim = cluster.elect(), Claim()
    leader.submit_command(PUT, claim)
    cluster.turn(leader.raft.id)
    for answer in leader.abandon_clients():
        answer.ticket.fill(answer.result)
    assert claim.failure.code is api.FailureCode.UNKNOWN
