"""Backups of simulated nodes: each is the state as of its index, byte for byte."""

from __future__ import annotations

import random
from functools import cache

import msgspec
import pytest

from kvstore.sim import faults
from kvstore.sim.backup_clients import BackupClient
from kvstore.sim.checkers.backed_up import check_backups
from kvstore.sim.run import go_through
from kvstore.sim.world import World

from .worlds import in_fair_weather

STORM_MS = 4_000.0


@cache
def lived() -> World:
    """One in which nodes are cut off, end, and lose their directories while backups are taken."""
    storm = faults.plan(random.Random(5), STORM_MS, ("isolation", "crash", "lost directory"))
    plan = in_fair_weather(5, 3, storm, clients=3, calls=60, storm_ms=STORM_MS)
    world = World(msgspec.structs.replace(plan, backup_clients=2, session_clients=1))
    go_through(world)
    return world


def taken() -> list[bytes]:
    clients = [client for client in lived().clients if isinstance(client, BackupClient)]
    return [backup for client in clients for backup in client.backups]


def judged(*backups: bytes, cluster_id: str = "simulated") -> list[str]:
    world = lived()
    entries, rules = world.installed.entries, world.plan.session_rules
    return check_backups(backups, cluster_id, world.began_with, world.founders, entries, rules)


def test_all_backups_that_were_taken_are_what_the_log_leaves() -> None:
    assert len(taken()) > 20
    assert judged(*taken()) == []


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_a_backup_that_is_not_whole_is_found(where: float) -> None:
    backup = taken()[-1]
    at = int(where * len(backup))
    flipped = backup[:at] + bytes([backup[at] ^ 1]) + backup[at + 1 :]
    assert len(judged(flipped)) == len(judged(backup[:at])) == 1


def test_a_backup_of_something_else_is_found() -> None:
    assert len(judged(taken()[-1], cluster_id="another")) == 1
