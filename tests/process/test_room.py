"""Requests that do not fit: refused in words, whatever is left, and nobody ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvstore.api import KEYS_MAX
from kvstore.config.limits import MAP_BYTES_FLOOR

from .cluster import Cluster, eventually
from .steps import asked

pytestmark = pytest.mark.process

LOG, STATE = "KVSTORE_LOG_MAP_BYTES", "KVSTORE_STATE_MAP_BYTES"
KEYS = [b"%0480d" % number for number in range(KEYS_MAX)]
"""As many as one request may name, and as long as they may be: a log entry of 2 MB."""
VALUE = bytes(4 << 20)
ENVIRON = {
    "KVSTORE_VALUE_BYTES_MAX": str(len(VALUE)),
    "KVSTORE_REQUEST_TIMEOUT_MS": "20000",
}
PATIENT = {"KVSTORE_ELECTION_MS": "3000-5000"}
"""Large entries keep a busy machine for long; who leads is not what is asked here."""
REFUSALS = {"NOSPACE", "BUSY", "NOLEADER", "NOTLEADER"}


MakeCluster = Callable[[int, str], Cluster]


def insist(cluster: Cluster, *words: object) -> None:
    eventually(lambda: asked(cluster, *words) == "OK", f"{words[0]} is carried out")


def use_up(cluster: Cluster) -> set[str]:
    """Write large and ever smaller values, each size until it is refused; every answer."""
    answers: set[str] = set()
    for size in (len(VALUE), 1 << 20, 100 << 10, 2_000):
        answers.add(asked(cluster, "DEL", *KEYS))
        for number in range(40):
            answer = asked(cluster, "SET", f"key{number}", VALUE[:size])
            answers |= {answer, asked(cluster, "DEL", f"key{number - 3}")}
            if answer == "NOSPACE":
                break
        for node_id, node in cluster.nodes.items():
            assert node.is_running, f"node {node_id} ended:\n{node.log[-2_000:]}"
    return answers


def check(cluster: Cluster, small: str) -> None:
    """Fill it up, start it again as it is, and once more with the usual map."""
    cluster.start()
    answers = use_up(cluster)
    assert "NOSPACE" in answers
    assert answers <= {"OK", *REFUSALS}
    for node_id in cluster.nodes:
        assert cluster.terminate(node_id) == 0
    cluster.start()
    assert asked(cluster, "SET", "key", VALUE) in {"OK", *REFUSALS}
    cluster.kill(*cluster.nodes)
    del cluster.environ[small]
    cluster.start()
    insist(cluster, "SET", "key", VALUE)
    insist(cluster, "DEL", *KEYS)


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[MakeCluster]:
    made: list[Cluster] = []

    def make(size: int, small: str) -> Cluster:
        environ = {**ENVIRON, **(PATIENT if size > 1 else {}), small: str(MAP_BYTES_FLOOR)}
        made.append(Cluster(tmp_path, size, environ=environ))
        return made[0]

    yield make
    made[0].close()


@pytest.mark.parametrize("small", [LOG, STATE])
def test_no_request_ends_a_node_with_the_smallest_map(
    make_cluster: MakeCluster, small: str
) -> None:
    check(make_cluster(1, small), small)


def test_no_request_ends_followers_with_the_smallest_maps(make_cluster: MakeCluster) -> None:
    check(make_cluster(3, LOG), LOG)
