"""A directory or port that cannot be used: a clear error, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvstore.client.blocking import Client

from .cluster import Cluster
from .conftest import MakeCluster
from .proxy import Reservation
from .steps import QUICK, assert_refuses, put_anywhere
from .workload import read_everything

pytestmark = pytest.mark.process


def test_a_second_server_on_the_same_port_ends_and_the_first_goes_on(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    cluster = make_cluster(1, environ=QUICK)
    put_anywhere(cluster, "one")
    done = cluster.run_to_end(1, data=tmp_path / "elsewhere")
    assert_refuses(done, str(cluster.nodes[1].port), "in use")
    put_anywhere(cluster, "two")
    assert set(read_everything(cluster, 1)) == {"one", "two"}


def test_a_second_server_on_the_same_directory_ends_and_the_first_goes_on(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(1, environ=QUICK)
    put_anywhere(cluster, "one")
    spare = Reservation()
    done = cluster.run_to_end(1, port=spare.port)
    spare.release()
    assert_refuses(done, str(cluster.nodes[1].data_dir))
    put_anywhere(cluster, "two")
    assert set(read_everything(cluster, 1)) == {"one", "two"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"cluster": "another"}, "another"), ({"id": 2}, "node 1, not 2")],
)
def test_a_directory_of_another_cluster_or_node_is_refused_and_unharmed(
    make_cluster: MakeCluster, changes: dict[str, object], word: str
) -> None:
    cluster = make_cluster(1, environ=QUICK)
    put_anywhere(cluster, "one")
    assert cluster.terminate(1) == 0
    assert_refuses(cluster.run_to_end(1, **changes), word, str(cluster.nodes[1].data_dir))
    cluster.restart(1)
    cluster.wait_for_leader()
    cluster.wait_until_level()
    assert set(read_everything(cluster, 1)) == {"one"}


@pytest.mark.timed
def test_a_node_of_another_cluster_moves_no_term(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster(environ={"KVSTORE_ELECTION_MS": "300-600"})
    leader = cluster.wait_for_leader()
    stranger = next(node for node in cluster.nodes if node != leader)
    cluster.kill(stranger)
    term = cluster.status(leader).term
    node = cluster.nodes[stranger]
    # Same id, same addresses, another cluster's name and directory.
    command = cluster.command(stranger, cluster="another", data=tmp_path / "elsewhere")
    node.spawn(command, cluster.process_environ())
    cluster.wait_until_answers(stranger)
    here = [node_id for node_id in cluster.nodes if node_id != stranger]
    cluster.wait_for_role(stranger, "pre-candidate")
    for other in here:
        cluster.wait_for_log(other, f"refused a peer: node {stranger} belongs to cluster another")
    assert cluster.wait_for_leader(here) == leader
    assert cluster.status(leader).term == term


def test_a_node_may_listen_elsewhere_than_where_the_others_reach_it(tmp_path: Path) -> None:
    """In a container the address that others know is on no interface of its own."""
    cluster = Cluster(tmp_path, 1)
    port = cluster.nodes[1].port
    try:
        done = cluster.run_to_end(1, host="192.0.2.1", port=9001)
        assert_refuses(done, "cannot listen on 192.0.2.1:9001", "--bind 0.0.0.0")
        command = cluster.command(1, host="192.0.2.1", port=9001, bind=f"127.0.0.1:{port}")
        cluster.nodes[1].spawn(command, cluster.process_environ())
        cluster.wait_until_answers(1)
        with Client(f"127.0.0.1:{port}") as client:
            assert client.status().members == {1: "192.0.2.1:9001"}
        cluster.wait_for_log(1, f"listening on 127.0.0.1:{port}")
    finally:
        cluster.close()
