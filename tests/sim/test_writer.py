"""A simulated log that is written beside the loop: one update after another, and a crash."""

from __future__ import annotations

import random

from founding import founders

from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.sim.disk import Disk
from kvstore.sim.schedule import Schedule
from kvstore.sim.writer import BesideTheLoop

from .test_disk import IDENTITY


def updates(count: int) -> list[DurableUpdate]:
    """Of one entry each."""
    return [
        DurableUpdate(
            HardState(1), entries=(Entry(number, 1, EntryKind.COMMAND, b"x"),), number=number
        )
        for number in range(1, count + 1)
    ]


def writing(seed: int, count: int) -> tuple[Disk, BesideTheLoop, Schedule, list[int]]:
    """So many updates at once, and the numbers of those that were told to be certain."""
    synced: list[int] = []
    disk = Disk(
        IDENTITY, random.Random(seed), lambda update: synced.append(update.number), founders((1,))
    )
    disk.sync_ms = 10.0
    schedule = Schedule()
    writer = BesideTheLoop(disk.log, schedule.after)
    for update in updates(count):
        writer.submit(update)
    return disk, writer, schedule, synced


def test_updates_become_durable_one_after_the_other() -> None:
    """An fsync takes 5 to 15 ms, and the next begins when it has returned."""
    disk, writer, schedule, synced = writing(0, 3)
    assert (writer.durable_number, disk.log.terms.last) == (0, 0)
    seen = []
    for now_ms in range(1, 60):
        schedule.run_until(now_ms)
        assert disk.log.terms.last == writer.durable_number == len(synced)
        seen.append(writer.durable_number)
    assert sorted(set(seen)) == [0, 1, 2, 3]
    assert 5 <= seen.index(1) < seen.index(2) < seen.index(3)
    assert seen.index(3) >= 14
    assert disk.take_spent_ms() == 0.0, "the node waits for none of them"


def test_a_crash_leaves_what_is_certain_and_perhaps_the_next() -> None:
    """Whatever waits behind it never began."""
    left = set()
    for seed in range(20):
        disk, writer, schedule, _ = writing(seed, 4)
        until_one_is_certain(writer, schedule)
        disk.crash()
        left.add(disk.log.recover().last_index)
    assert left == {1, 2}


def until_one_is_certain(writer: BesideTheLoop, schedule: Schedule) -> None:
    for now_ms in range(1, 30):
        if writer.durable_number:
            return
        schedule.run_until(now_ms)
    raise AssertionError("no fsync returns")
