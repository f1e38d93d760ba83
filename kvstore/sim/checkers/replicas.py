"""Nodes that have applied the same entries hold the same bytes.

Law: after equal `last_applied`, revision, time, key space and sessions are equal on every
node, byte for byte, whatever each went through.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvstore.kv.view import Applied
from kvstore.sim.checkers.checker import Watched


def compare_replicas(hosts: Iterable[Watched]) -> list[str]:
    """Findings about nodes that run; none if those that stand level are equal."""
    findings = []
    known: dict[int, tuple[int, Applied, dict[str, bytes]]] = {}
    for host in hosts:
        applied, contents = host.running.machine.applied, _contents(host)
        first, expected, known_contents = known.setdefault(
            applied.last_applied, (host.id, applied, contents)
        )
        differing = sorted(
            name
            for name in known_contents.keys() | contents.keys()
            if known_contents.get(name) != contents.get(name)
        )
        if differing or applied != expected:
            findings.append(
                f"nodes {first} and {host.id} have applied {applied.last_applied} entries, and"
                f" stand at revisions {expected.revision} and {applied.revision}, at"
                f" {expected.time_ms} and {applied.time_ms} ms; what differs: {differing}"
            )
    return findings


def _contents(host: Watched) -> dict[str, bytes]:
    """Every record, under a name that findings can show."""
    state = host.disk.state
    contents = {f"key {key!r}": record for key, record in state.scan(b"")}
    for key, record in state.sessions.scan(b""):
        contents[f"session {int.from_bytes(key, 'big')}"] = record
    return contents
