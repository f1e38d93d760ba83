"""Waiting for something that steps of the test bring about, and never for ever.

Law: a test that waits says for what, and fails with these words when it has waited long
enough. Who waits for other processes polls by the clock (`eventually` in `process/cluster.py`);
who makes things happen itself counts its steps, which are the same on every machine.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable

STEPS_MAX = 2_000
_EVENTS_S = 0.05


def until(
    happened: Callable[[], object],
    step: Callable[[], object],
    what: str,
    steps_max: int = STEPS_MAX,
) -> int:
    """Take steps until it has happened; how many that took."""
    for taken in range(steps_max):
        if happened():
            return taken
        step()
    raise AssertionError(f"not within {steps_max} steps: {what}")


def until_events(selector: selectors.BaseSelector, happened: Callable[[], object]) -> None:
    """Let the objects of a selector handle what comes, until it has happened."""

    def step() -> None:
        for key, mask in selector.select(_EVENTS_S):
            key.data.on_events(mask)

    until(happened, step, "something on a socket", steps_max=400)
