"""Values beyond every limit, of any size, and real nodes: each says so, and serves on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

import kvstore.client.arguments
from kvstore import Client, RefusedError

from .cluster import Cluster, running

pytestmark = pytest.mark.process

SIZES = [2_000_000, 70_000_000, 200_000_000]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(Cluster(tmp_path_factory.mktemp("long"), 1)) as cluster:
        cluster.wait_for_leader()
        yield f"127.0.0.1:{cluster.nodes[1].port}"


@pytest.mark.parametrize("size", SIZES)
def test_a_value_that_is_too_long_is_refused_and_the_node_serves_on(
    address: str, size: int
) -> None:
    with Client(address, timeout_ms=PATIENCE_MS) as client:
        for _ in range(2):
            with pytest.raises(RefusedError, match="the limit is"):
                client.put("k", bytes(size))
        assert client.put("k", "short").written


@pytest.mark.parametrize("exactly_once", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_client_that_knows_no_limit_hears_the_node_s(
    address: str, size: int, exactly_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the request is, and whether or not the node reads all of it."""
    wider = msgspec.structs.replace(kvstore.client.arguments._WIDEST, value_bytes_max=1 << 40)
    monkeypatch.setattr(kvstore.client.arguments, "_WIDEST", wider)
    with Client(address, timeout_ms=PATIENCE_MS, exactly_once=exactly_once) as client:
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"ERR .*(the limit is|too large)") as caught:
                client.put("k", bytes(size))
            assert "nothing was sent" not in str(caught.value)
        assert client.put("k", "short").written


@pytest.mark.parametrize("size", SIZES)
def test_the_command_line_says_so_too(address: str, size: int) -> None:
    command = [sys.executable, "-m", "kvstore", "put", "k", "--to", address]
    done = subprocess.run(command, input=bytes(size), capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert b"limit is" in done.stderr or b"longer than any node takes" in done.stderr
