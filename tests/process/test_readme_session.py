"""The session of the README, typed as it stands there: every command, and what it prints.

It has a network namespace of its own, where the ports of the README are free. With
`README=rewrite` in the environment the README gets what was printed, to be read before it is
committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster, eventually
from .console import Step, blocks, is_like, section, steps

pytestmark = pytest.mark.process

README = ROOT / "README.md"
SESSION = section(README.read_text(), "A session")
TO_SERVE, *PLAYED = blocks(SESSION)
REWRITES = os.environ.get("README") == "rewrite"

# Who leads is a matter of chance. Here it is node 2, which starts first, and node 3 after that
# was killed: node 1 votes as soon as node 3 asks, and would itself not stand for half an hour.
ELECTION_MS = {"1": "1100-3600000", "2": "500-600", "3": "1200-1300"}
REPEATABLE = ("kvstore status", "kvstore get", "kvstore inspect", "redis-cli -p 9001 get")
"""What changes nothing, and tells how far the nodes have come."""
SETTLED_S = 5.0 if REWRITES else DEADLINE_S


class Terminal:
    """A shell in a network of its own, in a directory where the checkout's tools are at hand."""

    def __init__(self, directory: Path) -> None:
        (directory / "tools").symlink_to(ROOT / "tools")
        self._directory = directory
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        as_root = ["--user", "--map-root-user"] if os.geteuid() else []
        self._network = subprocess.Popen(
            ["unshare", "--net", *as_root, "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._network.stdout is not None
        assert self._network.stdout.readline() == b"up\n", "no network namespace can be made here"
        user = ["--user", "--preserve-credentials"] if as_root else []
        self._inside = ["nsenter", "--target", str(self._network.pid), "--net", *user]

    def run(self, command: str) -> list[str]:
        """What a command prints on a terminal, as redis-cli asks whether it has one."""
        screen, keyboard = os.openpty()
        with open(screen, "rb", buffering=0) as screen_file:
            shell = subprocess.Popen(
                [*self._inside, "bash", "-c", command],
                cwd=self._directory,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=keyboard,
                stderr=keyboard,
            )
            os.close(keyboard)
            text = b"".join(_read_to_end(screen_file)).decode()
            shell.wait(DEADLINE_S)
        return text.replace("\r\n", "\n").rstrip("\n").split("\n") if text else []

    def serve(self, command: str) -> None:
        """Start a server, or start it again; its lines go to a file."""
        node_id = command.split()[3]
        if node_id in self._servers:
            self._servers[node_id].wait(DEADLINE_S)
        with self.log_of(node_id).open("ab") as log:
            self._servers[node_id] = subprocess.Popen(
                [*self._inside, "sh", "-c", f"exec {command}"],
                cwd=self._directory,
                env=self._environ(KVSTORE_ELECTION_MS=ELECTION_MS[node_id]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log_of(self, node_id: str) -> Path:
        return self._directory / f"n{node_id}.log"

    def close(self) -> None:
        for server in self._servers.values():
            server.send_signal(signal.SIGKILL)
            server.wait(DEADLINE_S)
        self._network.communicate(timeout=DEADLINE_S)

    @staticmethod
    def _environ(**more: str) -> Mapping[str, str]:
        inherited = Cluster.clean_environ()
        path = f"{Path(sys.executable).parent}:{inherited['PATH']}"
        return {**inherited, "PATH": path, "NO_COLOR": "1", **more}


def _read_to_end(screen: io.FileIO) -> Iterator[bytes]:
    """Until nobody has the terminal any more, which Linux tells as an error."""
    with contextlib.suppress(OSError):
        while part := screen.read(65_536):
            yield part


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def rewrite(said: Sequence[str], printed: Sequence[str]) -> None:
    """Put what was printed into the README, in place of what it says."""
    old, new = ("\n".join(lines) for lines in (said, printed))
    README.write_text(README.read_text().replace(old, new, 1))


def play(terminal: Terminal, step: Step) -> None:
    """Type a command; one that changes nothing is typed again until the nodes have come so far."""
    printed: list[str] = []

    def says_so() -> bool:
        printed[:] = terminal.run(step.command)
        return is_like(step.lines, printed)

    with contextlib.suppress(*[AssertionError] * REWRITES):
        if step.command.startswith(REPEATABLE):
            eventually(says_so, "\n".join(step.lines), deadline_s=SETTLED_S)
        else:
            assert says_so(), "\n".join((*step.lines, "(was said, and this printed)", *printed))
    if REWRITES and "..." not in step.lines:
        head = f"$ {step.command}"
        rewrite((head, *step.lines), (head, *printed))


def start_again(terminal: Terminal, command: str, said: Sequence[str]) -> None:
    """Start node 2; its log has the lines of the README, in whatever order, among others."""
    log = terminal.log_of("2")
    earlier = len(log.read_text())
    terminal.serve(command)

    def logged() -> list[str]:
        return log.read_text()[earlier:].splitlines()

    def says_so() -> bool:
        return all(any(is_like([one], [line]) for line in logged()) for one in said)

    with contextlib.suppress(*[AssertionError] * REWRITES):
        eventually(says_so, "\n".join(said), deadline_s=SETTLED_S)
    if REWRITES:
        lines = logged()
        first, last = (
            next(number for number, line in enumerate(lines) if text in line)
            for text in ("listening on", "following leader")
        )
        rewrite(said, lines[first : last + 1])


def test_the_session_goes_as_the_readme_says(terminal: Terminal) -> None:
    servers = TO_SERVE.splitlines()
    terminal.serve(servers[1])
    eventually(lambda: "listening" in terminal.log_of("2").read_text(), "node 2 listens")
    terminal.serve(servers[0])
    terminal.serve(servers[2])
    for block in PLAYED:
        if block.startswith("$ "):
            for step in steps(block):
                play(terminal, step)
        else:
            start_again(terminal, servers[1], block.splitlines())
