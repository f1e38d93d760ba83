"""Disks that refuse: an fsync that fails ends a node, a map that is full does not."""

from __future__ import annotations

import subprocess

import pytest
import redis

from .cluster import DEADLINE_S, Cluster
from .conftest import MakeCluster
from .steps import QUICK
from .trace import why_strace_cannot_run
from .workload import read_everything

pytestmark = pytest.mark.process

MIB = 1 << 20

needs_strace = pytest.mark.skipif(
    why_strace_cannot_run() is not None, reason="needs strace to make an fsync fail or hang"
)


@needs_strace
def test_an_fsync_that_fails_ends_the_node_before_it_answers(make_cluster: MakeCluster) -> None:
    """ATC'20: afterwards the page cache lies, so nobody may go on with it."""
    cluster = make_cluster(1, environ=QUICK)
    cluster.wait_for_leader()
    assert cluster.terminate(1) == 0
    node = cluster.nodes[1]
    inject = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=60+")
    node.spawn(
        ["strace", "-f", "-o", "/dev/null", *inject, *cluster.command(1)],
        cluster.process_environ(),
    )
    cluster.wait_until_answers(1)
    acknowledged = write_until_it_ends(cluster)
    assert acknowledged
    assert node.process is not None
    assert node.process.wait(DEADLINE_S) == 3
    assert "raft: write failed" in node.log
    assert "what is on the disk is unknown" in node.log
    assert "Traceback" not in node.log
    cluster.restart(1)
    cluster.wait_for_leader()
    cluster.wait_until_level()
    # The last one may be there or not: nobody was told.
    found = {int(key) for key in read_everything(cluster, 1)}
    assert set(acknowledged) <= found <= {*acknowledged, max(acknowledged) + 1}


def write_until_it_ends(cluster: Cluster) -> list[int]:
    """Write one after the other; which were acknowledged."""
    acknowledged: list[int] = []
    with cluster.client(cluster.wait_for_leader()) as client:
        for number in range(10_000):
            try:
                client.set(str(number), "x")
            except (redis.ConnectionError, redis.TimeoutError):
                return acknowledged
            acknowledged.append(number)
    raise AssertionError("the node never ended")


def write_large_values(client: redis.Redis) -> None:
    for number in range(100):
        client.set(f"key{number}", b"v" * (256 << 10))


@pytest.mark.parametrize("store", ["log", "state"])
def test_a_full_map_refuses_writes_and_the_node_goes_on(
    make_cluster: MakeCluster, store: str
) -> None:
    cluster = make_cluster(1, environ=QUICK)
    cluster.wait_for_leader()
    assert cluster.terminate(1) == 0
    node = cluster.nodes[1]
    small = cluster.command(1, **{f"{store}-map-bytes": 24 * MIB})
    node.spawn(small, cluster.process_environ())
    cluster.wait_until_answers(1)
    with cluster.client(cluster.wait_for_leader()) as client:
        client.set("first", "x")
        with pytest.raises(redis.ResponseError, match=r"NOSPACE.*map-bytes"):
            write_large_values(client)
        assert client.get("first") == b"x"
        kept = client.dbsize()
    assert cluster.terminate(1) == 0
    cluster.restart(1)
    with cluster.client(cluster.wait_for_leader()) as client:
        assert client.dbsize() == kept
        client.set("more", "x")


@needs_strace
def test_a_disk_that_hangs_costs_the_leadership_and_what_waited_is_not_done(
    make_cluster: MakeCluster,
) -> None:
    """etcd#15247: the leader wakes from its fsync, and answers nobody in its old term's name."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        client.set("before", "x")
    node = cluster.nodes[leader]
    assert node.process is not None
    hang = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=4000000:when=1")
    with subprocess.Popen(
        ["strace", "-f", "-o", "/dev/null", "-p", str(node.process.pid), *hang],
        stderr=subprocess.PIPE,
    ) as tracer:
        assert tracer.stderr is not None
        assert b"attached" in tracer.stderr.readline()
        with cluster.client(leader) as client, pytest.raises(redis.RedisError) as told:
            client.set("during", "x")
        tracer.terminate()
    assert str(told.value).startswith(("UNKNOWN", "outcome unknown", "NOTLEADER")), told.value
    cluster.wait_for_log(leader, "stood still for")
    others = [other for other in cluster.nodes if other != leader]
    assert cluster.wait_for_leader(cluster.nodes) in others
