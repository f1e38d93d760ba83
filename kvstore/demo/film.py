"""The story: a leader frozen at the worst moment, replaced, and fenced when it wakes.

Law: every claim is checked against the nodes or their disks, never assumed.
"""

from __future__ import annotations

import functools
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import hiredis

from kvstore import api
from kvstore.client.blocking import Client
from kvstore.demo.nodes import WAIT_S, Nodes, wait_for
from kvstore.demo.screen import Screen
from kvstore.errors import KvstoreError
from kvstore.storage.compare import compare
from kvstore.storage.inspect import Report, inspect_directories


class Film:
    """The steps, in their order; each leaves what the next ones need."""

    def __init__(self, nodes: Nodes, screen: Screen) -> None:
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
        fenced = wait_for(
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
        refusal = wait_for(self._pointer_to_leader, f"node {old} names the new leader")
        self._screen.claim(True, "new writes to it are sent on", refusal)

    def _read_everywhere(self) -> None:
        self._screen.step("What do the nodes hold?")
        for node in self._nodes.ports:
            settled = functools.partial(self._settled_on, node)
            value = wait_for(settled, f"node {node} catches up")
            self._screen.claim(value == "blue", f"node {node}: colour = {value}")

    def _audit(self) -> None:
        self._screen.step("The nodes stop, and their data directories are audited.")
        codes = self._nodes.stop()
        self._screen.claim(not any(codes), "all three end cleanly", f"exit codes {_listed(codes)}")
        disks = list(self._disks().values())
        findings = [finding for report in disks for finding in report.findings]
        entries = sum(len(report.checksums) for report in disks)
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
        comparison, first = compare(disks), min(report.first_index for report in disks)
        self._screen.claim(
            not comparison.findings and comparison.holders == len(self._nodes.ports),
            "the three logs agree, byte for byte",
            _listed(comparison.findings) or f"entries {first} to {comparison.committed_index}",
        )

    # --- What the steps share -------------------------------------------------------------

    def _await_leader(self, among: Sequence[int]) -> api.StatusResult:
        return wait_for(lambda: self._nodes.agreed_leader(among), "a leader is elected")

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
    connection.sendall(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]  # its stub says one word


def _receive(connection: socket.socket) -> str:
    """One reply; the text of an error if it is one."""
    reader = hiredis.Reader()
    connection.settimeout(WAIT_S)
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
