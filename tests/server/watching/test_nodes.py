"""Watches at the nodes of a cluster: any node serves them, with what is committed and no more."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.server.asked import Asked
from kvstore.server.node import Node
from kvstore.server.router import Router
from kvstore.server.watching.piece import Ended, Told
from kvstore.server.watching.subscriber import Subscriber
from kvstore.storage.base import Divergence

from ..cluster import Claim, Cluster
from ..snapshots import left_behind, level


class Ear:
    """Hears that there is something."""

    def __init__(self) -> None:
        self.news = 0

    def has_news(self) -> None:
        self.news += 1


class Watcher:
    """A connection to one node, with a watch of everything."""

    def __init__(self, node: Node, *, needs_leader: bool = False) -> None:
        self.node = node
        self.ear = Ear()
        self.router = Router(self.ear)
        self.created = self.ask(api.CreateWatch(1, b"", api.FROM_KEY, needs_leader=needs_leader))

    def ask(self, request: api.Request) -> api.Result:
        claim = Claim()
        self.router.dispatch(self.node, Asked(request), claim)
        return claim.result

    @property
    def subscriber(self) -> Subscriber:
        assert self.router.subscriber is not None
        return self.router.subscriber

    def take(self) -> list[bytes | api.FailureCode]:
        """The keys of all events, and why the watch has ended."""
        taken: list[bytes | api.FailureCode] = []
        for notice in self.node.watches.take(self.subscriber, 1 << 30):
            if isinstance(notice, Told):
                taken += [event.key for event in notice.piece.events()]
            else:
                assert isinstance(notice, Ended)
                taken.append(notice.failure.code)
        return taken


def put(cluster: Cluster, node: Node, key: bytes) -> None:
    node.submit_command(api.Put(key, b"v"), Claim())
    cluster.run(200)


def test_every_node_serves_them() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    watchers = [Watcher(node) for node in cluster.nodes.values()]
    put(cluster, leader, b"a")
    put(cluster, leader, b"b")
    assert [watcher.take() for watcher in watchers] == [[b"a", b"b"]] * 3
    assert all(watcher.ear.news for watcher in watchers)


def test_nothing_is_told_that_is_not_committed() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    watcher = Watcher(leader)
    cluster.isolate(leader.raft.id)
    put(cluster, leader, b"lost")
    assert leader.raft.log.last_index > leader.raft.commit_index
    assert watcher.take() == []


@pytest.mark.parametrize("leads", [False, True])
def test_who_needs_a_leader_hears_within_an_election_timeout_that_there_is_none(
    leads: bool,
) -> None:
    cluster = Cluster()
    leader = cluster.elect()
    node = leader if leads else cluster.followers()[0]
    needing, patient = Watcher(node, needs_leader=True), Watcher(node)
    cluster.run(2_000)
    assert needing.take() == []
    cluster.isolate(node.raft.id)
    cluster.run(2 * node.settings.raft.election_timeout_max_ms if leads else 1_000)
    assert needing.take() == [api.FailureCode.NO_LEADER]
    assert patient.take() == []
    refusal = Watcher(node, needs_leader=True).created
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.NO_LEADER
    cluster.heal()
    until(lambda: node.raft.is_led, cluster.run, "somebody leads")
    put(cluster, cluster.elect(), b"a")
    assert patient.take() == [b"a"]


def test_who_watches_at_a_node_that_gets_a_snapshot_is_not_passed_over() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    watcher = Watcher(lost)
    cluster.heal()
    level(cluster, leader, lost)
    cluster.run(100)
    taken: list[bytes | api.FailureCode] = []
    while heard := watcher.take() or lost.watches.is_busy:
        taken += heard if isinstance(heard, list) else []
        cluster.run(100)
    assert taken == [b"key %d" % number for number in range(40)], "history came with it"


def test_who_begins_in_the_past_is_told_of_it_at_every_node() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    first = leader.machine.revision + 1
    for number in range(10):
        put(cluster, leader, b"%d" % number)
    for node in cluster.nodes.values():
        watcher = Watcher(node)
        watcher.ask(api.CancelWatch(1))
        request = api.CreateWatch(2, b"", api.FROM_KEY, first + 3, with_previous=True)
        assert watcher.ask(request) == api.WatchCreated(2, first + 3)
        cluster.run(200)
        assert watcher.take() == [b"%d" % number for number in range(3, 10)]


def test_data_that_are_in_doubt_are_told_to_nobody() -> None:
    cluster = Cluster()
    cluster.elect()
    follower = cluster.followers()[0]
    watcher = Watcher(follower)
    follower.state_differs(Divergence(1, 2))
    [code] = watcher.take()
    assert code is follower.divergence.refusal.code
    refusal = Watcher(follower).created
    assert refusal == follower.divergence.refusal


def test_who_cannot_hear_cannot_watch() -> None:
    cluster = Cluster()
    node, claim = cluster.elect(), Claim()
    Router().dispatch(node, Asked(api.CreateWatch(1, b"a")), claim)
    assert isinstance(claim.result, api.Failure)
