"""Large requests on small disks, at every level of what is left: refused, and nobody ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from process.cluster import eventually
from process.steps import asked, put_anywhere

from kvstore.api import KEYS_MAX

from .cluster import ChaosCluster
from .conftest import needs_root

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]

KEYS = [b"%0480d" % number for number in range(KEYS_MAX)]
VALUE = bytes(1 << 20)
PATIENT = {"KVSTORE_ELECTION_MS": "3000-5000", "KVSTORE_REQUEST_TIMEOUT_MS": "20000"}
"""Large entries keep a busy machine for long; who leads is not what is asked here."""
LEVELS_KIB = (24_000, 20_000, 17_500, 16_500, 12_500, 8_500, 4_500, 0)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ChaosCluster]:
    with ChaosCluster(tmp_path, environ=PATIENT).running() as cluster:
        yield cluster


def test_no_request_ends_a_node_at_any_level_of_room(cluster: ChaosCluster) -> None:
    put_anywhere(cluster, "before")
    answers: set[str] = set()
    for level_kib in LEVELS_KIB:
        for node_id, disk in cluster.disks.items():
            # Not all have equally much: who leads may have more than who follows.
            disk.fill_down_to(max(0, level_kib - 300 * node_id) << 10)
        answers.add(asked(cluster, "DEL", *KEYS))
        answers |= {asked(cluster, "SET", f"key{number}", VALUE) for number in range(3)}
        answers |= {asked(cluster, "SET", "small", "x"), asked(cluster, "DEL", "small")}
        for node_id, node in cluster.nodes.items():
            assert node.is_running, f"node {node_id} ended:\n{node.log[-2_000:]}"
    assert answers >= {"OK", "NOSPACE"}
    assert answers <= {"OK", "NOSPACE", "BUSY", "NOLEADER", "NOTLEADER"}
    for node_id in cluster.nodes:
        assert cluster.terminate(node_id) == 0
    cluster.restart()
    for disk in cluster.disks.values():
        disk.make_room()
    eventually(lambda: asked(cluster, "SET", "after", "x") == "OK", "all goes on")
    cluster.wait_until_level()
