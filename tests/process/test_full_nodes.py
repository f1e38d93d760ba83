"""A node without free places, as clients see it that know the others too."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from kvstore import Client, RefusedError

from .cluster import DEADLINE_S, Cluster, eventually
from .conftest import MakeCluster

pytestmark = [pytest.mark.process, pytest.mark.timed]


def start_with_few_places(cluster: Cluster, node_id: int) -> None:
    cluster.terminate(node_id)
    command = ["prlimit", "--nofile=128:128", *cluster.command(node_id)]
    cluster.nodes[node_id].spawn(command, cluster.process_environ())
    cluster.wait_until_answers(node_id)


@contextlib.contextmanager
def no_free_places(port: int) -> Iterator[None]:
    """Connections that do nothing, until the node turns the next one away."""
    with contextlib.ExitStack() as stack:

        def is_turned_away() -> bool:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10.0))
            one.sendall(b"PING\r\n")
            try:
                return one.recv(100).startswith(b"-ERR max number of clients")
            except ConnectionError:
                return True

        eventually(is_turned_away, "a connection is turned away")
        yield


def put_patiently(nodes: list[str]) -> None:
    with Client(nodes, timeout_ms=int(DEADLINE_S * 1000)) as client:
        client.put("k", "patient")


def test_a_client_goes_round_a_full_node_and_waits_for_a_full_leader(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    start_with_few_places(cluster, leader)
    full = cluster.wait_for_leader()
    if full != leader:
        with Client(f"127.0.0.1:{cluster.nodes[full].port}", 30_000) as client:
            assert client.transfer_leader(leader).leader_id == leader
    first = f"127.0.0.1:{cluster.nodes[leader].port}"
    nodes = [first] + [f"127.0.0.1:{n.port}" for n in cluster.nodes.values() if n.id != leader]
    with (
        Client(nodes, reads_from_any=True) as client,
        no_free_places(cluster.nodes[leader].port),
    ):
        assert client.get("k") is None, "another node has a place"
        with Client(nodes, timeout_ms=700) as hasty:
            with pytest.raises(RefusedError, match="no free place for another client") as caught:
                hasty.put("k", "hasty")
            assert caught.value.retryable
        with Client(first, timeout_ms=700) as lonely:
            with pytest.raises(RefusedError, match=r"^FULL ") as caught:
                lonely.put("k", "lonely")
            assert caught.value.code == "FULL"
        with (
            Client(nodes, timeout_ms=700, exactly_once=False) as bare,
            pytest.raises(RefusedError, match="no free place for another client"),
        ):
            bare.put("k", "bare")
        thread = threading.Thread(target=put_patiently, args=(nodes,), daemon=True)
        thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "places are free by now"
    with Client(nodes) as client:
        record = client.get("k")
        assert record is not None
        assert record.value == b"patient"
