"""Real nodes are compared while they serve, and one whose data was changed is named."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from kvstore.config.limits import MAP_BYTES
from kvstore.exit_codes import DIFFER, DONE
from kvstore.storage.lmdb_state import LmdbState

from .cluster import DEADLINE_S, ROOT, Cluster
from .conftest import MakeCluster

pytestmark = pytest.mark.process


def check(cluster: Cluster, code: int) -> dict[str, Any]:
    """What `kvstore check --json` tells."""
    ran = subprocess.run(
        [sys.executable, "-m", "kvstore", "check", "--json", "--to", cluster.address(1)],
        cwd=ROOT,
        env=Cluster.clean_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def change(cluster: Cluster, node_id: int) -> None:
    """Write another record into the data of a node that does not run, as only a mistake would."""
    state = LmdbState(cluster.nodes[node_id].data_dir / "state", MAP_BYTES)
    record = state.get(b"key")
    assert record is not None
    state.put(b"key", record[:-1] + b"!")
    state.commit(state.applied())
    state.close()


def test_a_node_whose_data_were_changed_is_named_and_gets_those_of_the_others(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(3)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        for number in range(200):
            client.set(f"key{number}", b"v" * 1_000)
        client.set("key", "precious")
    told = check(cluster, DONE)
    assert (told["agree"], told["differ"], told["silent"]) == ([1, 2, 3], [], [])

    odd = next(node_id for node_id in (1, 2, 3) if node_id != leader)
    cluster.terminate(odd)
    change(cluster, odd)
    cluster.start(odd)
    cluster.wait_until_level()
    told = check(cluster, DIFFER)
    assert (told["differ"], told["decided"]) == ([odd], True)
    cluster.wait_for_log(odd, "are replaced by a snapshot")
    told = check(cluster, DONE)
    assert (told["agree"], told["differ"]) == ([1, 2, 3], [])


def test_a_node_that_is_down_is_told_of_and_nobody_waits_for_it_to_the_end(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(3)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        client.set("key", "value")
    down = next(node_id for node_id in (2, 3) if node_id != leader)
    cluster.kill(down)
    told = check(cluster, DONE)
    assert (told["decided"], told["silent"]) == (True, [down])
