"""More clients than a server wants: leadership, peers and the others go on.

Law: here it is their number that weighs. What one of them can do wrong is for
`test_hostile.py`, what they cost in memory for `test_memory.py`.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.client.blocking import Client
from kvstore.errors import KvstoreError

from .cluster import Cluster, eventually
from .conftest import MakeCluster
from .resp import ask
from .steps import put_anywhere

pytestmark = [pytest.mark.process, pytest.mark.timed]

IDLE, TRICKLING = 1_000, 500
TICKS_PER_SECOND = 100


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """This process opens the clients' ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(before[1], 8_192)
    if wanted < 2 * (IDLE + TRICKLING):
        pytest.fail(f"this machine allows {before[1]} descriptors; raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 10.0))
            for _ in range(count)
        ]


@contextlib.contextmanager
def trickle(sockets: list[socket.socket]) -> Iterator[None]:
    """Send on each a byte at a time of a request that never ends."""
    request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n"
    stops = threading.Event()

    def run() -> None:
        at = 0
        while not stops.is_set():
            byte = request[at : at + 1] or b"x"
            for sock in sockets:
                with contextlib.suppress(OSError):
                    sock.send(byte)
            at += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stops.set()
        thread.join()


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_idle_and_five_hundred_trickling_clients_leave_leadership_alone(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    put_anywhere(cluster, "before")
    term = cluster.status(leader).term
    port = cluster.nodes[leader].port
    with connections(port, IDLE) as idle, connections(port, TRICKLING) as trickling:
        with trickle(trickling), cluster.client(leader) as client:
            until = time.monotonic() + 5.0
            answered = 0
            while time.monotonic() < until:
                client.set(f"key{answered}", "x")
                answered += 1
        assert answered > 20
        assert (cluster.wait_for_leader(), cluster.status(leader).term) == (leader, term)
        assert ask(idle[0], b"PING") == "+PONG"
    put_anywhere(cluster, "after")


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def test_a_server_with_few_descriptors_turns_clients_away_and_keeps_its_peers(
    make_cluster: MakeCluster,
) -> None:
    """logcabin#198: no descriptors left at accept must neither spin nor cost the leadership."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    follower = next(node for node in cluster.nodes if node != leader)
    assert cluster.terminate(leader) == 0
    node = cluster.nodes[leader]
    command = ["prlimit", "--nofile=128:128", *cluster.command(leader)]
    node.spawn(command, cluster.process_environ())
    cluster.wait_until_answers(leader)
    with cluster.client(cluster.wait_for_leader()) as client:
        client.set("before", "x")
    eventually(lambda: hand_over(cluster, leader), "it leads again", ignoring=(KvstoreError,))
    term = cluster.status(leader).term
    assert node.process is not None
    with connections(node.port, 200) as clients:
        told = turned_away(clients)
        assert told > 100
        # A peer that comes back finds its way in, and its leader.
        cluster.kill(follower)
        cluster.restart(follower)
        cluster.wait_for_log(follower, f"following leader node {leader}")
        before = processor_seconds(node.process.pid)
        time.sleep(2.0)  # a span to measure over; nothing is awaited
        assert processor_seconds(node.process.pid) - before < 1.0, "it spins"
        assert ask(clients[0], b"PING") == "+PONG", "who is in, is served"
    cluster.wait_until_answers(leader)
    assert (cluster.wait_for_leader(), cluster.status(leader).term) == (leader, term)
    with cluster.client(leader) as client:
        client.set("after", "x")


def hand_over(cluster: Cluster, heir: int) -> bool:
    leader = cluster.wait_for_leader()
    if leader == heir:
        return True
    with Client(f"127.0.0.1:{cluster.nodes[leader].port}") as client:
        client.transfer_leader(heir)
    return False


def turned_away(clients: list[socket.socket]) -> int:
    """How many were told that there is no room, or hung up on."""
    count = 0
    for client in clients:
        client.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            try:
                told = client.recv(100)
            except ConnectionError:
                told = b""
            count += told in (b"", b"-ERR max number of clients reached\r\n")
        client.settimeout(10.0)
    return count
