"""The order of a turn, whoever drives it."""

from __future__ import annotations

from collections.abc import Set

import pytest

from kvstore import api
from kvstore.errors import DiskWriteError
from kvstore.raft.versions import Versions
from kvstore.server.node import Node, Outcome
from kvstore.server.turn import Turn

from .cluster import Claim, Cluster

PUT = api.Put(b"k", b"v")


class Around:
    """It notes what it is asked, and in which state the node is then."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster = cluster
        self._node = node
        self.now_ms = cluster.now_ms
        self.steps: list[object] = []
        self.claim = Claim()

    def clock_ms(self) -> float:
        self.now_ms += 1.0
        return self.now_ms

    def hear(self) -> None:
        self.steps.append(("hears", self._node.now_ms))
        self._node.submit_command(PUT, self.claim)

    def unreachable(self) -> Set[int]:
        return {1}

    def spoken_versions(self) -> dict[int, Versions]:
        return {}

    def pass_time(self, now_ms: float) -> None:
        self.steps.append(("passes time", now_ms, self._node.reach.leader))

    def crowded(self) -> Set[int]:
        return frozenset()

    def let_out(self, outcome: Outcome) -> None:
        is_durable = self._node.raft.log.last_index == self._cluster.logs[1].outline.last_index
        self.steps.append(("lets out", len(outcome.answers), is_durable))


def turns() -> tuple[Around, Turn, Cluster]:
    cluster = Cluster(size=1)
    node = cluster.elect()
    around = Around(cluster, node)
    return around, Turn(node, around), cluster


def test_a_turn_has_one_order() -> None:
    around, turn, cluster = turns()
    began_ms = cluster.now_ms
    turn.first_half()
    assert around.steps == [
        ("hears", began_ms + 1.0),
        ("passes time", began_ms + 2.0, None),
        ("lets out", 0, False),
    ]
    turn.second_half()
    assert around.steps[3:] == [("lets out", 1, True)]


def test_of_a_turn_whose_disk_failed_nothing_more_leaves() -> None:
    around, turn, cluster = turns()
    cluster.logs[1].fails = True
    with pytest.raises(DiskWriteError):
        turn.first_half()
    assert around.steps[2:] == [("lets out", 0, False)]


def test_the_halves_of_turns_alternate() -> None:
    _around, turn, _cluster = turns()
    with pytest.raises(AssertionError, match="a first half comes before"):
        turn.second_half()
    turn.first_half()
    with pytest.raises(AssertionError, match="the second half comes before"):
        turn.first_half()
    turn.second_half()
    with pytest.raises(AssertionError, match="a first half comes before"):
        turn.second_half()


def test_both_halves_are_one_turn_for_who_waits_for_the_disk() -> None:
    around, turn, _cluster = turns()
    turn.take()
    assert [step[0] for step in around.steps if isinstance(step, tuple)] == [
        *("hears", "passes time", "lets out", "lets out")
    ]
