"""Reads that any node answers, by the word of its leader."""

from __future__ import annotations

import random
from functools import partial

from until import until

from kvstore import api
from kvstore.raft.messages import INDEX_MAX
from kvstore.server.node import Node
from kvstore.server.waiting.reads import Read, WaitingReads

from .cluster import TICK_MS, Claim, Cluster

PUT = api.Put(b"k", b"v")
GET = api.Get((b"k",))


def test_a_read_of_any_node_sees_what_was_acknowledged_before_it() -> None:
    """The follower asks its leader, and answers as of that index."""
    cluster, written, claim = Cluster(), Claim(), Claim()
    leader = cluster.elect()
    cluster.run()
    leader.submit_command(PUT, written)
    until(lambda: written.results, partial(cluster.run, TICK_MS), "the write is answered")
    follower = cluster.followers()[0]
    behind = follower.machine.revision
    follower.submit_query(GET, claim, from_any=True)
    until(lambda: claim.results, partial(cluster.run, TICK_MS), "the read is answered")
    assert behind == 1, "the follower had applied the write already: the read proves nothing"
    assert isinstance(claim.result, api.GetResult)
    assert claim.result.items[0] is not None


def test_a_follower_that_cannot_ask_its_leader_refuses_its_readers_in_time() -> None:
    """It hears the leader, but is not heard; and keeps nothing of those who left."""
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    follower = cluster.followers()[0]
    cluster.cut = {(follower.raft.id, leader.raft.id)}
    waiting = []
    for _ in range(3):
        for _ in range(int(leader.settings.request_timeout_ms / TICK_MS)):
            claim = Claim()
            follower.submit_query(GET, claim, from_any=True)
            cluster.run(TICK_MS)
        waiting.append((len(follower._reads.waiting), len(follower._reads._asked)))
    assert waiting == [waiting[0]] * 3
    cluster.run(leader.settings.request_timeout_ms + 100)
    assert claim.failure.code is api.FailureCode.NO_LEADER
    assert len(follower._reads.waiting) == len(follower._reads._asked) == 0


def test_readers_of_a_follower_are_refused_when_its_leader_is_gone() -> None:
    """Nobody will answer its question."""
    cluster, claim = Cluster(), Claim()
    leader = cluster.elect()
    cluster.run()
    follower = cluster.followers()[0]
    cluster.asleep.add(leader.raft.id)
    follower.submit_query(GET, claim, from_any=True)
    cluster.run(1_500)
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_a_node_without_a_leader_reads_for_nobody() -> None:
    cluster, claim = Cluster(), Claim()
    cluster.nodes[1].submit_query(GET, claim, from_any=True)
    cluster.turn(1)
    assert claim.failure.code is api.FailureCode.NO_LEADER


def test_numbers_of_reads_do_not_come_again_after_a_restart() -> None:
    """A late answer from before it would confirm a read that came after it."""
    cluster = Cluster(size=1)
    numbers = {cluster.nodes[1]._reads.new_batch()}
    for seed in range(100, 120):
        rng = random.Random(seed)
        node = Node(cluster.nodes[1].settings, cluster.logs[1], cluster.states[1], rng)
        numbers.add(node._reads.new_batch())
    assert len(numbers) == 21
    assert max(numbers) <= INDEX_MAX


def asked_in_turn(count: int) -> tuple[WaitingReads, list[Claim], list[int]]:
    """Reads that arrived one a turn, with their tickets and their batches."""
    reads = WaitingReads(first_number=100)
    claims = [Claim() for _ in range(count)]
    batches = []
    for claim in claims:
        reads.add(Read(claim, GET, after=0, deadline_ms=1_000.0))
        batches.append(reads.new_batch())
    return reads, claims, batches


def due(reads: WaitingReads, last_applied: int) -> list[object]:
    return [read.ticket for read in reads.take_due(last_applied)]


def test_a_read_does_not_wait_for_an_answer_that_a_later_one_has_overtaken() -> None:
    """Or one connection's first read would see more than its second (simulator, seed 5000003)."""
    reads, claims, batches = asked_in_turn(2)
    reads.is_ready(batches[1], 10)
    assert due(reads, 10) == claims
    reads.is_ready(batches[0], 11)
    assert len(reads.waiting) == 0


def test_no_read_goes_back_behind_one_that_arrived_before_it() -> None:
    """The questions overtook each other, and so did the answers."""
    reads, claims, batches = asked_in_turn(2)
    reads.is_ready(batches[0], 11)
    reads.is_ready(batches[1], 10)
    assert due(reads, 10) == []
    assert due(reads, 11) == claims


def test_an_answer_to_a_question_that_is_not_open_releases_nobody() -> None:
    """It may be one to an earlier life of this node, and say less than was acknowledged since."""
    reads, claims, batches = asked_in_turn(2)
    reads.is_ready(batches[1] + 1_000, 5)
    assert due(reads, 1_000) == []
    reads.is_ready(batches[0], 10)
    assert due(reads, 1_000) == claims[:1]
