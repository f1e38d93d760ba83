"""Watches on real nodes: everything is told once, whoever goes away; a closed one ends."""

from __future__ import annotations

import contextlib
import threading

import pytest

from kvstore.client.blocking import Client
from kvstore.client.watching import Watch
from kvstore.errors import RefusedError, UnreachableError

from .cluster import eventually
from .conftest import MakeCluster
from .steps import others

pytestmark = pytest.mark.process


def take(watch: Watch, count: int) -> list[tuple[int, list[tuple[bytes, bytes | None]]]]:
    """The next revisions that did something: each key with its value, None if it is gone."""
    taken: list[tuple[int, list[tuple[bytes, bytes | None]]]] = []
    while len(taken) < count:
        revision, events = next(watch)
        taken.append((revision, [(one.key, one.item and one.item.value) for one in events]))
    return taken


def test_every_node_tells_what_happens(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.wait_for_leader()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(Client(cluster.address(node), 20_000)) for node in cluster.nodes
        ]
        client = clients[0]
        watches = [stack.enter_context(one.watch(prefix="a")) for one in clients]
        first = client.put("a1", "x").revision
        client.put("b", "not watched")
        client.put_many({"a1": "y", "a2": "z"})
        client.delete("a1")
        for watch in watches:
            assert take(watch, 3) == [
                (first, [(b"a1", b"x")]),
                (first + 2, [(b"a1", b"y"), (b"a2", b"z")]),
                (first + 3, [(b"a1", None)]),
            ]
            assert watch.next_revision == first + 4


def test_a_closed_watch_ends_whoever_waits(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(size=1)
    cluster.wait_for_leader()
    with Client(cluster.address(1), 20_000) as client:
        watch = client.watch("a")
        taken: list[object] = []
        thread = threading.Thread(target=lambda: taken.extend(watch))
        thread.start()
        client.put("a", "1")
        eventually(lambda: taken, "it is told")
        watch.close()
        thread.join(60)
        assert not thread.is_alive()
        assert len(taken) == 1


def test_a_watch_with_patience_says_where_to_go_on(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(size=1)
    cluster.wait_for_leader()
    with Client(cluster.address(1), 20_000) as client:
        watch = client.watch("a", patience_s=0.5)
        client.put("a", "1")
        [(revision, _)] = take(watch, 1)
        cluster.kill(1)
        with pytest.raises(UnreachableError, match=f"go on from {revision + 1}"):
            next(watch)
        with pytest.raises(StopIteration):
            next(watch)
    cluster.start(1)


def test_what_a_node_would_not_take_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(size=1)
    cluster.wait_for_leader()
    with Client(cluster.address(1), 20_000) as client, pytest.raises(RefusedError):
        client.watch(b"k" * 1_000)


def test_another_node_goes_on_where_one_was_frozen(make_cluster: MakeCluster) -> None:
    """It is left though its connection is whole; what happened meanwhile is told from history."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    frozen, other = others(cluster, leader)
    nodes = [cluster.address(node) for node in (frozen, other)]
    with (
        Client(cluster.address(leader), 20_000) as client,
        Client(nodes, 20_000) as watcher,
        watcher.watch("a") as watch,
    ):
        first = client.put("a", "1").revision
        assert take(watch, 1) == [(first, [(b"a", b"1")])]
        cluster.pause(frozen)
        second = client.put("a", "2").revision
        assert take(watch, 1) == [(second, [(b"a", b"2")])]
        cluster.resume(frozen)
