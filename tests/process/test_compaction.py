"""Real nodes that drop what is applied of their logs, under load, kills and looks from beside."""

from __future__ import annotations

import pytest

from kvstore.storage.inspect import inspect_directories

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .steps import FAST, QUICK

pytestmark = pytest.mark.process

KEPT = {"KVSTORE_LOG_KEPT_BYTES": "64KiB"}
KEPT_BYTES = 64 << 10
VALUE = b"v" * 1_000


def write(cluster: Cluster, count: int = 600) -> None:
    """More than is kept, through whoever leads."""
    with cluster.client(cluster.wait_for_leader()) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(count):
            pipeline.set(f"key {number % 40}", VALUE + b"%d" % number)
        pipeline.execute()


def info(cluster: Cluster, node_id: int) -> dict[str, int]:
    with cluster.client(node_id) as client:
        return client.info()


def test_logs_stay_small_and_nodes_come_back_on_what_is_left(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ={**FAST, **KEPT})
    for _ in range(4):
        write(cluster)
    leader = cluster.wait_for_leader()

    def is_dropped(node_id: int) -> bool:
        said = info(cluster, node_id)
        return KEPT_BYTES <= said["raft_log_bytes"] < 4 * KEPT_BYTES

    eventually(lambda: is_dropped(leader), "the leader's log is short")
    cluster.wait_for_log(leader, "what was applied is dropped beyond 64 KiB from now on")
    assert info(cluster, leader)["raft_first_log_index"] > 1_000
    cluster.kill(*cluster.nodes)
    cluster.restart()
    write(cluster)
    cluster.wait_until_level()
    assert max(report.start.index for report in cluster.reports().values()) > 1_000


def test_who_looks_while_logs_are_dropped_finds_nothing_wrong(make_cluster: MakeCluster) -> None:
    """The state is read before the log, which may begin behind that by then."""
    cluster = make_cluster(1, environ={**QUICK, **KEPT})
    directory = cluster.nodes[1].data_dir
    starts = set()

    def has_seen_enough() -> bool:
        write(cluster, 200)
        [report] = inspect_directories([directory])
        assert report.findings == ()
        starts.add(report.start.index)
        return len(starts) > 4

    eventually(has_seen_enough, "the log begins at other entries, again and again")


def test_a_log_in_the_smallest_map_is_written_to_for_ever(make_cluster: MakeCluster) -> None:
    """Several times as much as its map holds: a write that is refused for want of room is not for
    long, as it was the data that might have needed it until the next checkpoint."""
    cluster = make_cluster(1, environ={**QUICK, "KVSTORE_LOG_MAP_BYTES": "24MiB"})
    written = 0
    with cluster.client(cluster.wait_for_leader()) as client:

        def is_written() -> bool:
            nonlocal written
            pipeline = client.pipeline(transaction=False)
            for number in range(50):
                pipeline.set(f"key {number}", VALUE)
            written += pipeline.execute(raise_on_error=False).count(True)
            return written > 60_000

        eventually(is_written, "more was written than the map holds", deadline_s=120.0)
        assert client.set("the last", b"one")
    assert info(cluster, 1)["raft_first_log_index"] > 50_000
