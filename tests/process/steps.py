"""What several tests of real clusters set up, do and look at in the same way."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence

import redis

from .cluster import Cluster
from .history import now
from .workload import Workload, read_everything

QUICK = {"KVSTORE_HEARTBEAT_MS": "20", "KVSTORE_ELECTION_MS": "100-200"}
"""For a single node, which waits for nobody."""


FAST = {
    "KVSTORE_HEARTBEAT_MS": "50",
    "KVSTORE_ELECTION_MS": "300-600",
    "KVSTORE_REQUEST_TIMEOUT_MS": "1000",
}


def assert_refuses(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended by itself (a negative code would be a signal), saying why and not how."""
    assert done.returncode > 0, done
    said = (done.stderr + done.stdout).lower()
    assert "traceback" not in said, said
    for word in words:
        assert word.lower() in said, f"{word!r} is not in: {said}"


def others(cluster: Cluster, node_id: int) -> tuple[int, ...]:
    return tuple(node for node in cluster.nodes if node != node_id)


def put(cluster: Cluster, node_id: int, key: str, value: str) -> None:
    with cluster.client(node_id) as client:
        client.set(key, value)


def put_anywhere(cluster: Cluster, key: str, among: Sequence[int] = ()) -> None:
    """Write through whoever leads."""
    with cluster.client(cluster.wait_for_leader(among)) as client:
        client.set(key, "x")


def asked(cluster: Cluster, *words: object) -> str:
    """What the leader of the moment says: `OK`, or the first word of its refusal."""
    try:
        with cluster.client(cluster.wait_for_leader(), socket_timeout=30.0) as client:
            client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.ConnectionError as error:
        return f"broken: {error}"
    except redis.RedisError as error:
        return str(error).split()[0]
    return "OK"


def assert_holds_everywhere(cluster: Cluster, expected: dict[str, str]) -> None:
    cluster.wait_for_leader()
    cluster.wait_until_level()
    for node_id in cluster.nodes:
        assert read_everything(cluster, node_id) == expected


def progress(workload: Workload, rng: random.Random) -> None:
    """Let the clients go on until a moment that only the seed knows."""
    workload.wait_for_writes(rng.randrange(1, 60), since=now())
