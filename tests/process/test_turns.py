"""Requests that would take a leader long, thrown at it as hard as it allows.

Law: whatever clients ask for, the leader answers a PING soon, and goes on leading. The
bounds are generous, as the machine may have other work; without budgets they are missed
by seconds.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from .cluster import Cluster, running
from .resp import REPLY_TIMEOUT_S, ask, dial, encode

pytestmark = [pytest.mark.process, pytest.mark.timed]

KEYS = 20_000
CONNECTIONS = 16
SPAN_S = 3.0
PING_S = 1.0
"""What the slowest PING may take here; on an idle machine it is 0.1."""
KEY = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%08d"
PATTERN = b"*" + b"[^b]" * 120 + b"c"
MANY = [KEY % n for n in range(4_000)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(Cluster(tmp_path_factory.mktemp("turns"), size=3)) as cluster:
        with dial(cluster.nodes[cluster.wait_for_leader()].port) as client:
            for start in range(0, KEYS, 2_000):
                pairs = [part for n in range(start, start + 2_000) for part in (KEY % n, b"v")]
                assert ask(client, b"MSET", *pairs) == "+OK"
            assert ask(client, b"SET", b"large", bytes(1 << 20)) == "+OK"
        yield cluster


FLOODS = {
    "a scan for a pattern that is slow to match": encode(
        *(b"SCAN", b"0", b"MATCH", PATTERN, b"COUNT", b"10000")
    ),
    "long pages": encode(b"SCAN", b"0", b"COUNT", b"10000") * 11,
    "patterns that are slow to compile": b"".join(
        encode(b"SCAN", b"0", b"MATCH", b"*a" * 250 + b"%d" % n) for n in range(100)
    ),
    "INFO": encode(b"INFO") * 1_024,
    "all commands": encode(b"COMMAND") * 1_024,
    "a list of clients": encode(b"CLIENT", b"LIST") * 1_024,
    "settings": encode(b"CONFIG", b"GET", *[b"*a*b*c*d*e*f*g*h*i*j*k*l*m*n*"] * 8) * 256,
    "large values": encode(b"GET", b"large") * 1_024,
    "many keys": encode(b"MGET", *MANY) * 20,
    "whether many keys exist": encode(b"EXISTS", *MANY) * 20,
    "more keys than allowed": encode(b"MGET", *MANY * 8),
    "many short requests": encode(b"PING") * 40_000,
    "many writes": encode(b"INCR", b"n") * 10_000,
    "deletes of many keys": encode(b"DEL", *[b"absent" + key for key in MANY]) * 20,
    "writes of many keys": encode(b"MSET", *[w for k in MANY for w in (b"m" + k, b"v")]) * 5,
    "lines of quoted words": (b'"" ' * 1_300 + b"\r\n") * 30,
    "values over the limit": encode(b"SET", b"k", bytes(3 << 20)) * 5,
}


@pytest.mark.parametrize("request_bytes", FLOODS.values(), ids=FLOODS.keys())
def test_a_leader_under_a_flood_answers_and_leads_on(
    cluster: Cluster, request_bytes: bytes
) -> None:
    leader = cluster.wait_for_leader()
    term = cluster.status(leader).term
    port = cluster.nodes[leader].port
    slowest_s = 0.0
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(dial(port)) for _ in range(CONNECTIONS)]
        client = stack.enter_context(dial(port))
        with pouring(flood, request_bytes) as pour:
            until = time.monotonic() + SPAN_S
            while time.monotonic() < until:
                began = time.monotonic()
                client.sendall(encode(b"PING"))
                pour(client)
                assert client.recv(100) == b"+PONG\r\n"
                slowest_s = max(slowest_s, time.monotonic() - began)
    assert cluster.wait_for_leader() == leader
    assert cluster.status(leader).term == term
    assert slowest_s < PING_S, f"the slowest PING took {slowest_s * 1000:.0f} ms"


@contextlib.contextmanager
def pouring(
    sockets: list[socket.socket], request_bytes: bytes
) -> Iterator[Callable[[socket.socket], None]]:
    """Send the request over and over, and read what comes, until another socket has something."""
    with selectors.DefaultSelector() as selector:
        left = dict.fromkeys(sockets, memoryview(request_bytes))
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

        def pour(until: socket.socket) -> None:
            selector.register(until, selectors.EVENT_READ)
            ends = time.monotonic() + REPLY_TIMEOUT_S
            while time.monotonic() < ends:
                for key, mask in selector.select(1.0):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    if sock is until:
                        selector.unregister(until)
                        return
                    if mask & selectors.EVENT_READ:
                        assert sock.recv(1 << 20), "the server hung up"
                    if mask & selectors.EVENT_WRITE:
                        with contextlib.suppress(BlockingIOError):
                            left[sock] = left[sock][sock.send(left[sock][: 1 << 16]) :]
                        if not left[sock]:
                            left[sock] = memoryview(request_bytes)
            pytest.fail(f"no reply within {REPLY_TIMEOUT_S:g} s")

        yield pour
