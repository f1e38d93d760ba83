"""Faults that take something from a disk: together, they leave a majority of sound machines."""

from __future__ import annotations

import random

import pytest

from kvstore.sim import faults
from kvstore.sim.run import go_through
from kvstore.sim.world import World

from .worlds import in_fair_weather

STORM_MS = 12_000


@pytest.mark.parametrize("kind", ["damage", "lost directory", "lost term"])
@pytest.mark.parametrize(("members", "seed"), [(3, 1), (3, 2), (5, 1)])
def test_losses_leave_a_majority_of_sound_machines(kind: str, members: int, seed: int) -> None:
    """A world in which nobody can lead any more says nothing of the product."""
    plan = faults.plan(random.Random(seed), STORM_MS, (kind, "old directory"))
    world = World(in_fair_weather(seed, members, plan, clients=2, calls=20, storm_ms=STORM_MS))
    lost_at_once = 0

    def count() -> None:
        nonlocal lost_at_once
        unsound = sum(not host.is_sound for host in world.hosts.values())
        lost_at_once = max(lost_at_once, unsound)

    for at_ms in range(STORM_MS):
        world.schedule.after(at_ms, count)
    go_through(world)
    assert 0 < lost_at_once <= (members - 1) // 2
