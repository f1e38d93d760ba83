"""Plans of bugs that were found once: each is fixed where it belongs, and stays fixed.

Law: a file in `plans/` for each bug, named for it; `about` says what went wrong. A plan pins
scenario and faults, not every message: so each is run with several seeds, and a wrong
version in `tests/mutants/` shows that it still catches its bug.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kvstore.sim import recorded
from kvstore.sim.run import run

PLANS = sorted((Path(__file__).parent / "plans").glob("*.json"))
SEEDS = 5


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.stem)
def test_a_bug_that_was_found_once_is_gone(file: Path, seed: int) -> None:
    kept = recorded.read(file.read_bytes())
    report = run(msgspec.structs.replace(kept.scenario, seed=kept.scenario.seed + seed))
    assert report.violation is None, f"{kept.about}: {report.violation}"


def test_there_are_plans() -> None:
    assert PLANS
