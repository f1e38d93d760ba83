"""What operators and supervisors see of a real cluster, while nodes come and go."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster, eventually
from .conftest import MakeCluster
from .proxy import Reservation
from .steps import others, put_anywhere

pytestmark = pytest.mark.process

STARTING_S = 2.0
"""For Python to start, on a machine that does other things."""


class Told(NamedTuple):
    """What `kvstore status` said."""

    code: int
    nodes: dict[str, dict[str, Any]]
    """By address."""
    state: str
    advice: dict[str, str]
    """By code."""
    took_s: float


def addresses(cluster: Cluster) -> str:
    return ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes.values())


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kvstore", *words],
        cwd=ROOT,
        env={**Cluster.clean_environ(), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def ask(cluster: Cluster, *words: str, to: str = "") -> Told:
    began = time.monotonic()
    done = run("status", "--json", "--to", to or addresses(cluster), *words)
    took_s = time.monotonic() - began
    assert done.stderr == ""
    verdict = json.loads(done.stdout)
    return Told(
        done.returncode,
        {one["address"]: one for one in verdict["nodes"]},
        verdict["state"],
        {one["code"]: one["text"] for one in verdict["advice"]},
        took_s,
    )


def wait_for(cluster: Cluster, state: str, *codes: str, to: str = "") -> Told:
    """Until status tells of that state, and gives such advice."""
    found: list[Told] = []

    def is_told() -> bool:
        found.append(ask(cluster, to=to))
        return found[-1].state == state and found[-1].advice.keys() >= set(codes)

    eventually(is_told, f"status tells {state} {codes}: {found[-1:]}")
    return found[-1]


def health(cluster: Cluster, node_id: int, *words: str) -> tuple[int, str]:
    done = run("health", "--to", f"127.0.0.1:{cluster.nodes[node_id].port}", *words)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.returncode, done.stdout.strip()


# --- Nodes that come and go ---------------------------------------------------------------


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
        lambda: all(one["leader_ms"] > 500.0 for one in ask(cluster).nodes.values()),
        "it leads for half a second",
    )
    for one in ask(cluster).nodes.values():
        assert one["leader_id"] == old
        assert 0.0 < one["sync_last_ms"] < 60_000.0
        assert one["sync_p99_ms"] > 0.0
        assert one["room_bytes"] > 0
        assert one["damaged_entries"] == 0
        assert set(one["links"].values()) == {""}
        assert len(one["heard_from"]) == 2


def test_advice_follows_nodes_that_come_and_go(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    assert wait_for(cluster, "healthy").code == 0
    second, third = others(cluster, leader)
    cluster.kill(third)
    told = wait_for(cluster, "degraded", "node_silent", "spares")
    assert told.code == 1
    assert (
        f"node {third} at 127.0.0.1:{cluster.nodes[third].port} is down"
        in told.advice["node_silent"]
    )
    assert "no further one may fail" in told.advice["spares"]
    cluster.kill(leader)
    told = wait_for(cluster, "no writes", "no_majority")
    assert told.code == 3
    down = ", ".join(map(str, sorted((leader, third))))
    assert f"start nodes {down}" in told.advice["no_majority"]
    cluster.kill(second)
    told = ask(cluster)
    assert (told.code, told.state) == (5, "unreachable")
    cluster.restart(leader, third)
    cluster.wait_for_leader()
    assert wait_for(cluster, "degraded", "node_silent").code == 1
    cluster.restart(second)
    assert wait_for(cluster, "healthy").code == 0


@pytest.mark.timed
def test_a_frozen_node_costs_a_second_and_is_told(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    wait_for(cluster, "healthy")
    frozen = others(cluster, leader)[0]
    cluster.pause(frozen)
    told = ask(cluster)
    assert told.took_s < 1.1 + STARTING_S
    assert (told.code, told.state) == (1, "degraded")
    assert "takes connections and says nothing" in told.advice["node_silent"]
    assert told.nodes[f"127.0.0.1:{cluster.nodes[frozen].port}"]["why"] == "frozen"
    assert health(cluster, frozen, "--live")[0] == 5
    cluster.resume(frozen)
    cluster.pause(leader)
    told = wait_for(cluster, "degraded", "node_silent")
    assert f"node {leader} " in told.advice["node_silent"]
    cluster.resume(leader)
    wait_for(cluster, "healthy")


def test_a_node_that_has_moved_is_told_from_one_that_is_down(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    moving = others(cluster, leader)[0]
    node, spare = cluster.nodes[moving], Reservation()
    before, old_port = addresses(cluster), node.port
    assert cluster.terminate(moving) == 0
    node.port = spare.port
    cluster.start(moving)
    who = ", ".join(map(str, others(cluster, moving)))
    told = wait_for(cluster, "degraded", "node_moved", to=before)
    assert (
        f"node {moving} reaches nodes {who}, and is not at 127.0.0.1:{old_port}"
        in told.advice["node_moved"]
    )
    told = wait_for(cluster, "degraded", "node_moved")
    assert (
        f"node {moving} is at 127.0.0.1:{node.port}, and the others look for it at "
        f"127.0.0.1:{old_port}" in told.advice["node_moved"]
    )
    command = f"kvstore member move {moving} 127.0.0.1:{node.port}"
    assert command in told.advice["node_moved"]
    done = run(*command.split()[1:], "--to", addresses(cluster), "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    wait_for(cluster, "healthy")
    spare.release()


def test_two_lost_directories_of_three_do_not_mend_themselves(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    lost = others(cluster, cluster.wait_for_leader())
    cluster.kill(*lost)
    for node_id in lost:
        shutil.rmtree(cluster.nodes[node_id].data_dir)
        cluster.join(node_id)
        cluster.wait_until_answers(node_id)
    cluster.is_audited = False
    told = wait_for(cluster, "no writes", "cannot_heal")
    assert told.code == 3
    assert "this does not mend itself" in told.advice["cannot_heal"]
    for node_id in lost:
        code, line = health(cluster, node_id)
        assert (code, line.partition(":")[0]) == (1, "not ready")
        assert health(cluster, node_id, "--live")[0] == 0


# --- Supervisors --------------------------------------------------------------------------


def test_a_node_without_the_others_lives_and_is_not_ready(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(links=True)
    leader = cluster.wait_for_leader()
    for node_id in cluster.nodes:
        code, line = health(cluster, node_id, "--ready")
        role = "leads" if node_id == leader else f"follows node {leader}"
        assert (code, line.startswith(f"ready: node {node_id} {role}")) == (0, True), line
    cluster.partition((leader,), others(cluster, leader))
    cluster.wait_for_leader(others(cluster, leader))
    eventually(lambda: health(cluster, leader)[0] == 1, "who was cut off is not ready")
    assert health(cluster, leader, "--live") == (
        0,
        f"live: 127.0.0.1:{cluster.nodes[leader].port} answers",
    )
    for node_id in others(cluster, leader):
        assert health(cluster, node_id)[0] == 0
    cluster.heal()
    eventually(lambda: health(cluster, leader)[0] == 0, "it is ready again")


def test_health_and_status_go_by_the_settings_of_serve(make_cluster: MakeCluster) -> None:
    """One environment for the container and for its probes."""
    cluster = make_cluster()
    cluster.wait_for_leader()
    wait_for(cluster, "healthy")
    for node_id, node in cluster.nodes.items():
        peers = (
            f"{other}=127.0.0.1:{cluster.nodes[other].port}" for other in others(cluster, node_id)
        )
        settings = {
            "KVSTORE_ID": str(node_id),
            "KVSTORE_PORT": str(node.port),
            "KVSTORE_PEERS": ",".join(peers),
        }
        done = run("health", **settings)
        assert (done.returncode, done.stdout.split()[:3]) == (0, ["ready:", "node", str(node_id)])
        done = run("status", **settings)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (
            0,
            "all is well; 1 more may fail",
        )


def test_status_watches_until_it_is_told_to_stop(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "kvstore", "status", "--to", addresses(cluster)),
            *("--watch", "--every", "0.1"),
        ],
        cwd=ROOT,
        env=cluster.clean_environ(),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        lines: Iterator[str] = iter(watching.stdout)
        assert any(f"node {leader} leads" in line for line in lines)
        cluster.kill(leader)
        assert any("down: connection refused" in line for line in lines)
        heir = cluster.wait_for_leader()
        assert any(f"node {heir} leads" in line for line in lines)
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(DEADLINE_S) == 0
