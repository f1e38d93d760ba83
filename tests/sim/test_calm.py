"""Who waits for a cluster to get well sees that it is, whatever it is doing."""

from __future__ import annotations

import msgspec

from kvstore.sim import calm
from kvstore.sim.world import World

from .worlds import in_fair_weather

_HEARTBEAT_MS = 100
_LOOKS = 100
_APART_MS = 37.0
"""So that looks begin at every moment of a heartbeat, and of the time between comparisons."""


def test_a_cluster_that_is_well_is_found_well_soon_at_any_moment() -> None:
    """Also one with a new entry every few heartbeats, which followers apply one heartbeat later."""
    plan = in_fair_weather(1, 3, (), clients=1, calls=1, storm_ms=1_000.0)
    often = 2 * _HEARTBEAT_MS
    world = World(msgspec.structs.replace(plan, check_every_ms=often, drift=0.0, idle_turns=0.0))
    world.begin()
    calm.end_all_faults(world)
    calm.recover(world)
    schedule, reached = world.schedule, world.observer.reached
    compared = reached["states compared"]
    for _ in range(_LOOKS):
        schedule.run_until(schedule.now_ms + _APART_MS)
        began_ms = schedule.now_ms
        calm.recover(world)
        assert schedule.now_ms - began_ms <= 3 * _HEARTBEAT_MS
    assert reached["states compared"] > compared + 10
