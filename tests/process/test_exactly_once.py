"""Leaders die under a client that retries, and every increment is counted once."""

from __future__ import annotations

import random
import threading

import pytest

import kvstore
from kvstore import Client, api

from .cluster import Cluster, eventually
from .conftest import MakeCluster

pytestmark = pytest.mark.process

FAST = {
    "KVSTORE_HEARTBEAT_MS": "50",
    "KVSTORE_ELECTION_MS": "300-600",
    "KVSTORE_REQUEST_TIMEOUT_MS": "1000",
}
CLIENTS = 4
KILLS = 5
PATIENCE_MS = 60_000


def addresses(cluster: Cluster) -> list[str]:
    return [f"{node.host}:{node.port}" for node in cluster.nodes.values()]


class Counting:
    """A client that increments one counter until it is told to stop.

    * `sums` are the answers; a request that ends in any other way ends the thread.
    """

    def __init__(self, cluster: Cluster, counter: str) -> None:
        self.sums: list[int] = []
        self.error: kvstore.KvstoreError | None = None
        self.stops = threading.Event()
        self._addresses = addresses(cluster)
        self._counter = counter
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with Client(self._addresses, timeout_ms=PATIENCE_MS) as client:
                while not self.stops.is_set():
                    self.sums.append(client.increment(self._counter))
        except kvstore.KvstoreError as error:
            self.error = error

    def end(self) -> None:
        self.stops.set()
        self.thread.join(2 * PATIENCE_MS / 1_000)
        assert not self.thread.is_alive()
        assert self.error is None, self.error


def test_a_counter_is_the_number_of_acknowledged_increments_after_failovers(
    make_cluster: MakeCluster,
) -> None:
    rng = random.Random(14)
    cluster = make_cluster(environ=FAST)
    cluster.wait_for_leader()
    counting = [Counting(cluster, "counter") for _ in range(CLIENTS)]

    def progress() -> None:
        goal = sum(len(one.sums) for one in counting) + rng.randrange(20, 200)
        eventually(
            lambda: (
                any(one.error for one in counting) or sum(len(one.sums) for one in counting) >= goal
            ),
            "the clients go on",
        )

    for _ in range(KILLS):
        progress()
        leader = cluster.wait_for_leader()
        cluster.kill(leader)
        progress()
        cluster.restart(leader)
    progress()
    for one in counting:
        one.end()
    sums = sorted(value for one in counting for value in one.sums)
    assert sums == list(range(1, len(sums) + 1))
    with Client(addresses(cluster)) as client:
        record = client.get("counter")
    assert record is not None
    assert int(record.value) == record.version == len(sums)


def test_a_retry_has_its_answer_after_the_whole_cluster_was_killed(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(environ=FAST)
    cluster.wait_for_leader()
    with Client(addresses(cluster), timeout_ms=PATIENCE_MS) as client:
        opened = client.execute(api.OpenSession())
        assert isinstance(opened, api.SessionResult)
        once = api.Once(opened.session, 1, api.Increment(b"counter", 1))
        first = client.execute(once)
        assert first == api.IncrementResult(2, 1)
        cluster.kill(*cluster.nodes)
        cluster.restart()
        assert client.execute(once) == first
        # The number is that write's, also for nodes that know it from their disks alone.
        another = api.Once(opened.session, 1, api.Put(b"counter", b"17"))
        with pytest.raises(kvstore.RefusedError, match=r"TAKEN .* was another write"):
            client.execute(another)
        assert client.increment("counter") == 2


def test_a_lock_that_changed_hands_fences_its_old_holder(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=FAST)
    leader = cluster.wait_for_leader()
    with (
        Client(addresses(cluster), timeout_ms=PATIENCE_MS) as one,
        Client(addresses(cluster), timeout_ms=PATIENCE_MS) as other,
    ):
        held = one.put("lock", "one", if_absent=True).revision
        one.put("data", "1", guard=("lock", held))
        cluster.kill(leader)
        taken = other.put("lock", "other", if_value="one").revision
        assert taken > held
        with pytest.raises(kvstore.GuardFailedError) as caught:
            one.put("data", "late", guard=("lock", held))
        assert caught.value.mod_revision == taken
        other.put("data", "2", guard=("lock", taken))
        record = one.get("data")
        assert record is not None
        assert record.value == b"2"
        cluster.restart(leader)
