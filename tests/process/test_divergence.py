"""A real node whose data are marked as differing: silent, then whole again."""

from __future__ import annotations

import pytest
import redis

from kvstore.storage.base import Divergence
from kvstore.storage.directory import STATE
from kvstore.storage.lmdb_files import open_data_file, read_metas
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.lmdb_successor import DIFFERING

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .steps import QUICK, others
from .workload import read_everything

pytestmark = pytest.mark.process


def record_divergence(cluster: Cluster, node_id: int) -> int:
    """As a comparison of states would, of a node that is stopped."""
    environment = cluster.nodes[node_id].data_dir / STATE
    with open_data_file(environment) as fd:
        map_bytes = read_metas(fd)[1].map_bytes
    state = LmdbState(environment, map_bytes)
    index = state.applied().last_applied
    state.record_divergence(Divergence(index, bytes(32)))
    state.close()
    return index


def test_it_answers_nothing_until_its_leader_has_given_it_a_snapshot(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(environ=QUICK)
    leader = cluster.wait_for_leader()
    with cluster.client(leader) as client:
        for number in range(50):
            client.set(f"key{number}", b"v" * 500)
    cluster.wait_until_level()
    node_id = leader  # which would stand first
    for one in cluster.nodes:
        assert cluster.terminate(one) == 0
    index = record_divergence(cluster, node_id)
    cluster.restart(node_id)
    cluster.wait_for_log(node_id, f"the data as of log entry {index} differ from the majority's")
    with cluster.client(node_id) as client:
        assert int(client.info()["raft_state_differs_at"]) == index
        client.execute_command("READONLY")
        with pytest.raises(redis.RedisError, match=f"as of log entry {index}"):
            client.get("key1")
    cluster.kill(node_id)
    cluster.restart(*cluster.nodes)
    assert cluster.wait_for_leader() in others(cluster, node_id)
    cluster.wait_for_log(node_id, "are replaced by a snapshot of the leader's")
    cluster.wait_until_level()

    def is_trusted() -> bool:
        with cluster.client(node_id) as client:
            return int(client.info()["raft_state_differs_at"]) == 0

    eventually(is_trusted, "its data are trusted")
    assert len(read_everything(cluster, node_id)) == 50
    state = LmdbState(cluster.nodes[node_id].data_dir / DIFFERING, 1 << 26)
    assert (state.applied().last_applied, state.divergence is not None) == (index, True)
    state.close()
