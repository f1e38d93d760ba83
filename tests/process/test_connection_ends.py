"""How connections end: half, hard, or not at all, as hosts vanish; and what is owed before."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess

import pytest

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .resp import dial

pytestmark = pytest.mark.process


def encoded(*words: bytes) -> bytes:
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), parts)


def rest_of(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(1 << 16):
        received += chunk
    return received


def abort(connection: socket.socket) -> None:
    """Close with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_client_that_half_closes_gets_the_replies_to_all_that_it_sent(
    make_cluster: MakeCluster,
) -> None:
    """Twice over, on writes that take a majority and reads that wait for them."""
    cluster = make_cluster()
    port = cluster.nodes[cluster.wait_for_leader()].port
    for value in (b"one", b"two"):
        with dial(port, 10) as connection:
            connection.sendall(
                encoded(b"SET", b"k", value) + encoded(b"GET", b"k") + encoded(b"PING")
            )
            connection.shutdown(socket.SHUT_WR)
            assert rest_of(connection) == b"+OK\r\n$3\r\n%s\r\n+PONG\r\n" % value


def test_a_reset_amid_replies_ends_that_connection_and_nothing_else(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(1)
    node = cluster.nodes[cluster.wait_for_leader()]
    with cluster.client(node.id) as client:
        client.set("large", b"x" * (1 << 20))
        for _ in range(3):
            reader = dial(node.port, 10)
            reader.sendall(encoded(b"GET", b"large") * 40)
            assert reader.recv(1)
            abort(reader)
        assert client.get("large") == b"x" * (1 << 20)
        eventually(lambda: client.info()["connected_clients"] == 1, "only this client is left")
    assert node.is_running
    assert node.starts == 1


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
def test_every_link_between_servers_is_probed_while_it_is_idle(make_cluster: MakeCluster) -> None:
    """Else one whose other end vanished keeps its place for ever."""
    cluster = make_cluster()
    cluster.wait_for_leader()
    for node_id in cluster.nodes:
        seen: set[str] = set()
        eventually(
            lambda node_id=node_id, seen=seen: not unprobed(cluster, node_id, seen),
            f"all connections of node {node_id} are probed",
        )


def unprobed(cluster: Cluster, node_id: int, seen: set[str]) -> set[str]:
    """Connections of a node that the kernel was never `seen` to ask about.

    While something is under way on one, another timer runs there.
    """
    process = cluster.nodes[node_id].process
    assert process is not None
    command = ["ss", "-tnpoH", "state", "established"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    own = [line for line in lines if re.search(rf"pid={process.pid}\b", line)]
    seen |= {_ends(line) for line in own if "timer:(keepalive" in line}
    return {_ends(line) for line in own} - seen if own else {"none yet"}


def _ends(line: str) -> str:
    return " ".join(line.split()[2:4])
