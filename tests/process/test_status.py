"""What operators see of a real cluster, while nodes come and go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster, eventually
from .conftest import MakeCluster

pytestmark = pytest.mark.process


def addresses(cluster: Cluster) -> str:
    return ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes.values())


def command(cluster: Cluster, *words: str) -> list[str]:
    return [sys.executable, "-m", "kvstore", "status", "--to", addresses(cluster), *words]


def statuses(cluster: Cluster) -> dict[str, dict[str, object]]:
    done = subprocess.run(
        command(cluster, "--json"),
        cwd=ROOT,
        env=cluster.clean_environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    return {one["address"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_status_tells_who_leads_since_when_and_how_the_disks_do(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    old = cluster.wait_for_leader()
    with cluster.client(old) as client:
        for number in range(50):
            client.set(f"key{number}", "x")
    cluster.wait_until_level()
    eventually(
        lambda: all(
            isinstance(one["leader_ms"], float) and one["leader_ms"] > 500.0
            for one in statuses(cluster).values()
        ),
        "it leads for half a second",
    )
    for one in statuses(cluster).values():
        assert one["leader_id"] == old
        assert 0.0 < float(str(one["sync_last_ms"])) < 60_000.0
        assert float(str(one["sync_p99_ms"])) > 0.0
        assert int(str(one["room_bytes"])) > 0
        assert one["damaged_entries"] == 0
    cluster.kill(old)
    new = cluster.wait_for_leader()
    found = statuses(cluster)
    leader = found[f"127.0.0.1:{cluster.nodes[new].port}"]
    assert (leader["leader_id"], leader["role"]) == (new, "leader")
    assert found[f"127.0.0.1:{cluster.nodes[old].port}"]["reachable"] is False


def test_status_watches_until_it_is_told_to_stop(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    with subprocess.Popen(
        command(cluster, "--watch", "--every", "0.1"),
        cwd=ROOT,
        env=cluster.clean_environ(),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        lines: Iterator[str] = iter(watching.stdout)
        assert any(f"node {leader} leads" in line for line in lines)
        cluster.kill(leader)
        assert any("unreachable" in line for line in lines)
        heir = cluster.wait_for_leader()
        assert any(f"node {heir} leads" in line for line in lines)
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(DEADLINE_S) == 0
