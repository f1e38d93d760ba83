"""This store answers as the model does, which answers as etcd does."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from process.cluster import Cluster, running
from process.resp import dial

from .corners import CORNERS
from .differences import DIFFERENCES, Difference
from .drawing import sequence
from .ours import Machine, Node
from .steps import Watch
from .test_like_etcd import AT_ONCE, SEQUENCES, expect_alike
from .voices import as_far_as_it_is_there, beside_the_model

AT_A_NODE = 30


@pytest.mark.parametrize("first", range(0, SEQUENCES, AT_ONCE))
def test_the_machine_answers_as_the_model_does(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        expect_alike(beside_the_model(), as_far_as_it_is_there(sequence(seed)), f"seed {seed}")


@pytest.mark.parametrize("corner", CORNERS)
def test_the_machine_answers_as_the_model_does_in_corners(corner: str) -> None:
    expect_alike(beside_the_model(), as_far_as_it_is_there(CORNERS[corner]), corner)


@pytest.mark.parametrize("told", DIFFERENCES, ids=str)
def test_the_machine_answers_as_the_model_does_where_etcd_differs(told: Difference) -> None:
    expect_alike(beside_the_model(), as_far_as_it_is_there(told.steps), told.reason)


@pytest.mark.process
def test_a_node_answers_as_its_machine_does(tmp_path: Path) -> None:
    with running(Cluster(tmp_path, size=1)) as cluster:
        cluster.wait_for_leader()
        with contextlib.closing(dial(cluster.nodes[1].port)) as connection:
            players = {"the machine": Machine(), "a node": Node(connection)}
            for seed in range(AT_A_NODE):
                steps = tuple(
                    s for s in as_far_as_it_is_there(sequence(seed)) if not isinstance(s, Watch)
                )
                expect_alike(players, steps, f"seed {seed}")
