"""A seed draws the same faults, on whatever machine, whoever leads."""

from __future__ import annotations

from itertools import islice

import pytest

from .__main__ import drawn
from .nemeses import NEMESES

pytestmark = pytest.mark.chaos

ROUNDS = 3


def names_and_chance(seed: int) -> list[tuple[str, float]]:
    faults = islice(drawn(NEMESES, seed), ROUNDS * len(NEMESES))
    return [(nemesis.__name__, rng.random()) for nemesis, rng in faults]


def test_a_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert names_and_chance(7) == names_and_chance(7)
    assert names_and_chance(7) != names_and_chance(8)


def test_what_a_fault_draws_changes_nothing_of_the_next_ones() -> None:
    calm, thirsty = drawn(NEMESES, 7), drawn(NEMESES, 7)
    for _ in range(ROUNDS):
        (one, rng), (other, other_rng) = next(calm), next(thirsty)
        assert one is other
        assert rng.random() == other_rng.random()
        for _ in range(9):
            other_rng.random()


def test_each_fault_strikes_once_in_a_round() -> None:
    drawn_names = [name for name, _ in names_and_chance(7)]
    for first in range(0, len(drawn_names), len(NEMESES)):
        one_round = drawn_names[first : first + len(NEMESES)]
        assert sorted(one_round) == sorted(nemesis.__name__ for nemesis in NEMESES)
