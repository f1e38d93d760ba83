"""A request over a limit is told so, however large it is, by real clients as well."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from .cluster import Cluster, connect, running
from .resp import ask, dial, encode, read_line

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(Cluster(tmp_path_factory.mktemp("limits"), size=1)) as cluster:
        cluster.wait_for_leader()
        yield cluster


@pytest.mark.parametrize("mebibytes", [2, 70, 200])
def test_redis_py_is_told_and_goes_on(cluster: Cluster, mebibytes: int) -> None:
    with connect(cluster.nodes[1].port, single_connection_client=True) as client:
        number = client.client_id()
        with pytest.raises(redis.ResponseError, match=r"value has \d+ bytes, the limit is 1048576"):
            client.set("k", bytes(mebibytes << 20))
        assert client.set("k", "v")
        assert client.client_id() == number, "on the same connection"


def test_redis_cli_is_told(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("redis-cli") is None:
        pytest.fail("install redis-tools")
    value = tmp_path / "value"
    value.write_bytes(b"x" * (70 << 20))
    with value.open("rb") as stdin:
        command = ["redis-cli", "-p", str(cluster.nodes[1].port), "-x", "set", "k"]
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    assert f"value has {70 << 20} bytes, the limit is 1048576" in done.stdout, done


def test_a_gibibyte_that_is_announced_may_come(cluster: Cluster) -> None:
    """It costs the node no memory, and nobody the connection."""
    piece = bytes(1 << 20)
    with dial(cluster.nodes[1].port, timeout_s=60.0) as client:
        client.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (1 << 30))
        for _ in range(1 << 10):
            client.sendall(piece)
        client.sendall(b"\r\n" + encode(b"PING"))
        assert read_line(client) == "-ERR value has 1073741824 bytes, the limit is 1048576"
        assert read_line(client) == "+PONG"


def test_an_absurd_announcement_is_answered_while_the_client_still_sends(cluster: Cluster) -> None:
    with dial(cluster.nodes[1].port) as client:
        client.sendall(b"*2\r\n$3\r\nGET\r\n$99999999999\r\n")
        client.sendall(bytes(64 << 20))
        assert read_line(client) == "-ERR Protocol error: invalid bulk length"
    with dial(cluster.nodes[1].port) as client:
        assert ask(client, b"PING") == "+PONG"
