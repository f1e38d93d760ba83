"""Requests of one connection take effect in the order in which they were sent.

Law: by the revisions that its answers tell, a connection never goes back: a read sees the
connection's writes before it, and none of those after it. Refused requests and unknown
outcomes say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kvstore.sim.checkers.told import has_changed, revision_told
from kvstore.sim.history import Operation
from kvstore.sim.words import describe


def check_session_order(operations: Sequence[Operation]) -> list[str]:
    """What contradicts the order of a connection; empty if nothing does."""
    of_connections = sorted(
        (one for one in operations if one.connection and revision_told(one)),
        key=lambda one: (one.connection, one.place),
    )
    findings = []
    for _, sent in groupby(of_connections, key=lambda one: one.connection):
        before: Operation | None = None
        for one in sent:
            if before is not None and _goes_back(before, one):
                findings.append(
                    "a connection goes back, from one request to a later one\n"
                    f"  {describe(before)}\n  {describe(one)}"
                )
            before = one
    return findings


def _goes_back(before: Operation, after: Operation) -> bool:
    lowest = revision_told(before) + has_changed(after)
    return revision_told(after) < lowest
