"""The driver of one node: what it tells whom, and when."""

from __future__ import annotations

from functools import partial

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import DiskWriteError
from kvstore.raft.messages import AppendEntries, RequestVote
from kvstore.raft.types import Role
from kvstore.server.node import Node

from .cluster import TICK_MS, Claim, Cluster

PUT = api.Put(b"k", b"v")
GET = api.Get((b"k",))


def read(cluster: Cluster, node_id: int, key: bytes) -> bytes | None:
    """The value in a node's own applied state."""
    result = cluster.nodes[node_id].answer(api.Get((key,)))
    assert isinstance(result, api.GetResult)
    item = result.items[0]
    return None if item is None else item.value


def test_a_write_is_answered_once_when_a_majority_has_it() -> None:
    cluster = Cluster()
    leader, claim = cluster.elect(), Claim()
    leader.submit_command(PUT, claim)
    cluster.turn(leader.raft.id)
    assert claim.results == [], "no follower has it yet"
    cluster.run()
    assert claim.result == api.PutResult(revision=2, written=True)
    assert all(read(cluster, node_id, b"k") == b"v" for node_id in cluster.nodes)


def test_a_lone_node_answers_in_the_turn_that_made_the_write_durable() -> None:
    cluster, claim = Cluster(size=1), Claim()
    cluster.elect().submit_command(PUT, claim)
    cluster.turn(1)
    assert claim.result == api.PutResult(revision=2, written=True)


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

    def step() -> None:
        cluster.now_ms += 50.0
        cluster.turn(1)
        cluster.turn(3)

    def is_asked() -> bool:
        return any(isinstance(m, RequestVote) and m.recipient == 2 for m in cluster.messages)

    until(is_asked, step, "node 2 is asked for its vote")
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
    follower.submit_query(GET, asked)
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
    until(
        lambda: cluster.nodes[heir].raft.role is Role.LEADER,
        partial(cluster.run, 50),
        "the heir leads",
    )
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
    leader.submit_query(GET, before)
    first = leader.submit_command(api.Put(b"k", b"1"), Claim())
    leader.submit_query(GET, between, first)
    second = leader.submit_command(api.Put(b"k", b"2"), Claim())
    leader.submit_query(GET, after, second)
    cluster.run()
    values = []
    for claim in (before, between, after):
        assert isinstance(claim.result, api.GetResult)
        item = claim.result.items[0]
        values.append(None if item is None else item.value)
    assert values == [None, b"1", b"2"]


