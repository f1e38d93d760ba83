"""What clients can make a node hold in memory, as the system sees it.

Law: the bounds are those of the README: 112 MiB of replies, 48 MiB of unfinished requests,
and what allocation adds.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, running
from .resp import ask, dial, encode

pytestmark = [pytest.mark.process, pytest.mark.timed]

MIB = 1 << 20
ALLOCATION = 1.25
"""What the allocator keeps beside what is asked of it, at most."""
SPAN_S = 4.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running(Cluster(tmp_path, size=1)) as cluster:
        cluster.wait_for_leader()
        yield cluster


def resident_bytes(cluster: Cluster) -> int:
    process = cluster.nodes[1].process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def most_resident(cluster: Cluster, clients: list[socket.socket], request: bytes) -> int:
    """What the node holds at most while the clients send this, over and over, and read nothing."""
    left = dict.fromkeys(clients, memoryview(request))
    until, most = time.monotonic() + SPAN_S, 0
    while time.monotonic() < until:
        for client, rest in left.items():
            with contextlib.suppress(BlockingIOError, ConnectionError):
                left[client] = rest[client.send(rest) :] or memoryview(request)
        most = max(most, resident_bytes(cluster))
    return most


@contextlib.contextmanager
def crowd(cluster: Cluster, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(cluster.nodes[1].port)) for _ in range(count)]
        for client in clients:
            client.setblocking(False)
        yield clients


@pytest.mark.parametrize("value_bytes", [100, 30_000, 1 * MIB])
def test_readers_that_never_read_cost_what_all_replies_may(
    cluster: Cluster, value_bytes: int
) -> None:
    with dial(cluster.nodes[1].port) as client:
        assert ask(client, b"SET", b"k", bytes(value_bytes)) == "+OK"
    before = resident_bytes(cluster)
    with crowd(cluster, 200) as clients:
        most = most_resident(cluster, clients, encode(b"GET", b"k") * 1_024)
    assert most - before < (112 + 32) * MIB * ALLOCATION, f"{(most - before) / MIB:.0f} MiB"


@pytest.mark.parametrize(
    "half",
    [
        encode(b"SET", b"k", bytes(1 * MIB))[:-100_000],
        encode(b"MGET", *[b"ab"] * 4_000)[:-10],
        b"x" * 4_000,
    ],
    ids=["values", "short arguments", "lines"],
)
def test_requests_that_never_end_cost_what_all_of_them_may(cluster: Cluster, half: bytes) -> None:
    before = resident_bytes(cluster)
    with crowd(cluster, 400) as clients:
        left = dict.fromkeys(clients, memoryview(half))
        until, most = time.monotonic() + SPAN_S, 0
        while time.monotonic() < until:
            for client, rest in left.items():
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    left[client] = rest[client.send(rest) :] if rest else rest
            most = max(most, resident_bytes(cluster))
    assert most - before < 48 * MIB * ALLOCATION, f"{(most - before) / MIB:.0f} MiB"
