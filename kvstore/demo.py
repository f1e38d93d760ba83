"""The film: three real nodes, a leader frozen at the worst moment, and how it is fenced.

Law: every claim on the screen is checked against the nodes or their disks, and one
that does not hold makes the exit code 1. However the film ends, no process and no
file is left behind.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

import hiredis

from kvstore import api
from kvstore.client import Client
from kvstore.errors import KvstoreError
from kvstore.storage.compare import compare
from kvstore.storage.inspect import Report, inspect_directories

_SIZE: Final = 3
_WAIT_S: Final = 20.0
_POLL_S: Final = 0.02
_INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLAIM_WIDTH: Final = 40
_LINE_WIDTH: Final = 80

_LOG_LINES_SHOWN: Final = 5
_TITLE: Final = "Three real nodes. The one that leads is frozen, replaced, and wakes."
_CLOSING: Final = (
    "Why this is safe: a node has its term, its vote and its entries on disk before it",
    "speaks of them, and any two majorities share a node. So one that wakes with an old",
    "term can win nobody, and the first message of a higher term ends its leadership.",
)

_T = TypeVar("_T")


class _BrokenClaimError(Exception):
    """A claim did not hold, and what follows would make no sense without it."""


# --- The screen ---------------------------------------------------------------------------


class _Screen:
    """Numbered steps, and claims with their evidence; plain where there is no terminal."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        encoding = sys.stdout.encoding or "ascii"
        fancy = "✓✗".encode(encoding, "ignore").decode(encoding) == "✓✗"
        self._marks = ("✓", "✗") if fancy else ("ok", "NO")
        self._steps = 0
        self.held = 0
        self.broken = 0

    def line(self, text: str = "") -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def step(self, text: str) -> None:
        self._steps += 1
        self.line(f"\n{self._paint('1', f'{self._steps}. {text}')}")

    def claim(self, holds: bool, text: str, evidence: str = "") -> None:
        """Show a claim with its mark; raises if it does not hold."""
        if not holds:
            raise _BrokenClaimError(f"{text}: no. {evidence}")
        mark = self._paint("32;1", self._marks[0])
        gap = "  ".ljust(_CLAIM_WIDTH - len(text)) if evidence else ""
        if len(text + gap + evidence) > _LINE_WIDTH - 5:
            gap = "\n       "
        self.line(f"   {mark} {text}{gap}{self._paint('2', evidence)}")
        self.held += 1

    def fail(self, text: str) -> None:
        """Something that every claim after this would rest on did not happen."""
        self.broken += 1
        self.line(f"   {self._paint('31;1', self._marks[1])} {text}")

    def quote(self, text: str) -> None:
        """Words that are not ours."""
        self.line(f"     {self._paint('36', text)}")

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text else text


# --- The nodes ----------------------------------------------------------------------------


class _Interrupts:
    """Turns Ctrl-C, SIGTERM and a closed terminal into KeyboardInterrupt, at safe moments.

    * While `held`, a signal waits: a process that was just started must be noted
      before anything may interrupt.
    """

    def __init__(self) -> None:
        self._held = False
        self._arrived = False

    def __enter__(self) -> _Interrupts:
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


class _Nodes:
    """The three processes, their ports, directories and logs."""

    def __init__(self, directory: Path, interrupts: _Interrupts) -> None:
        self._directory = directory
        self._interrupts = interrupts
        self._reservations = [_reserve_port() for _ in range(_SIZE)]
        ports = sorted(reservation.getsockname()[1] for reservation in self._reservations)
        self.ports = dict(enumerate(ports, start=1))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for node, port in self.ports.items():
            peers = ",".join(str(other) for other in self.ports.values() if other != port)
            command = [sys.executable, "-m", "kvstore", "serve", "--id", str(node)]
            command += ["--port", str(port), "--peers", peers, "--data", str(self.data_dir(node))]
            with self._log(node).open("wb") as log, self._interrupts.held():
                self._processes[node] = subprocess.Popen(  # noqa: S603 - no shell, no outside words
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environ(),
                    start_new_session=True,  # Ctrl-C is for the film; it then ends the nodes.
                )

    def signal(self, node: int, number: signal.Signals) -> None:
        self._processes[node].send_signal(number)

    def stop(self) -> list[int]:
        """Ask all to end, at once; their exit codes."""
        for node in self._processes:
            self.signal(node, signal.SIGTERM)
        return [process.wait(_WAIT_S) for process in self._processes.values()]

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
                raise _BrokenClaimError(f"node {node} ended with {process.returncode}: {last}")

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


