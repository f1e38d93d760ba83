"""tools/join.py: each limit can be broken."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
MB = 10**6


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("join")


def judged(
    join: ModuleType,
    seconds: float = 50.0,
    elections: int = 0,
    share: float = 0.9,
    growth: int = 0,
) -> list[str]:
    """What is broken where the writers kept that share of their rate while a node joined."""
    before = join.Span(20.0, 200_000, 70 * MB)
    joining = join.Span(seconds, round(10_000 * share * seconds), 70 * MB + growth)
    return [one.what for one in join.verdicts(before, joining, elections) if not one.holds]


def test_a_run_within_all_limits_passes(join: ModuleType) -> None:
    assert judged(join, 89.9, 0, 0.61, 63 * MB) == []


@pytest.mark.parametrize(
    ("what", "run"),
    [
        ("a new node votes after", {"seconds": 90.0}),
        ("elections meanwhile", {"elections": 1}),
        ("rate of the writers meanwhile", {"share": 0.59}),
        ("the leader's private memory grows by", {"growth": 64 * MB}),
    ],
)
def test_a_run_beyond_a_limit_fails(join: ModuleType, what: str, run: dict[str, float]) -> None:
    assert judged(join, **run) == [what]
