"""Machines that lose their directories, find them again, and start with the old ones."""

from __future__ import annotations

import random

import pytest

from kvstore.sim.faults import Fault
from kvstore.sim.run import Report, run

from .worlds import in_fair_weather


def story(seed: int, members: int = 3) -> Report:
    """One machine gets its old directory back while others have gone on with its new one."""
    fault = Fault(0, 1_500.0, 2_000.0, "old directory", random.Random(seed).getrandbits(32))
    return run(in_fair_weather(seed, members, (fault,), clients=4, calls=200, storm_ms=9_000.0))


@pytest.mark.parametrize("members", [3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_an_old_directory_is_refused_and_nothing_is_lost(seed: int, members: int) -> None:
    """Some of these lose an acknowledged write if the log does not tell who counts."""
    report = story(seed, members)
    assert report.violation is None, report.violation
    assert report.reached["old directory put back"] == 1
    assert report.reached["directory refused"] >= 1
    assert report.reached["admission"] >= 1
