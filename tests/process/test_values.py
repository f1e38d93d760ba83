"""Values as long as a node can be told to take: they cost time, and no election."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from kvstore.config.limits import VALUE_BYTES_CEILING

from .cluster import Cluster
from .conftest import MakeCluster

pytestmark = [pytest.mark.process, pytest.mark.timed]

ROUNDS = 6


def terms(cluster: Cluster) -> set[tuple[int, int | None]]:
    statuses = [cluster.status(node_id) for node_id in cluster.nodes]
    return {(status.term, status.leader_id) for status in statuses}


def all_at_once(*acts: Callable[[], None]) -> None:
    """Each in a thread of its own; the first failure is raised."""
    failures: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.timeout(240)
def test_values_of_the_largest_size_are_put_and_got_without_an_election(
    make_cluster: MakeCluster,
) -> None:
    """At 32 to 64 MiB there were 5 to 17 in a few seconds."""
    cluster = make_cluster(environ={"KVSTORE_VALUE_BYTES_MAX": str(VALUE_BYTES_CEILING)})
    leader = cluster.wait_for_leader()
    before = terms(cluster)

    def client() -> redis.Redis:
        return cluster.client(leader, socket_timeout=60.0)

    def put(name: str) -> None:
        with client() as connection:
            for number in range(ROUNDS):
                assert connection.set(name, bytes([number]) * VALUE_BYTES_CEILING)

    def get() -> None:
        with client() as connection:
            for _ in range(ROUNDS):
                found = connection.get("one")
                assert found is None or len(found) == VALUE_BYTES_CEILING

    def exchange() -> None:
        """A conditional write carries two of them, and its reply a third."""
        with client() as connection:
            value = bytes(VALUE_BYTES_CEILING)
            assert connection.set("two", value, nx=True)
            for number in range(1, ROUNDS // 2):
                new = bytes([number]) * VALUE_BYTES_CEILING
                words = ("SET", "two", new, "IFEQ", value, "GET")
                reply = connection.execute_command(*words, get=True)
                assert reply == value
                value = new

    all_at_once(lambda: put("one"), exchange, get)
    assert terms(cluster) == before
    cluster.wait_until_level()