def test_a_read_does_not_wait_for_the_index_of_an_own_write_of_an_earlier_term() -> None:
    """It precedes this leader's no-op, or is lost, and then nothing may ever stand there."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    leader.submit_query(GET, claim, (99, leader.raft.current_term - 1))
    cluster.run()
    assert leader.machine.last_applied < 99
    assert isinstance(claim.result, api.GetResult)


def test_a_new_leader_answers_no_read_before_its_own_entry_is_committed() -> None:
    """A lone node is its own majority, so nothing else holds the read back."""
    cluster, claim = Cluster(size=1), Claim()
    node = cluster.nodes[1]

    def step() -> None:
        cluster.now_ms += 50.0
        cluster.turn(1)

    until(lambda: node.raft.role is Role.LEADER, step, "it leads")
    node.submit_query(GET, claim)
    assert node.prepare().answers == []
    (answer,) = node.complete().answers
    assert answer.ticket is claim


def test_a_lone_node_answers_a_read_without_waiting_for_its_disk() -> None:
    cluster, claim = Cluster(size=1), Claim()
    node = cluster.elect()
    node.submit_query(GET, claim)
    (answer,) = node.prepare().answers
    assert answer.ticket is claim


def test_a_read_is_answered_once_a_majority_has_confirmed_the_leader() -> None:
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    leader.submit_query(GET, claim)
    cluster.turn(leader.raft.id)
    assert claim.results == []
    cluster.turn(cluster.followers()[0].raft.id)
    cluster.turn(leader.raft.id)
    assert isinstance(claim.result, api.GetResult)


def test_all_reads_of_a_turn_cost_one_message_to_each_follower() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    cluster.messages.clear()
    claims = [Claim() for _ in range(5)]
    for claim in claims:
        leader.submit_query(GET, claim)
    cluster.turn(leader.raft.id)
    assert sorted(m.recipient for m in cluster.messages) == sorted(
        node.raft.id for node in cluster.followers()
    )
    cluster.run(150)
    assert all(isinstance(claim.result, api.GetResult) for claim in claims)


def test_a_leader_cut_off_from_the_majority_refuses_its_readers_as_it_steps_down() -> None:
    """It may have been replaced, and cannot know."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    cluster.isolate(leader.raft.id)
    leader.submit_query(GET, claim)
    cluster.run(800)
    assert claim.results == []
    cluster.run(400)
    assert leader.raft.role is not Role.LEADER
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_a_leader_that_wakes_does_not_answer_from_before_it_slept() -> None:
    """Its client asks before anything of the newer term has reached it."""
    cluster, written, claim = Cluster(), Claim(), Claim()
    old = cluster.elect()
    cluster.run()
    cluster.asleep.add(old.raft.id)
    cluster.run(2_000)
    new = cluster.elect()
    assert new is not old
    new.submit_command(PUT, written)
    cluster.run()
    assert isinstance(written.result, api.PutResult)
    cluster.asleep.clear()
    cluster.messages.clear()
    old.wake(cluster.now_ms)
    old.submit_query(GET, claim)
    cluster.turn(old.raft.id)
    assert old.raft.role is Role.FOLLOWER
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_a_leader_is_known_since_it_was_heard_also_in_that_very_turn() -> None:
    """Who asks for the status then must not be told the time of the one before."""
    cluster = Cluster()
    term = cluster.elect().raft.current_term
    follower, heir = (node for node in cluster.followers())
    cluster.run(3_000)
    assert (follower.known_leader.age_ms(follower.now_ms) or 0.0) > 2_000
    log = follower.raft.log
    word = AppendEntries(
        prev_log_index=log.last_index,
        prev_log_term=log.term(log.last_index),
        entries=(),
        leader_commit=0,
        cluster_id=follower.settings.cluster_id,
        sender=heir.raft.id,
        recipient=follower.raft.id,
        term=term + 1,
    )
    follower.receive(word)
    assert follower.raft.leader_id == heir.raft.id
    assert follower.known_leader.age_ms(follower.now_ms) == 0.0
    cluster.turn(follower.raft.id)
    cluster.run(50)
    assert (follower.known_leader.age_ms(follower.now_ms) or 0.0) <= 50


def test_reads_of_a_deposed_leader_are_refused() -> None:
    cluster, claim = Cluster(), Claim()

    def leaders() -> list[Node]:
        return [n for n in cluster.nodes.values() if n.raft.role is Role.LEADER]

    until(leaders, partial(cluster.run, 50), "a node leads")
    [leader] = leaders()
    cluster.isolate(leader.raft.id)
    leader.submit_query(GET, claim)
    cluster.turn(leader.raft.id)
    pending = claim.results == []
    cluster.run(2_500)
    cluster.heal()
    cluster.run(1_000)
    assert leader.raft.role is Role.FOLLOWER
    assert pending
    assert claim.failure.code is api.FailureCode.NO_LEADER


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


def test_a_leader_alone_takes_no_more_than_it_may_hold_for_a_majority() -> None:
    cluster = Cluster(limits=Limits(pending_writes_max=5))
    leader = cluster.elect()
    cluster.isolate(leader.raft.id)
    claims = [Claim() for _ in range(8)]
    for claim in claims:
        leader.submit_command(PUT, claim)
        cluster.run(TICK_MS)
    cluster.run(leader.settings.request_timeout_ms + 100)
    codes = [claim.failure.code for claim in claims]
    assert codes == [api.FailureCode.UNKNOWN] * 5 + [api.FailureCode.BUSY] * 3


def test_a_leader_alone_holds_a_bounded_number_of_bytes() -> None:
    cluster = Cluster(limits=Limits(pending_bytes_max=1_000), cached_bytes_max=100)
    leader = cluster.elect()
    cluster.isolate(leader.raft.id)
    claims = [Claim() for _ in range(3)]
    for claim in claims:
        leader.submit_command(api.Put(b"k", b"x" * 900), claim)
    cluster.run(leader.settings.request_timeout_ms + 100)
    codes = [claim.failure.code for claim in claims]
    assert codes == [api.FailureCode.UNKNOWN] * 2 + [api.FailureCode.BUSY]
    cluster.heal()
    cluster.run(2_000)
    again = Claim()
    cluster.elect().submit_command(PUT, again)
    cluster.run()
    assert isinstance(again.result, api.PutResult), "what is applied makes room again"