def _wait_for(look: Callable[[], _T | None], what: str) -> _T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(_POLL_S)
    raise _BrokenClaimError(f"not within {_WAIT_S:.0f} seconds: {what}")


# --- The story ----------------------------------------------------------------------------


class _Film:
    """The steps, in their order; each leaves what the next ones need."""

    def __init__(self, nodes: _Nodes, screen: _Screen) -> None:
        self._nodes = nodes
        self._screen = screen
        self._old = 0
        self._old_term = 0
        self._new = 0
        self._new_term = 0

    def play(self) -> None:
        self._start()
        self._write()
        with socket.create_connection(("127.0.0.1", self._nodes.ports[self._old]), 10) as waiting:
            self._freeze(waiting)
            self._elect()
            self._wake(waiting)
        self._read_everywhere()
        self._audit()

    def _start(self) -> None:
        self._screen.step(f"Three nodes start on ports {_listed(self._nodes.ports.values())}.")
        self._nodes.start()
        leader = self._await_leader(list(self._nodes.ports))
        self._old, self._old_term = leader.node_id, leader.term
        followers = _listed(self._nodes.others(self._old))
        self._screen.claim(
            True, f"node {self._old} leads term {self._old_term}", f"nodes {followers} follow it"
        )

    def _write(self) -> None:
        self._screen.step("A client writes.")
        self._put(self._old, "red")

    def _freeze(self, waiting: socket.socket) -> None:
        old = self._old
        self._screen.step(
            f"Node {old} is frozen (SIGSTOP), and a write waits in its socket: colour = stale."
        )
        _send(waiting, "PING")
        _receive(waiting)
        self._nodes.signal(old, signal.SIGSTOP)
        _send(waiting, "SET", "colour", "stale")
        disk = self._disks()[old].hard_state
        self._screen.claim(
            disk is not None and disk.current_term == self._old_term,
            f"it sleeps as the leader of term {self._old_term}",
            f"its disk: term {disk.current_term if disk else '?'}",
        )

    def _elect(self) -> None:
        others = self._nodes.others(self._old)
        self._screen.step(f"Nodes {_listed(others)} no longer hear it, and elect.")
        began = time.monotonic()
        leader = self._await_leader(others)
        self._new, self._new_term = leader.node_id, leader.term
        self._screen.claim(
            self._new_term > self._old_term,
            f"node {self._new} leads term {self._new_term}",
            f"after {time.monotonic() - began:.1f} s",
        )
        self._put(self._new, "blue")

    def _wake(self, waiting: socket.socket) -> None:
        old = self._old
        self._screen.step(f"Node {old} wakes (SIGCONT), and still believes that it leads.")
        lines_before = len(self._nodes.log_lines(old))
        began = time.monotonic()
        self._nodes.signal(old, signal.SIGCONT)
        fenced = _wait_for(
            lambda: self._fencing_lines(lines_before), f"node {old} steps down and follows"
        )
        took_ms = (time.monotonic() - began) * 1_000
        for line in fenced:
            self._screen.quote(line)
        self._screen.claim(True, "it is fenced, by its own log", f"within {took_ms:.0f} ms")
        reply = _receive(waiting)
        self._screen.claim(
            reply.startswith(("NOTLEADER", "NOLEADER", "UNKNOWN")),
            "the write that waited gets no OK",
            reply,
        )
        refusal = _wait_for(self._pointer_to_leader, f"node {old} names the new leader")
        self._screen.claim(True, "new writes to it are sent on", refusal)

    def _read_everywhere(self) -> None:
        self._screen.step("What do the nodes hold?")
        for node in self._nodes.ports:
            settled = functools.partial(self._settled_on, node)
            value = _wait_for(settled, f"node {node} catches up")
            self._screen.claim(value == "blue", f"node {node}: colour = {value}")

    def _audit(self) -> None:
        self._screen.step("The nodes stop, and their data directories are audited.")
        codes = self._nodes.stop()
        self._screen.claim(not any(codes), "all three end cleanly", f"exit codes {_listed(codes)}")
        disks = list(self._disks().values())
        findings = [finding for report in disks for finding in report.findings]
        entries = sum(report.last_index for report in disks)
        self._screen.claim(
            not findings,
            "every record is whole",
            _listed(findings) or f"crc32c of {entries} entries checked",
        )
        leaders = _leaders_by_term(disks)
        self._screen.claim(
            all(len(who) == 1 for who in leaders.values()),
            "no term ever had two leaders",
            _listed(f"term {term}: node {_listed(who)}" for term, who in sorted(leaders.items())),
        )
        comparison = compare(disks)
        self._screen.claim(
            not comparison.findings and comparison.holders == _SIZE,
            "the three logs agree, byte for byte",
            _listed(comparison.findings) or f"entries 1 to {comparison.committed_index}",
        )

    # --- What the steps share -------------------------------------------------------------

    def _await_leader(self, among: Sequence[int]) -> api.StatusResult:
        return _wait_for(lambda: self._nodes.agreed_leader(among), "a leader is elected")

    def _put(self, node: int, value: str) -> None:
        with Client([self._nodes.address(node)], timeout_ms=5_000) as client:
            result = client.put("colour", value)
            revision = result.revision
        self._screen.claim(
            result.written,
            f"colour = {value}, through node {node}",
            f"acknowledged, revision {revision}",
        )

    def _fencing_lines(self, lines_before: int) -> list[str] | None:
        """The lines that the woken node must log, in their order, if they are there."""
        prefix = f"[node {self._old}]"
        wanted = [f"{prefix} stepping down: saw term ", f"{prefix} became follower"]
        found: list[str] = []
        for line in self._nodes.log_lines(self._old)[lines_before:]:
            if len(found) < len(wanted) and line.startswith(wanted[len(found)]):
                found.append(line)
        return found if len(found) == len(wanted) else None

    def _refusal(self) -> str:
        """What the old leader says to a new write."""
        address = self._nodes.address(self._old)
        try:
            with Client([address], timeout_ms=2_000, follow=False) as client:
                client.put("colour", "stale too")
        except KvstoreError as error:
            return str(error)
        return "OK"

    def _pointer_to_leader(self) -> str | None:
        """The old leader's refusal, once it names the node that leads."""
        leader = self._nodes.agreed_leader(list(self._nodes.ports))
        if leader is None or leader.node_id == self._old:
            return None
        node = leader.node_id
        refusal = self._refusal()
        pointer = f"NOTLEADER not leader, try node {node} at {self._nodes.address(node)}"
        return refusal if refusal == pointer else None

    def _settled_on(self, node: int) -> str | None:
        """The node's own copy, once it is no longer red, which it may be for a moment."""
        with Client([self._nodes.address(node)]) as client:
            record = client.get("colour", stale=True)
        value = record.value.decode() if record else None
        return None if value == "red" else value

    def _disks(self) -> dict[int, Report]:
        directories = [self._nodes.data_dir(node) for node in self._nodes.ports]
        return dict(zip(self._nodes.ports, inspect_directories(directories), strict=True))


