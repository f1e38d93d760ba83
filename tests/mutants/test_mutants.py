"""Every named wrong version of the product is noticed, and the right one is not."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from .mutant import Kill, Mutant, hunt
from .table import MUTANTS

pytestmark = [pytest.mark.mutant, pytest.mark.timeout(300)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_version_is_noticed(
    mutant: Mutant, hunts: dict[Mutant, Future[Kill | None]]
) -> None:
    assert hunts[mutant].result() is not None, f"nothing notices: {mutant.name}"


def test_the_right_version_is_not_noticed(tmp_path: Path) -> None:
    """A hunt that kills everything proves nothing."""
    unchanged = Mutant(
        "nothing changed", "kvstore/sim/__init__.py", "A deterministic", "A deterministic"
    )
    assert hunt(unchanged, tmp_path) is None