def test_what_was_applied_leaves_room_for_the_next_write() -> None:
    """The cache is over its own bound then, and nothing is left to apply."""
    cluster = Cluster(limits=Limits(pending_bytes_max=1_000), cached_bytes_max=100)
    leader, claims = cluster.elect(), [Claim() for _ in range(3)]
    for claim in claims[:2]:
        leader.submit_command(api.Put(b"k", b"x" * 900), claim)
    cluster.run()
    leader.submit_command(PUT, claims[2])
    cluster.run()
    assert all(isinstance(claim.result, api.PutResult) for claim in claims)


# --- The end of a read -------------------------------------------------------------------------


def test_a_read_that_expires_as_its_leader_falls_does_not_keep_the_node_busy() -> None:
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    leader.submit_query(GET, claim)
    cluster.now_ms += leader.settings.request_timeout_ms + 100
    leader.tick(cluster.now_ms)
    other = cluster.followers()[0].raft.id
    leader.receive(
        RequestVote(
            cluster_id="test",
            sender=other,
            recipient=leader.raft.id,
            term=leader.raft.current_term + 1,
            last_log_index=99,
            last_log_term=leader.raft.current_term,
        )
    )
    for _ in range(3):
        cluster.turn(leader.raft.id)
    assert not leader.is_busy
    assert len(claim.results) == 1


def test_a_read_waiting_for_a_write_is_not_answered_by_a_follower() -> None:
    """The new leader's message commits the write and ends the leadership at once."""
    cluster, read_claim = Cluster(), Claim()
    old = cluster.elect()
    write = old.submit_command(PUT, Claim())
    old.submit_query(GET, read_claim, write)
    cluster.turn(old.raft.id)
    heir = cluster.followers()[0].raft.id
    cluster.turn(heir)
    cluster.messages.clear()
    cluster.isolate(old.raft.id)
    raft = cluster.nodes[heir].raft
    until(lambda: raft.has_committed_in_term, partial(cluster.run, 50), "the heir has committed")
    cluster.heal()
    cluster.run(1_000)
    assert old.machine.revision == 2
    assert read_claim.failure.code is api.FailureCode.NO_LEADER


def test_a_request_read_after_a_long_sleep_has_all_its_time() -> None:
    cluster, claim = Cluster(size=1), Claim()
    leader = cluster.elect()
    cluster.now_ms += 10 * leader.settings.request_timeout_ms
    leader.wake(cluster.now_ms)
    leader.submit_command(PUT, claim)
    leader.tick(cluster.now_ms)
    cluster.run()
    assert isinstance(claim.result, api.PutResult)


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
    assert cluster.nodes[1].machine.revision == 3


def test_what_is_due_once_an_interval_is_not_done_in_every_turn() -> None:
    """A deadline that is not set anew changes no answer: it shows in what a turn costs."""
    cluster = Cluster()
    leader, follower = cluster.elect(), cluster.followers()[0]
    settings = leader.settings
    log, state = cluster.logs[follower.raft.id], cluster.states[follower.raft.id]
    log.looks = state.commits = 0
    # Of two sums, for short and for long entries; and of what may be appended: of short entries,
    # of long ones, and of the very last.
    asked_in_a_turn = 5
    turns, heartbeats = 400, 0
    for turn in range(turns):
        if turn % 50 == 0:
            leader.submit_command(PUT, Claim())
        cluster.now_ms += 5
        for node_id in cluster.nodes:
            cluster.turn(node_id)
            heartbeats += sum(
                isinstance(one, AppendEntries)
                and not one.entries
                and one.recipient == follower.raft.id
                for one in cluster.messages
                if node_id == leader.raft.id
            )
    beats = turns * 5 // settings.raft.heartbeat_interval_ms
    checkpoints = turns * 5 // settings.checkpoint_interval_ms
    assert beats - 1 <= log.looks // asked_in_a_turn <= beats + 1
    assert beats // 2 <= heartbeats <= beats + 1
    assert checkpoints - 1 <= state.commits <= checkpoints + 1


def test_a_stopping_node_tells_its_writers_that_the_outcome_is_unknown() -> None:
    cluster = Cluster()
    leader, claim = cluster.elect(), Claim()
    leader.submit_command(PUT, claim)
    cluster.turn(leader.raft.id)
    for answer in leader.abandon_clients():
        answer.ticket.fill(answer.result)
    assert claim.failure.code is api.FailureCode.UNKNOWN
