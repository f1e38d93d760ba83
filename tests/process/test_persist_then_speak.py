"""The one law, seen from the kernel: nothing that promises leaves before its fsync has returned."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from .cluster import Cluster, Node, eventually, running
from .trace import PersistThenSpeak, read_calls, tracer, why_strace_cannot_run


def trace_path(node: Node, start: int) -> Path:
    return node.data_dir.with_name(f"n{node.id}.{start}.strace")


class TracedCluster(Cluster):
    """A cluster whose processes all run under strace, one file for each start."""

    def spawn(self, *node_ids: int) -> None:
        for node_id in node_ids:
            node = self.nodes[node_id]
            command = [*tracer(trace_path(node, node.starts + 1)), *self.command(node_id)]
            node.spawn(command, self.process_environ())

    def check(self) -> Counter[str]:
        """Hold every trace against the rule; what was checked, over all of them."""
        checked: Counter[str] = Counter()
        for node in self.nodes.values():
            for start in range(1, node.starts + 1):
                checked += check_trace(trace_path(node, start))
        return checked


def check_trace(path: Path) -> Counter[str]:
    eventually(lambda: path.read_bytes()[-200:].rstrip().endswith(b"+++"), f"{path} is complete")
    rule = PersistThenSpeak()
    with path.open() as lines:
        rule.check(read_calls(lines))
    assert rule.findings == []
    return rule.checked


def write(cluster: Cluster, name: str) -> None:
    with cluster.client(cluster.wait_for_leader()) as client:
        for number in range(20):
            assert client.set(f"{name}.{number}", f"value of {name}.{number}")
        with client.pipeline(transaction=False) as pipeline:
            for number in range(20):
                pipeline.set(f"{name}.batch.{number}", f"value of {name}.batch.{number}")
            assert all(pipeline.execute())


@pytest.mark.process
def test_no_vote_reply_or_acknowledgement_leaves_before_its_fsync(tmp_path: Path) -> None:
    obstacle = why_strace_cannot_run()
    if obstacle is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must check that nothing is promised before its fsync: {obstacle}")
        pytest.skip(f"NOT CHECKED that nothing is promised before its fsync: {obstacle}")
    cluster = TracedCluster(tmp_path)
    with running(cluster):
        write(cluster, "first")
        old = cluster.wait_for_leader()
        cluster.kill(old)
        write(cluster, "second")
        cluster.restart(old)
        cluster.wait_for_leader()
        cluster.wait_until_level()
        for node_id in cluster.nodes:
            assert cluster.terminate(node_id) == 0
    checked = cluster.check()
    # Clients heard of 2 x 40 writes, each of them once, so no more can have been told. The first
    # leader is killed at once after the last ones: a trace may lack the end of the call that let
    # them out, which is that of a pipeline of 20 at most, and what its followers held by then is in
    # their traces. Each leader needed one vote of another node, which says its term as well.
    assert 80 - 20 <= checked["acknowledged write"] <= 80
    assert checked["granted vote"] >= 2
    assert checked["new term"] >= 2 + 2
    # Each write was on a majority of three when it was acknowledged: on the leader and one more.
    assert checked["accepted entry"] >= 2 * 40
