"""Redis Cluster's clients: redis-py's RedisCluster, unchanged, while leadership moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from kvstore import Client

from .cluster import Cluster, eventually
from .conftest import MakeCluster

pytestmark = pytest.mark.process

ONCE = {"retry": Retry(NoBackoff(), 0)}
"""Only what is redirected is sent again, so that whoever asks knows what it was told."""
AFTER = 20
"""So many writes are to be acknowledged in the end."""


@contextmanager
def connected(cluster: Cluster, **options: object) -> Iterator[RedisCluster]:
    nodes = [ClusterNode(node.host, node.port) for node in cluster.nodes.values()]
    client = RedisCluster(startup_nodes=nodes, socket_timeout=1.0, **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


@dataclass
class Counter:
    """One that is counted up, and what came of it."""

    client: RedisCluster
    acknowledged: int = 0
    doubtful: int = 0
    last: int = 0

    def add(self) -> bool:
        """Whether it was acknowledged."""
        try:
            value = self.client.incr("n")
        except redis.exceptions.ClusterDownError:
            return False  # It was not carried out.
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            self.doubtful += 1
            return False
        assert value > self.last, "each sum is told once"
        self.last = value
        self.acknowledged += 1
        return True

    def add_until(self, is_enough: Callable[[], bool]) -> None:
        def have_enough() -> bool:
            self.add()
            return is_enough()

        eventually(have_enough, "writes are acknowledged again")

    def add_some(self) -> None:
        wanted = self.acknowledged + AFTER
        self.add_until(lambda: self.acknowledged >= wanted)


def test_what_is_counted_while_leaders_die_is_counted_once(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    with connected(cluster, **ONCE) as client:
        counter = Counter(client)
        for _ in range(2):
            counter.add_some()
            leader = cluster.wait_for_leader()
            cluster.kill(leader)
            counter.add_some()
            cluster.start(leader)
        value = int(client.get("n"))
    assert counter.acknowledged <= value <= counter.acknowledged + counter.doubtful


def test_a_leader_that_wakes_sends_on_who_asks_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    old = cluster.wait_for_leader()
    with connected(cluster, **ONCE) as client, connected(cluster, **ONCE) as sleeper:
        counter, other = Counter(client), Counter(sleeper)
        assert other.add()
        cluster.pause(old)
        counter.add_some()
        cluster.resume(old)
        assert cluster.wait_for_leader() != old
        assert other.add(), "it had the old leader for the owner of all slots"
        value = int(client.get("n"))
        doubtful = counter.doubtful
    assert counter.acknowledged + 1 < value <= counter.acknowledged + 2 + doubtful


def test_no_write_is_lost_or_doubled_when_leadership_is_handed_over(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    with connected(cluster, **ONCE) as client:
        counter = Counter(client)
        for heir in (*(set(cluster.nodes) - {leader}), leader):
            with Client([f"127.0.0.1:{node.port}" for node in cluster.nodes.values()]) as mover:
                assert mover.transfer_leader(heir).leader_id == heir
            counter.add_some()
        assert counter.doubtful == 0
        assert int(client.get("n")) == counter.acknowledged


def test_who_leaves_its_settings_as_they_are_sees_no_error_at_all(
    make_cluster: MakeCluster,
) -> None:
    """Reads of one key and of all, and writes; a redirect without a key is no MOVED."""
    cluster = make_cluster()
    with connected(cluster) as client:
        assert client.set("k", "v")
        cluster.kill(cluster.wait_for_leader())
        assert client.get("k") == b"v"
        leader = cluster.wait_for_leader()
        (heir,) = set(cluster.awake) - {leader}
        with Client(f"127.0.0.1:{cluster.nodes[leader].port}") as mover:
            mover.transfer_leader(heir)
        # Otherwise it asks any node, as replicas of Redis answer for themselves.
        assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == 1
        assert list(client.scan_iter(target_nodes=RedisCluster.PRIMARIES)) == [b"k"]
        assert client.set("k", "w")
