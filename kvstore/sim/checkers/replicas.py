"""Nodes that have applied the same entries hold the same bytes.

Law: after equal `last_applied`, revision and key space are equal on every node, byte
for byte, whatever each went through.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvstore.sim.checkers.checker import Watched


def compare_replicas(hosts: Iterable[Watched]) -> list[str]:
    """Findings about nodes that run; none if those that stand level are equal."""
    findings = []
    known: dict[int, tuple[int, int, dict[bytes, bytes]]] = {}
    for host in hosts:
        machine = host.running.machine
        contents = dict(host.disk.state.scan(b""))
        first, revision, expected = known.setdefault(
            machine.last_applied, (host.id, machine.revision, contents)
        )
        differing = sorted(
            key
            for key in expected.keys() | contents.keys()
            if expected.get(key) != contents.get(key)
        )
        if differing or revision != machine.revision:
            findings.append(
                f"nodes {first} and {host.id} have applied {machine.last_applied} entries, and"
                f" stand at revisions {revision} and {machine.revision}; keys that differ:"
                f" {differing}"
            )
    return findings
