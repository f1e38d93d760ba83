"""When a node must take its next turn though nothing arrives: not before, and not later."""

from __future__ import annotations

import math
import random

import pytest

from kvstore import api
from kvstore.raft.types import Role
from kvstore.server.node import Node
from kvstore.server.waiting.reads import Read, WaitingReads
from kvstore.server.waiting.writes import WaitingWrites, Write

from .cluster import TICK_MS, Claim, Cluster

_STEP_MS = 7.0


class _Timed(Claim):
    """It knows when it was made, and when it was answered."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self.asked_ms = cluster.now_ms
        self.waited_ms = math.inf

    def fill(self, result: api.Result) -> None:
        super().fill(result)
        self.waited_ms = self._cluster.now_ms - self.asked_ms


class _Watched(Cluster):
    """A cluster in which a turn that is not due, and for which nothing arrived, changes nothing.

    * `idle_turns`: how many there were; without `takes_idle_turns` there are none.
    """

    takes_idle_turns = True

    def __init__(self, members: int) -> None:
        super().__init__(members)
        self.due = dict.fromkeys(self.members, 0.0)
        self.idle_turns = 0
        self.slept_ms: list[float] = []
        self._last_ms = dict.fromkeys(self.members, 0.0)

    def turn(self, node_id: int) -> None:
        node = self.nodes[node_id]
        arrives = any(one.recipient == node_id for one in self.messages)
        is_idle = not (arrives or node.is_busy or self.now_ms >= self.due[node_id])
        if is_idle and not self.takes_idle_turns:
            return
        self.slept_ms.append(self.now_ms - self._last_ms[node_id])
        self._last_ms[node_id] = self.now_ms
        before = self._told_by(node)
        super().turn(node_id)
        self.due[node_id] = node.due_ms
        if is_idle:
            self.idle_turns += 1
            assert self._told_by(node) == before

    def _told_by(self, node: Node) -> object:
        """All that others, its disk and its log can know of a node."""
        raft = node.raft
        role = raft.role, raft.current_term, raft.voted_for, raft.leader_id, raft.heir
        said = len(self.messages), len(self.events[raft.id])
        return role, said, raft.commit_index, node.machine.last_applied, node.state_store.applied()

    def pass_time(self, duration_ms: float) -> None:
        """In steps much smaller than what nodes wait for."""
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self.now_ms += _STEP_MS
            for node_id in self.members:
                self.turn(node_id)

    def ask(self, rng: random.Random, ticket: _Timed) -> None:
        """A client asks whoever leads, or some node: its next turn is not an idle one."""
        leaders = [node for node in self.nodes.values() if node.raft.role is Role.LEADER]
        node = rng.choice(leaders if leaders and rng.random() < 0.7 else [*self.nodes.values()])
        self.due[node.raft.id] = 0.0
        match rng.randrange(5):
            case 0:
                node.hand_over(api.HandOver(), ticket)
            case 1 | 2:
                node.submit_query(api.Get((b"red",)), ticket, from_any=True)
            case _:
                node.submit_command(api.Put(b"red", b"1"), ticket)


def _story(cluster: _Watched, rng: random.Random) -> list[_Timed]:
    """Clients ask, and nodes are cut off and come back; what they asked with."""
    asked: list[_Timed] = []
    for _ in range(12):
        alone = rng.choice(list(cluster.members))
        if rng.random() < 0.2:
            cluster.isolate(alone)
        elif rng.random() < 0.3:
            cluster.cut |= {(alone, other) for other in cluster.members if other != alone}
        elif rng.random() < 0.5:
            cluster.heal()
        for _ in range(rng.randrange(6)):
            asked.append(_Timed(cluster))
            cluster.ask(rng, asked[-1])
        cluster.pass_time(rng.choice((20.0, 300.0, 2_500.0)))
    return asked


@pytest.mark.parametrize("members", [1, 3, 5])
def test_nothing_happens_before_it_is_due(members: int) -> None:
    for seed in range(6):
        cluster = _Watched(members)
        _story(cluster, random.Random(seed))
        assert cluster.idle_turns > 500


@pytest.mark.parametrize("members", [1, 3, 5])
def test_who_sleeps_until_something_is_due_does_all_in_time(members: int) -> None:
    for seed in range(6):
        cluster = _Watched(members)
        cluster.takes_idle_turns = False
        asked = _story(cluster, random.Random(seed))
        cluster.heal()
        cluster.pass_time(5_000.0)
        allowed_ms = cluster.nodes[1].settings.request_timeout_ms + 2 * _STEP_MS
        assert max(ticket.waited_ms for ticket in asked) <= allowed_ms
        assert [n.raft.role.name for n in cluster.nodes.values()].count("LEADER") == 1
        assert {n.state_store.applied().last_applied for n in cluster.nodes.values()} == {
            n.raft.commit_index for n in cluster.nodes.values()
        }, "what was applied is durable once a checkpoint is due"
        assert max(cluster.slept_ms) <= cluster.raft.election_timeout_min_ms / 2 + _STEP_MS


def test_a_request_that_waits_too_long_is_due_when_its_time_is_up() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.followers()[0]
    deadline_ms = cluster.now_ms + leader.settings.request_timeout_ms
    follower.submit_query(api.Get((b"red",)), Claim(), from_any=True)
    cluster.cut = {(follower.raft.id, leader.raft.id)}
    _look_again_just_before(cluster, deadline_ms)
    assert follower.due_ms <= deadline_ms
    cluster.heal()
    cluster.run()
    deadline_ms = cluster.now_ms + leader.settings.request_timeout_ms
    leader.submit_command(api.Put(b"red", b"1"), Claim())
    cluster.isolate(leader.raft.id)
    _look_again_just_before(cluster, deadline_ms)
    assert leader.due_ms <= deadline_ms


def test_of_those_who_wait_the_oldest_one_is_due_first() -> None:
    reads, writes = WaitingReads(first_number=1), WaitingWrites()
    assert reads.due_ms == writes.due_ms == math.inf
    for index, deadline_ms in enumerate((30.0, 40.0), start=1):
        reads.add(Read(Claim(), api.Count(), 0, deadline_ms))
        writes.waiting[index, 1] = Write(Claim(), deadline_ms)
    assert reads.due_ms == writes.due_ms == 30.0
    reads.take_overdue(30.0)
    del writes.waiting[1, 1]
    assert reads.due_ms == writes.due_ms == 40.0


def _look_again_just_before(cluster: Cluster, deadline_ms: float) -> None:
    """When nothing else is due before that: all timers were looked at a moment ago."""
    cluster.run(deadline_ms - cluster.now_ms - TICK_MS)
    cluster.now_ms = deadline_ms - 0.5
    for node_id in cluster.members:
        cluster.turn(node_id)
