"""Random sequences, played to a real etcd and to the model."""

from __future__ import annotations

import pytest

from .comparing import Players, story
from .corners import CORNERS
from .drawing import sequence
from .gateway import Gateway
from .steps import Put, Sequence
from .voices import beside_etcd

SEQUENCES = 200
AT_ONCE = 20
IN_BOTH = 20

processes = pytest.mark.process


@processes
def test_two_etcds_answer_alike_whatever_each_was_asked_before(
    etcd: Gateway, second_etcd: Gateway
) -> None:
    for n in range(10):
        second_etcd.ask(Put(b"%d" % n))
    players = {"etcd": etcd, "the other etcd": second_etcd}
    for seed in range(IN_BOTH):
        expect_alike(players, sequence(seed), f"seed {seed}")


@processes
@pytest.mark.parametrize("first", range(0, SEQUENCES, AT_ONCE))
def test_the_model_answers_as_etcd_does(first: int, etcd: Gateway) -> None:
    for seed in range(first, first + AT_ONCE):
        expect_alike(beside_etcd(etcd), sequence(seed), f"seed {seed}")


@processes
@pytest.mark.parametrize("corner", CORNERS)
def test_the_model_answers_as_etcd_does_in_corners(corner: str, etcd: Gateway) -> None:
    expect_alike(beside_etcd(etcd), CORNERS[corner], corner)


def expect_alike(players: Players, steps: Sequence, of: str) -> None:
    told = story(players, steps, of)
    if told is not None:
        pytest.fail(told, pytrace=False)
