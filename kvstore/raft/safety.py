"""What a node does when safety is already lost somewhere: it stops.

Law: `require` guards, in production too, what no fault may bring about. Then stopping is
the only honest answer.
"""

from __future__ import annotations


class SafetyViolationError(Exception):
    """A promise of Raft is broken; this node must stop and be looked at."""


def require(condition: bool, broken_promise: str) -> None:
    """Stop the node if a promise does not hold."""
    if not condition:
        raise SafetyViolationError(f"{broken_promise}: this node stops; compare the nodes' logs")
