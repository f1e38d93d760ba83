"""Disks that others have filled to the last byte, under nodes that go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from process.cluster import DEADLINE_S, ROOT, eventually
from process.steps import asked, put_anywhere
from process.workload import read_everything

from .cluster import ChaosCluster
from .conftest import needs_root

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ChaosCluster]:
    with ChaosCluster(tmp_path).running() as cluster:
        yield cluster


def fill(cluster: ChaosCluster, *node_ids: int) -> None:
    for node_id in node_ids:
        cluster.disks[node_id].fill()
    for node_id in node_ids:
        cluster.wait_for_log(node_id, "short of room")


def status(cluster: ChaosCluster) -> dict[str, Any]:
    """What `kvstore status` says, with its exit code."""
    to = ",".join(map(cluster.address, cluster.nodes))
    ran = subprocess.run(
        [sys.executable, "-m", "kvstore", "status", "--json", "--to", to],
        cwd=ROOT,
        env=cluster.clean_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    verdict: dict[str, Any] = json.loads(ran.stdout)
    return {**verdict, "exit": ran.returncode}


def about_room(verdict: dict[str, Any]) -> dict[str, str]:
    """What it advises, by code, on disks that are full; those of these tests are small as well."""
    found = {one["code"]: one["text"] for one in verdict["advice"]}
    return {code: text for code, text in found.items() if code.endswith("short_of_room")}


def says(cluster: ChaosCluster, code: int, *codes: str) -> bool:
    verdict = status(cluster)
    return verdict["exit"] == code and about_room(verdict).keys() == set(codes)


def test_leadership_moves_away_from_a_full_disk(cluster: ChaosCluster) -> None:
    put_anywhere(cluster, "before")
    full = cluster.wait_for_leader()
    fill(cluster, full)
    eventually(
        lambda: cluster.wait_for_leader() != full, "a node with room leads", ignoring=(OSError,)
    )
    put_anywhere(cluster, "after")
    assert set(read_everything(cluster, cluster.wait_for_leader())) == {"before", "after"}
    eventually(lambda: says(cluster, 1, "short_of_room"), "status names a follower without room")
    verdict = status(cluster)
    assert f"node {full} has " in about_room(verdict)["short_of_room"]
    assert "too little to lead" in about_room(verdict)["short_of_room"]
    cluster.disks[full].make_room()
    eventually(lambda: says(cluster, 1), "status names nobody any more")
    cluster.wait_until_level()


def test_a_node_without_room_votes(cluster: ChaosCluster) -> None:
    """Its vote is the second of two, and durable, on a disk with no byte left."""
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    full, heir = (node_id for node_id in cluster.nodes if node_id != leader)
    cluster.wait_until_level()
    fill(cluster, full)
    term = cluster.status(full).term
    cluster.kill(leader)
    assert cluster.wait_for_leader((full, heir)) in (full, heir)
    assert cluster.status(full).term > term
    assert cluster.nodes[full].is_running
    cluster.kill(full)
    cluster.restart(full)
    cluster.wait_for_leader((full, heir))
    cluster.disks[full].make_room()
    cluster.restart(leader)
    put_anywhere(cluster, "after")


def test_a_cluster_without_room_answers_reads_refuses_writes_and_recovers(
    cluster: ChaosCluster,
) -> None:
    put_anywhere(cluster, "before")
    fill(cluster, *cluster.nodes)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        with pytest.raises(redis.RedisError, match=r"NOSPACE.*nothing was changed"):
            client.set("during", "x")
        assert client.get("before") == b"x"
    eventually(
        lambda: says(cluster, 3, "all_short_of_room", "short_of_room"),
        "status says that no write is taken, and why",
    )
    verdict = status(cluster)
    assert verdict["state"] == "no writes"
    assert (
        "writes are refused, as nodes 1, 2, 3 have no room: make room"
        in (about_room(verdict)["all_short_of_room"])
    )
    for node_id in cluster.nodes:
        assert cluster.terminate(node_id) == 0, "it can be stopped"
    cluster.restart()
    with cluster.client(cluster.wait_for_leader()) as client:
        assert client.get("before") == b"x"
    for disk in cluster.disks.values():
        disk.make_room()
    for node_id, node in cluster.nodes.items():
        cluster.wait_for_log(node_id, "has room again", after=len(node.log) // 2)
    put_anywhere(cluster, "after")
    assert set(read_everything(cluster, cluster.wait_for_leader())) == {"before", "after"}
    eventually(lambda: says(cluster, 1), "status names nobody any more")


SHORT, LONG = bytes(700), bytes(5_000)
DELETED_KEYS = 9_200


def change_all(cluster: ChaosCluster, command: str, *value: bytes) -> None:
    """In bursts; what a leader refuses, as what came before is not durable, it is asked again."""
    for first in range(0, DELETED_KEYS, 400):
        left = {f"key {number}" for number in range(first, first + 400)}

        def all_are_taken(left: set[str] = left) -> bool:
            left -= taken(cluster, sorted(left), command, *value)
            return not left

        eventually(all_are_taken, "all changes are taken", ignoring=(OSError, redis.RedisError))


def taken(cluster: ChaosCluster, keys: list[str], command: str, *value: bytes) -> set[str]:
    """For which of these keys the leader of the moment takes the command."""
    with cluster.client(cluster.wait_for_leader(), socket_timeout=DEADLINE_S) as client:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.execute_command(command, key, *value)
        answers = pipeline.execute(raise_on_error=False)
    return {
        key
        for key, answer in zip(keys, answers, strict=True)
        if not isinstance(answer, redis.ResponseError)
    }


def test_what_was_deleted_makes_room_for_short_values_on_a_full_disk(tmp_path: Path) -> None:
    """Files are never cut, so only what is free inside them can be used."""
    little = {"KVSTORE_LOG_KEPT_BYTES": "256KiB"}
    with ChaosCluster(tmp_path, environ=little).running() as cluster:
        change_all(cluster, "SET", SHORT)
        change_all(cluster, "DEL")
        cluster.wait_until_level()
        for disk in cluster.disks.values():
            disk.fill_down_to(14 << 20)
        for number in range(100):
            eventually(
                lambda number=number: asked(cluster, "SET", f"more {number}", SHORT) == "OK",
                "there is room inside",
            )
            assert asked(cluster, "SET", "long", LONG) == "NOSPACE"
        cluster.wait_until_level()
        for node_id, node in cluster.nodes.items():
            assert node.is_running, f"node {node_id} ended:\n{node.log[-2_000:]}"
