"""Sets of indexes, kept as runs."""

from __future__ import annotations

import random

import pytest

from kvstore.raft.spans import Spans


def test_runs_are_as_long_as_they_can_be() -> None:
    spans = Spans([1, 2, 3, 7, 9, 10])
    assert list(spans.runs(0)) == [(1, 3), (7, 7), (9, 10)]
    assert list(spans.runs(2)) == [(2, 3), (7, 7), (9, 10)]
    assert list(spans.runs(4)) == [(7, 7), (9, 10)]
    assert list(spans.runs(11)) == []
    spans.remove([2, 9])
    assert list(spans.runs(0)) == [(1, 1), (3, 3), (7, 7), (10, 10)]


@pytest.mark.parametrize("seed", range(40))
def test_they_are_what_a_set_is(seed: int) -> None:
    chance = random.Random(seed)
    top = chance.choice([6, 30, 200])
    indexes = {index for index in range(1, top) if chance.random() < 0.7}
    spans = Spans(sorted(indexes))
    for _ in range(20):
        if chance.random() < 0.8:
            first = chance.randrange(top)
            gone = [i for i in range(first, first + 9) if chance.random() < 0.7]
            spans.remove(gone)
            indexes -= set(gone)
        else:
            index = chance.randrange(top // 2, top + 2)
            spans.remove_from(index)
            indexes = {one for one in indexes if one < index}
        assert list(spans) == sorted(indexes)
        assert (len(spans), bool(spans)) == (len(indexes), bool(indexes))
        for index in range(-1, top + 2):
            assert (index in spans) == (index in indexes)
            behind = [one for one in indexes if one >= index]
            assert spans.first_from(index) == min(behind, default=None)
        assert all(
            a[1] + 1 < b[0] for a, b in zip([*spans.runs(0)], [*spans.runs(0)][1:], strict=False)
        )
