"""Real server processes, three at first, and how they are ended whatever happens.

Law: who starts a process ends it, by its id; no process and no port outlives `close`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from kvstore import api
from kvstore.client.blocking import Client
from kvstore.demo.screen import BrokenClaimError
from kvstore.errors import KvstoreError

WAIT_S: Final = 20.0
"""Longest wait for anything that should happen."""
_SIZE: Final = 3
_POLL_S: Final = 0.02
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_T = TypeVar("_T")


class Interrupts:
    """Turns Ctrl-C, SIGTERM and a closed terminal into KeyboardInterrupt, at safe moments.

    * While `held`, a signal waits: a process that was just started must be noted
      before anything may interrupt.
    """

    def __init__(self) -> None:
        self._held = False
        self._arrived = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._arrived:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Nothing interrupts the clearing up."""
        self._held = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._arrived = True
        if not self._held:
            raise KeyboardInterrupt


class Nodes:
    """The three processes, their ports, directories and logs."""

    def __init__(
        self, directory: Path, interrupts: Interrupts, checkout: Path | None = None
    ) -> None:
        """`checkout`: whose code they run, with this interpreter; None for that of this process."""
        self._directory = directory
        self._checkout = checkout
        self._interrupts = interrupts
        self._reservations = [_reserve_port() for _ in range(_SIZE)]
        ports = sorted(reservation.getsockname()[1] for reservation in self._reservations)
        self.ports = dict(enumerate(ports, start=1))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for node in self.ports:
            self.start_one(node)

    def start_one(self, node: int) -> None:
        """Start one that does not run."""
        peers = ",".join(str(self.ports[other]) for other in self.others(node))
        self._spawn(node, "--peers", peers)

    def reserve_one(self) -> int:
        """A node more, with a port of its own, that is still to join; its id."""
        node = len(self.ports) + 1
        self._reservations.append(_reserve_port())
        self.ports[node] = self._reservations[-1].getsockname()[1]
        return node

    def join_one(self, node: int, known: int) -> None:
        """Start one that has no directory, and asks a known one who the members are."""
        self._spawn(node, "--join", self.address(known))

    def _spawn(self, node: int, *how: str) -> None:
        command = [sys.executable, "-m", "kvstore", "serve", "--id", str(node), *how]
        command += ["--port", str(self.ports[node]), "--data", str(self.data_dir(node))]
        with self._log(node).open("ab") as log, self._interrupts.held():
            self._processes[node] = subprocess.Popen(  # noqa: S603 - no shell, no outside words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environ(),
                cwd=self._checkout,
                start_new_session=True,  # Ctrl-C is for the film; it then ends the nodes.
            )

    def kill(self, node: int) -> None:
        """End one without notice."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    @property
    def running(self) -> list[int]:
        """Those that were started, and not killed since."""
        return [*self._processes]

    def pid(self, node: int) -> int:
        return self._processes[node].pid

    def signal(self, node: int, number: signal.Signals) -> None:
        self._processes[node].send_signal(number)

    def stop(self) -> list[int]:
        """Ask all to end, at once; their exit codes."""
        for node in self._processes:
            self.signal(node, signal.SIGTERM)
        return [process.wait(WAIT_S) for process in self._processes.values()]

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()  # SIGKILL ends a stopped process too.
        for process in self._processes.values():
            process.wait()
        for reservation in self._reservations:
            reservation.close()

    def address(self, node: int) -> str:
        return f"127.0.0.1:{self.ports[node]}"

    def data_dir(self, node: int) -> Path:
        return self._directory / f"n{node}"

    def others(self, node: int) -> list[int]:
        return [other for other in self.ports if other != node]

    def log_lines(self, node: int) -> list[str]:
        """What the node itself said, without time stamps."""
        lines = self._log(node).read_text(errors="replace").splitlines()
        return [line[line.index("[node ") :] for line in lines if "[node " in line]

    def status(self, node: int) -> api.StatusResult:
        """Raises KvstoreError."""
        with Client([self.address(node)], timeout_ms=1_000) as client:
            return client.status(self.address(node))

    def agreed_leader(self, among: Sequence[int]) -> api.StatusResult | None:
        """The leader's status, once all of these follow it in one term."""
        try:
            statuses = [self.status(node) for node in among]
        except KvstoreError:
            self._check_alive()
            return None
        if len({(status.term, status.leader_id) for status in statuses}) != 1:
            return None
        return next((status for status in statuses if status.role == "leader"), None)

    def _check_alive(self) -> None:
        for node, process in self._processes.items():
            if process.poll() is not None:
                last = (self._log(node).read_text(errors="replace").splitlines() or [""])[-1]
                raise BrokenClaimError(f"node {node} ended with {process.returncode}: {last}")

    def _log(self, node: int) -> Path:
        return self._directory / f"n{node}.log"


def _reserve_port() -> socket.socket:
    """A free port that nobody else is given while this socket, which never listens, is open."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation


def _environ() -> dict[str, str]:
    """The film shows the defaults, whatever the viewer's own settings are."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KVSTORE_")}


def wait_for(look: Callable[[], _T | None], what: str, wait_s: float = WAIT_S) -> _T:
    """What `look` finds, as soon as it finds something; for at most so long."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(_POLL_S)
    raise BrokenClaimError(f"not within {wait_s:.0f} seconds: {what}")
