"""Scenarios as text: what is read is what was written, and anything else is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kvstore.cli.main import main
from kvstore.raft.types import LogStart
from kvstore.sim import recorded
from kvstore.sim.recorded import Recorded
from kvstore.sim.run import run
from kvstore.sim.scenario import scenario


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_is_what_was_written(seed: int) -> None:
    kept = Recorded("a bug", scenario(seed))
    assert recorded.read(recorded.write(kept).encode()) == kept


def test_each_fault_is_a_line() -> None:
    plan = scenario(1)
    lines = recorded.write(Recorded("a bug", plan)).splitlines()
    assert sum(line.startswith('    {"number":') for line in lines) == len(plan.faults)


def test_a_saved_plan_is_the_same_run(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    seed = ["simulate", "--seed", "5", "--faults", "0,2", "--lines", "1"]
    assert main([*seed, "--save", str(file)]) == 0
    kept = recorded.read(file.read_bytes())
    assert [fault.number for fault in kept.scenario.faults] == [0, 2]
    assert kept.about == "every promise held"
    assert main(["simulate", "--plan", str(file), "--lines", "1"]) == 0
    again = recorded.read(file.read_bytes()).scenario
    assert run(kept.scenario, traced=True).digest == run(again, traced=True).digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"about": "x"}', "missing required field"),
        ('{"seed": 1}', "missing required field `about`"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recorded.read(text.encode())


def test_a_fault_that_is_no_more_is_refused() -> None:
    """A plan that silently loses a fault pins nothing."""
    text = recorded.write(Recorded("a bug", scenario(1)))
    kind = scenario(1).faults[0].kind
    with pytest.raises(ValueError, match="no fault of kind 'plague'"):
        recorded.read(text.replace(f'"{kind}"', '"plague"').encode())


def test_a_plan_without_members_is_refused() -> None:
    text = recorded.write(Recorded("a bug", scenario(1)))
    members = ", ".join(map(str, scenario(1).members))
    with pytest.raises(ValueError, match="no members"):
        recorded.read(text.replace(f"[{members}]", "[]").encode())


@pytest.mark.parametrize(("index", "term"), [(3, 0), (0, 1), (-1, 1), (1 << 62, 1)])
def test_a_plan_whose_logs_begin_nowhere_is_refused(index: int, term: int) -> None:
    plan = msgspec.structs.replace(scenario(1), start=LogStart(index, term))
    text = recorded.write(Recorded("a bug", plan))
    with pytest.raises(ValueError, match=f"no log begins after entry {index} of term {term}"):
        recorded.read(text.encode())
