"""Makes a failing scenario small: which of its faults does the failure need?

Law: a smaller scenario counts only if it breaks the same promise.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kvstore.sim.faults import Fault
from kvstore.sim.run import Report
from kvstore.sim.scenario import Scenario


def shrink(
    failing: Report,
    run: Callable[[Scenario], Report],
    must_end: Callable[[], bool] = lambda: False,
) -> Scenario:
    """Leave out faults, many at first and then one by one, as long as it fails alike.

    Ends with what it has once `must_end` says so.
    """
    plan = failing.scenario
    size = max(1, len(plan.faults) // 2)
    start = 0
    while not must_end():
        if start >= len(plan.faults):
            if size == 1:
                break
            size, start = size // 2, 0
            continue
        fewer = _without(plan, start, size)
        if run(fewer).theorem == failing.theorem:
            plan = fewer
        else:
            start += size
    return plan


def _without(plan: Scenario, start: int, count: int) -> Scenario:
    kept: tuple[Fault, ...] = plan.faults[:start] + plan.faults[start + count :]
    return msgspec.structs.replace(plan, faults=kept)
