"""Which versions two programs have in common."""

from __future__ import annotations

import pytest

from kvstore.raft.versions import Versions


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ((2, 2), (2, 2), True),
        ((2, 3), (3, 4), True),
        ((2, 5), (3, 4), True),
        ((2, 4), (2, 3), True),
        ((2, 2), (3, 3), False),
        ((2, 3), (4, 5), False),
        ((1, 1), (3, 9), False),
    ],
)
def test_ranges_meet_where_both_have_a_version(
    one: tuple[int, int], other: tuple[int, int], meet: bool
) -> None:
    assert Versions(*one).meets(Versions(*other)) is meet
    assert Versions(*other).meets(Versions(*one)) is meet
