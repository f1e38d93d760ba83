"""What the nodes of a cluster of three say of themselves, and what is made of it.

Law: a case says all that its verdict follows from; nodes are as in a sound cluster, but for what
it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from scripted_node import status_of

from kvstore import api
from kvstore.cli.findings import State
from kvstore.cli.overview import Asked, Silence, Why

MIB = 1 << 20
IDS = (1, 2, 3)
DOWN = Silence(Why.DOWN, "connection refused")
FROZEN = Silence(Why.FROZEN, "no reply came in time")


def at(node_id: int) -> str:
    return f"h{node_id}:900{node_id}"


MEMBERS = {node_id: at(node_id) for node_id in IDS}


def node(node_id: int, **changes: Any) -> api.StatusResult:
    """A node of a sound cluster of three that node 1 leads, but for `changes`."""
    others = [other for other in IDS if other != node_id]
    sound: dict[str, Any] = {
        "members": MEMBERS,
        "match_index": dict.fromkeys(IDS, 31) if node_id == 1 else {},
        "links": dict.fromkeys(others, ""),
        "heard_from": tuple(others),
        "incarnation": f"{node_id:032x}",
    }
    return status_of(node_id, **{**sound, **changes})


def without_leader(node_id: int, **changes: Any) -> api.StatusResult:
    lost = {"role": "follower", "leader_id": None, "leader_ms": None, "match_index": {}}
    return node(node_id, **{**lost, **changes})


def ask(*answers: api.StatusResult | Silence, expected: bool = True) -> list[Asked]:
    """Nodes 1, 2 and 3 were asked where they should be."""
    return [
        Asked(at(number), answer, number if expected else None)
        for number, answer in enumerate(answers, start=1)
    ]


def cut_from(*lost: int, why: str = "connection refused") -> Callable[[int], dict[str, Any]]:
    """What a node says of its links when these are gone."""

    def changes(node_id: int) -> dict[str, Any]:
        others = [other for other in IDS if other != node_id]
        return {
            "links": {other: why if other in lost else "" for other in others},
            "heard_from": tuple(other for other in others if other not in lost),
        }

    return changes


class Case(NamedTuple):
    asked: list[Asked]
    state: State
    codes: list[str]
    words: tuple[str, ...] = ()
    """What the advice must say, the first of each kind of it at least."""
    may_fail: int | None = None


no_3 = cut_from(3)
NO_23 = {"links": {2: "gone", 3: "gone"}, "heard_from": ()}
ALONE = {2: {"links": {1: "gone", 3: "gone"}, "heard_from": ()}}
BY_OTHER_NAME = {**MEMBERS, 3: "h9:9003"}
