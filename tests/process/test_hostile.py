"""Whatever arrives on the port, the server goes on serving everybody else.

Law: here it is one client that misbehaves, and time has no bound. Crowds are for
`test_overload.py`, memory for `test_memory.py`, time for `test_turns.py`, and what is said of
each broken frame for `tests/wire/`.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest

from .cluster import Cluster, eventually, running
from .resp import ask, dial, encode, read_line

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(Cluster(tmp_path_factory.mktemp("hostile"), size=1)) as cluster:
        cluster.wait_for_leader()
        yield cluster


@pytest.fixture
def port(cluster: Cluster) -> Iterator[int]:
    """A server that must be the same process, and serve, after the test."""
    node = cluster.nodes[1]
    yield node.port
    assert node.is_running, "the server has ended"
    with dial(node.port) as connection:
        assert ask(connection, b"SET", b"still", b"here") == "+OK"
        assert ask(connection, b"GET", b"still") == "$4"
    assert "Traceback" not in node.log


def wait_until_closed(connection: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    received = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


BROKEN = {
    "an array of a thousand million": b"*1000000000\r\n",
    "a bulk string of a hundred gigabytes": b"*2\r\n$3\r\nGET\r\n$99999999999\r\n",
    "a length beyond 64 bits": b"*1\r\n$99999999999999999999999\r\n",
    "a negative array": b"*-5\r\n",
    "a negative bulk string": b"*1\r\n$-5\r\n",
    "a length that is no number": b"*abc\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "nested arrays": b"*1\r\n" * 10_000,
}


@pytest.mark.parametrize("blob", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_frame_is_answered_by_an_error_or_a_hang_up(port: int, blob: bytes) -> None:
    with dial(port) as connection:
        connection.sendall(blob)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        received = wait_until_closed(connection)
    assert received == b"" or received.startswith(b"-")


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_never_harm(port: int, seed: int) -> None:
    rng = random.Random(seed)
    with dial(port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(rng.randbytes(rng.randrange(1, 20_000)))
            connection.shutdown(socket.SHUT_WR)
        wait_until_closed(connection)


@pytest.mark.parametrize("seed", range(20))
def test_a_good_frame_with_flipped_bytes_never_harms(port: int, seed: int) -> None:
    rng = random.Random(seed)
    blob = bytearray(encode(b"SET", b"key", b"value") * 20)
    for _ in range(rng.randrange(1, 6)):
        blob[rng.randrange(len(blob))] = rng.randrange(256)
    with dial(port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(blob)
            connection.shutdown(socket.SHUT_WR)
        wait_until_closed(connection)


def test_rubbish_in_the_name_of_a_peer_is_refused(port: int) -> None:
    for words in (
        [b"RAFT"],
        [b"RAFT", b"x"],
        [b"RAFT", bytes(100), b"y"],
        [b"RAFT", b"HELLO", b""],
    ):
        with dial(port) as connection:
            connection.sendall(encode(*words))
            connection.shutdown(socket.SHUT_WR)
            assert wait_until_closed(connection)[:1] in (b"", b"-")


def test_half_a_frame_blocks_nobody_and_takes_no_effect(port: int) -> None:
    frame = encode(b"SET", b"half", b"value")
    with contextlib.ExitStack() as stack:
        for length in range(1, len(frame)):
            connection = stack.enter_context(dial(port))
            connection.sendall(frame[:length])
        with dial(port) as other:
            assert ask(other, b"EXISTS", b"half") == ":0"
    with dial(port) as other:
        assert ask(other, b"EXISTS", b"half") == ":0"


def test_a_frame_that_trickles_in_byte_by_byte_is_carried_out(port: int) -> None:
    with dial(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encode(b"SET", b"slow", b"value"):
            connection.sendall(bytes([byte]))
        assert read_line(connection) == "+OK"


def test_a_client_that_never_reads_blocks_nobody(port: int) -> None:
    """What it costs is for `test_memory.py`."""
    with dial(port) as glutton:
        assert ask(glutton, b"SET", b"big", b"v" * (1 << 20)) == "+OK"
        glutton.sendall(encode(b"GET", b"big") * 3_000)
        with dial(port) as connection:
            assert ask(connection, b"PING") == "+PONG"
            assert ask(connection, b"DEL", b"big") == ":1"


def test_clients_that_vanish_in_the_middle_of_a_pipeline_harm_nobody(port: int) -> None:
    for _ in range(20):
        with dial(port) as connection:
            connection.sendall(encode(b"INCR", b"vanishing") * 100)

    def settled() -> bool:
        with dial(port) as other:
            return ask(other, b"PING") == "+PONG"

    eventually(settled, "the server answers")
