"""Both servers: this store as a single node, and Debian's redis-server, each on a free port.

Law: what is started here is ended here. A script is played on a connection of its own to a
server without keys, and all that comes back until the server hangs up is its answer.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from process.cluster import DEADLINE_S, Cluster, connect, eventually, running
from process.proxy import Reservation
from process.resp import ask, dial, encode

from .cases import Case
from .replies import texts_of

_MARK = b"the connection is still in use"
_PROTOCOLS = (2, 3)
_PATIENCE_S = 0.5
"""A slower server loses nothing: what it was sent it answers all the same, as far as the reply
fits into a socket's buffer."""


class Server:
    """One that scripts are played to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._client = connect(port)

    def play(self, case: Case) -> dict[int, list[str]]:
        """By version of the protocol: all replies, and how it went on."""
        return {protocol: self._play(case, protocol) for protocol in _PROTOCOLS}

    def _play(self, case: Case, protocol: int) -> list[str]:
        if keys := [*self._client.scan_iter()]:
            self._client.delete(*keys)
        hello = encode(b"HELLO", b"3") if protocol == 3 else b""
        got = self.exchange(hello + case.data + encode(b"ECHO", _MARK))
        replies = texts_of(got, case.view)[1 if hello else 0 :]
        if got.endswith(_MARK + b"\r\n"):
            return [*replies[:-1], "goes on"]
        return [*replies, "hangs up"]

    def exchange(self, data: bytes) -> bytes:
        """What comes back, up to the mark, or until the server hangs up."""
        got = b""
        # Who hangs up on bytes that it has not read resets the connection.
        with dial(self.port, DEADLINE_S) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.settimeout(_PATIENCE_S)
            while not got.endswith(_MARK + b"\r\n"):
                try:
                    piece = connection.recv(1 << 16)
                except TimeoutError:
                    # It waits for more: now it learns that nothing will come.
                    connection.settimeout(DEADLINE_S)
                    connection.shutdown(socket.SHUT_WR)
                    continue
                if not piece:
                    break
                got += piece
        return got


class Redis(Server):
    """The real one, of some `version`."""

    def __init__(self, port: int, version: tuple[int, ...]) -> None:
        super().__init__(port)
        self.version = version


@contextlib.contextmanager
def redis_running(directory: Path, *, as_cluster: bool = False) -> Iterator[Redis | None]:
    """A redis-server that keeps nothing, or one that is a cluster; None if it is not installed."""
    tool = shutil.which("redis-server")
    if tool is None:
        yield None
        return
    reservation, bus = Reservation(), Reservation()
    # It must not outlive the test run, not even one that is killed outright.
    command = ["setpriv", "--pdeathsig", "KILL", tool, "--port", str(reservation.port)]
    command += ["--save", "", "--appendonly", "no", "--dir", str(directory)]
    if as_cluster:
        command += ["--cluster-enabled", "yes", "--cluster-port", str(bus.port)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def answers() -> bool:
            with dial(reservation.port) as connection:
                return ask(connection, b"PING") == "+PONG"

        eventually(answers, "redis-server answers PING", ignoring=(OSError,))
        with connect(reservation.port) as client:
            if as_cluster:
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
                eventually(
                    lambda: client.cluster("INFO")["cluster_state"] == "ok", "all slots are served"
                )
            version = str(client.info()["redis_version"])
        yield Redis(reservation.port, tuple(map(int, re.findall(r"\d+", version))))
    finally:
        process.kill()
        process.wait()
        reservation.release()
        bus.release()


@contextlib.contextmanager
def store_running(directory: Path) -> Iterator[Server]:
    """A single node of this store."""
    with running(Cluster(directory, size=1)) as cluster:
        cluster.wait_for_leader()
        yield Server(cluster.nodes[1].port)
