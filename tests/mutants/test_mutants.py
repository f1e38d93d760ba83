"""Every named wrong version of the product is noticed, and the right one is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .mutant import Mutant, hunt
from .table import MUTANTS

pytestmark = [pytest.mark.mutant, pytest.mark.timeout(300)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_version_is_noticed(
    mutant: Mutant, original: Path, record_property: Callable[[str, object], None]
) -> None:
    kill = hunt(mutant, original)
    end = "SURVIVES" if kill is None else f"{kill.seconds:5.1f} s  {kill.by}"
    record_property("mutant", (mutant.name, end))
    assert kill is not None, f"nothing notices: {mutant.name}"


@pytest.mark.parametrize("test", [None, "tests/raft/test_terms.py"])
def test_the_right_version_is_not_noticed(test: str | None, original: Path) -> None:
    """A hunt that kills everything proves nothing; that more seeds hold is for `make simulate`."""
    unchanged = Mutant("nothing changed", "Raft.propose", "assert", "assert", test)
    assert hunt(unchanged, original, seeds=3) is None
