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
def test_an_old_directory_is_refused_and_nothing_is_lost(members: int) -> None:
    """Some of these lose an acknowledged write if the log does not tell who counts.

    Where the new directory was never admitted before the old one came back, that one goes on.
    """
    reports = [story(seed, members) for seed in range(5)]
    assert [report.violation for report in reports] == [None] * len(reports)
    assert all(report.reached["old directory put back"] == 1 for report in reports)
    assert all(report.reached.get("admission", 0) >= 1 for report in reports)
    assert sum("directory refused" in report.reached for report in reports) >= 2
