"""The simulated disk: what a crash leaves is what a node finds."""

from __future__ import annotations

import random

from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.sim.disk import Disk
from kvstore.storage.base import Identity
from kvstore.storage.records import FORMAT_VERSION

IDENTITY = Identity(FORMAT_VERSION, "simulated", 1, (1,), "0" * 32)


def entries(first: int, last: int, term: int) -> tuple[Entry, ...]:
    return tuple(Entry(index, term, EntryKind.COMMAND, b"x") for index in range(first, last + 1))


def test_what_is_damaged_during_a_write_stays_so_if_the_write_is_lost() -> None:
    """A slow fsync, and entries that are lost before it returns (simulator, seed 5000338)."""
    ends = set()
    for seed in range(20):
        rng = random.Random(seed)
        disk = Disk(IDENTITY, rng, lambda update: None)
        disk.log.write(DurableUpdate(HardState(3), entries=entries(1, 3, term=1)))
        disk.log.synced()
        disk.log.write(DurableUpdate(entries=entries(4, 4, term=3)))
        disk.log.lose_term(rng)
        ends.add(disk.crash())
        assert disk.log.recover().damaged == (1, 2, 3)
        assert disk.log.unreadable == {1, 2, 3}
    assert ends == {True, False}


def test_what_a_lost_write_had_repaired_is_damaged_again() -> None:
    ends = set()
    for seed in range(20):
        rng = random.Random(seed)
        disk = Disk(IDENTITY, rng, lambda update: None)
        disk.log.write(DurableUpdate(HardState(3), entries=entries(1, 3, term=1)))
        disk.log.synced()
        disk.log.lose_term(rng)
        disk.log.write(DurableUpdate(repairs=entries(2, 2, term=1)))
        is_lost = disk.crash()
        ends.add(is_lost)
        assert disk.log.recover().damaged == ((1, 2, 3) if is_lost else (1, 3))
        assert disk.log.unreadable == set(disk.log.recover().damaged)
    assert ends == {True, False}
