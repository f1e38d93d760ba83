"""Nodes that have applied the same entries hold the same bytes.

Law: after equal `last_applied`, revision, time and the records of all tables are equal on every
node, byte for byte, whatever each went through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from kvstore.kv.view import Applied
from kvstore.sim.checkers.checker import Watched
from kvstore.storage.tables import TABLES

_Contents: TypeAlias = dict[tuple[str, bytes], bytes]


def compare_replicas(hosts: Iterable[Watched]) -> list[str]:
    """Findings about nodes that run; none if those that stand level are equal."""
    findings = []
    known: dict[int, tuple[int, Applied, _Contents]] = {}
    for host in hosts:
        applied, contents = host.running.machine.applied, _contents(host)
        first, expected, known_contents = known.setdefault(
            applied.last_applied, (host.id, applied, contents)
        )
        differing = sorted(
            named
            for named in known_contents.keys() | contents.keys()
            if known_contents.get(named) != contents.get(named)
        )
        if differing or applied != expected:
            findings.append(
                f"nodes {first} and {host.id} have applied {applied.last_applied} entries, and"
                f" stand at revisions {expected.revision} and {applied.revision}, at"
                f" {expected.time_ms} and {applied.time_ms} ms; what differs: {differing}"
            )
    return findings


def _contents(host: Watched) -> _Contents:
    """Every record, by its table and key."""
    return {
        (row.name, key): record
        for row, table in zip(TABLES, host.disk.state.tables, strict=True)
        for key, record in table.scan(b"")
    }