def _send(connection: socket.socket, *words: str) -> None:
    """One command, as RESP frames it."""
    connection.sendall(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]


def _receive(connection: socket.socket) -> str:
    """One reply; the text of an error if it is one."""
    reader = hiredis.Reader()
    connection.settimeout(_WAIT_S)
    while (reply := reader.gets()) is False:
        data = connection.recv(4_096)
        if not data:
            return "the connection was closed"
        reader.feed(data)
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _leaders_by_term(reports: Iterable[Report]) -> dict[int, set[int]]:
    """Whom the first entry of each term names, in any of the logs."""
    leaders: dict[int, set[int]] = defaultdict(set)
    for report in reports:
        for span in report.terms:
            if span.leader is not None:
                leaders[span.term].add(span.leader)
    return leaders


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


# --- From start to end --------------------------------------------------------------------


def run() -> int:
    """Play the film; 0 if every claim held, 1 if one did not, 130 if it was interrupted."""
    screen = _Screen()
    began = time.monotonic()
    screen.line(_TITLE)
    try:
        _play(screen)
    except KeyboardInterrupt:
        screen.line("\ninterrupted; nothing is left running")
        return _INTERRUPTED
    if screen.broken:
        screen.line("\nNot every claim held. Please report this.")
        return 1
    screen.line("\n" + "\n".join(_CLOSING))
    screen.line(f"\nAll {screen.held} claims held, in {time.monotonic() - began:.1f} s.")
    return 0


def _play(screen: _Screen) -> None:
    with _Interrupts() as interrupts:
        directory = Path(tempfile.mkdtemp(prefix="kvstore-demo-"))
        nodes = _Nodes(directory, interrupts)
        try:
            _Film(nodes, screen).play()
        except (_BrokenClaimError, KvstoreError, TimeoutError, ConnectionError) as error:
            screen.fail(str(error))
            for node in nodes.ports:
                for line in nodes.log_lines(node)[-_LOG_LINES_SHOWN:]:
                    screen.quote(line)
        finally:
            interrupts.ignore()
            nodes.close()
            shutil.rmtree(directory, ignore_errors=True)
