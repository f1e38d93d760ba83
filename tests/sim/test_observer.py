"""Who looks on sees all that a node did, also in a turn that never ends."""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.sim import calm
from kvstore.sim.calls import Call, Connection
from kvstore.sim.disk import Fate
from kvstore.sim.host import Host
from kvstore.sim.world import World

from .worlds import in_fair_weather

_MOMENT_MS = 0.05
"""The shortest time between two turns."""
_MOMENTS = 100
"""In these a new entry is committed and applied by its leader, before anybody else."""


def about_to_apply() -> tuple[World, Host]:
    """A world whose leader has a new entry as of which states are to be compared."""
    plan = in_fair_weather(1, 3, (), clients=1, calls=1, storm_ms=1_000.0)
    world = World(msgspec.structs.replace(plan, check_every_ms=200, drift=0.0, idle_turns=0.0))
    world.begin()
    calm.end_all_faults(world)
    calm.recover(world)
    (leader,) = (host for host in world.hosts.values() if host.is_leading)
    while leader.running.machine.last_applied == leader.running.raft.log.last_index:
        world.schedule.run_until(world.schedule.now_ms + _MOMENT_MS)
    return world, leader


def test_what_a_node_applied_and_kept_in_a_turn_that_never_ended_was_applied() -> None:
    """What states are compared as of is durable at once, and what is written then may fail."""
    kept = 0
    for moment in range(_MOMENTS):
        world, leader = about_to_apply()
        world.schedule.run_until(world.schedule.now_ms + moment * _MOMENT_MS)
        seen = leader.running.machine.last_applied
        leader.disk.fates.add(Fate.ERROR)
        put, nobody = api.Put(b"k", b"v"), Connection(leader.id)
        leader.take_call(Call(1, put, nobody, world.schedule, 0.0, lambda _call, _result: None))
        while leader.node is not None:
            world.schedule.run_until(world.schedule.now_ms + _MOMENT_MS)
        leader.start()
        kept += leader.running.machine.last_applied > seen
        calm.recover(world)
    assert kept


def test_what_is_on_no_disk_as_a_node_ends_was_not_applied() -> None:
    """It may be half applied: a node ends itself at an entry for which it is too old."""
    world, leader = about_to_apply()
    seen, machine = world.installed.entries.last, leader.running.machine
    machine.advance(machine.last_applied + 1)
    leader.crash("killed as it applies")
    assert world.installed.entries.last == seen
