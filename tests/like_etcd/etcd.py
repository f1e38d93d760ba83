"""A real etcd of one member, on free ports, with its data in memory.

Law: what is started here is ended here.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from process.cluster import eventually
from process.proxy import Reservation

from .gateway import Gateway

_MEMORY = Path("/dev/shm")


def is_installed() -> bool:
    """Whether there is an etcd to ask."""
    return shutil.which("etcd") is not None


@contextlib.contextmanager
def etcd_running() -> Iterator[Gateway]:
    """An etcd without keys."""
    clients, peers = Reservation(), Reservation()
    with tempfile.TemporaryDirectory(
        prefix="like-etcd-", dir=_MEMORY if _MEMORY.is_dir() else None, ignore_cleanup_errors=True
    ) as directory:
        process = _started(Path(directory), clients.port, peers.port)
        try:
            with contextlib.closing(Gateway(clients.port)) as gateway:
                eventually(gateway.is_up, "etcd answers", ignoring=(OSError,))
                yield gateway
        finally:
            process.kill()
            process.wait()
            clients.release()
            peers.release()


def _started(directory: Path, client_port: int, peer_port: int) -> subprocess.Popen[bytes]:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    # It must not outlive the test run, not even one that is killed outright.
    command = ["setpriv", "--pdeathsig", "KILL", "etcd", "--data-dir", str(directory / "data")]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}", "--logger", "zap", "--log-level", "error"]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)
