"""The simulated disk: what a crash leaves is what a node finds, wherever its log begins."""

from __future__ import annotations

import random

import pytest
from founding import founders

from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, LogStart
from kvstore.sim.disk import Disk
from kvstore.storage.base import Identity
from kvstore.storage.records import FORMAT_VERSION

IDENTITY = Identity(FORMAT_VERSION, "simulated", 1, "0" * 32)
STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 1)]
ALL = 1 << 30


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start.index + 1}")
def start(request: pytest.FixtureRequest) -> LogStart:
    one: LogStart = request.param
    return one


def entries(start: LogStart, first: int, last: int, term: int) -> tuple[Entry, ...]:
    """Those that are the first to the last of a log that begins there."""
    numbers = range(start.index + first, start.index + last + 1)
    return tuple(Entry(index, term, EntryKind.COMMAND, b"x") for index in numbers)


def disk_with_three(start: LogStart, rng: random.Random) -> Disk:
    """Three entries of term 1, which are certain."""
    disk = Disk(IDENTITY, rng, lambda update: None, founders((1,)), start)
    disk.log.write(DurableUpdate(HardState(3), entries=entries(start, 1, 3, term=1)))
    disk.log.synced()
    return disk


def indexes(start: LogStart, *places: int) -> tuple[int, ...]:
    return tuple(start.index + place for place in places)


def test_it_begins_with_the_state_that_the_start_left(start: LogStart) -> None:
    disk = Disk(IDENTITY, random.Random(0), lambda update: None, founders((1,)), start)
    assert disk.log.recover().start == start
    assert disk.log.hard_state.current_term == start.term
    assert disk.state.applied().last_applied == start.index
    assert disk.state.count() == 0


def test_what_is_damaged_during_a_write_stays_so_if_the_write_is_lost(start: LogStart) -> None:
    """A slow fsync, and entries that are lost before it returns (simulator, seed 5000338)."""
    ends = set()
    for seed in range(20):
        rng = random.Random(seed)
        disk = disk_with_three(start, rng)
        disk.log.write(DurableUpdate(entries=entries(start, 4, 4, term=3)))
        disk.log.lose_term(rng)
        ends.add(disk.crash())
        assert disk.log.recover().damaged == indexes(start, 1, 2, 3)
        assert disk.log.unreadable == {*indexes(start, 1, 2, 3)}
    assert ends == {True, False}


def test_what_a_lost_write_had_repaired_is_damaged_again(start: LogStart) -> None:
    ends = set()
    for seed in range(20):
        rng = random.Random(seed)
        disk = disk_with_three(start, rng)
        disk.log.lose_term(rng)
        disk.log.write(DurableUpdate(repairs=entries(start, 2, 2, term=1)))
        is_lost = disk.crash()
        ends.add(is_lost)
        assert disk.log.recover().damaged == indexes(start, *((1, 2, 3) if is_lost else (1, 3)))
        assert disk.log.unreadable == set(disk.log.recover().damaged)
    assert ends == {True, False}


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_lost_write_takes_its_truncation_with_it(start: LogStart, cut: int) -> None:
    ends = set()
    for seed in range(20):
        disk = disk_with_three(start, random.Random(seed))
        ours = entries(start, 1, 3, term=1)
        theirs = entries(start, cut, cut + 1, term=2)
        disk.log.write(DurableUpdate(truncate_from=start.index + cut, entries=theirs))
        is_lost = disk.crash()
        ends.add(is_lost)
        left = ours if is_lost else (*ours[: cut - 1], *theirs)
        assert tuple(disk.log.entries(start.index + 1, left[-1].index + 1, ALL)) == left
        assert [*disk.log.terms.numbered()] == [(one.index, one.term) for one in left]
    assert ends == {True, False}


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_a_lost_write_brings_back_what_it_had_dropped(start: LogStart, dropped: int) -> None:
    ends = set()
    for seed in range(20):
        disk = disk_with_three(start, random.Random(seed))
        all_four = entries(start, 1, 4, term=1)
        began = LogStart(start.index + dropped, 1)
        disk.log.write(DurableUpdate(entries=all_four[3:], start=began))
        is_lost = disk.crash()
        ends.add(is_lost)
        left = all_four[:3] if is_lost else all_four[dropped:]
        assert disk.log.recover().start == disk.log.start == (start if is_lost else began)
        assert tuple(disk.log.entries(left[0].index, left[-1].index + 1, ALL)) == left
        assert [*disk.log.terms.numbered()] == [(one.index, one.term) for one in left]
    assert ends == {True, False}


def test_a_lost_write_that_repaired_cut_and_dropped_leaves_all_as_it_was(start: LogStart) -> None:
    ends = set()
    for seed in range(20):
        rng = random.Random(seed)
        disk = disk_with_three(start, rng)
        disk.log.lose_term(rng)
        update = DurableUpdate(
            truncate_from=start.index + 3,
            start=LogStart(start.index + 1, 1),
            repairs=entries(start, 2, 2, term=1),
            entries=entries(start, 3, 4, term=2),
        )
        disk.log.write(update)
        is_lost = disk.crash()
        ends.add(is_lost)
        found = disk.log.recover()
        assert found.last_index == start.index + (3 if is_lost else 4)
        assert found.damaged == (indexes(start, 1, 2, 3) if is_lost else ())
        assert disk.log.unreadable == set(found.damaged)
    assert ends == {True, False}


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_damage_during_a_write_spares_what_that_drops(start: LogStart, dropped: int) -> None:
    """Should the write be lost, it is as it was before (simulator, seed 400)."""
    for seed in range(40):
        rng = random.Random(seed)
        disk = disk_with_three(start, rng)
        disk.log.write(DurableUpdate(start=LogStart(start.index + dropped, 1)))
        if seed % 2:
            disk.log.damage(rng)
        else:
            disk.log.lose_term(rng)
        disk.crash()
        if not disk.log.is_lost:
            assert disk.log.unreadable == set(disk.log.recover().damaged)
            assert min(disk.log.unreadable, default=99 + start.index) > start.index + dropped


def test_damage_strikes_each_entry_and_nothing_else(start: LogStart) -> None:
    struck = set()
    for seed in range(60):
        rng = random.Random(seed)
        disk = disk_with_three(start, rng)
        disk.log.damage(rng)
        if not disk.log.is_lost:
            assert set(disk.log.recover().damaged) == disk.log.unreadable != set()
            struck |= disk.log.unreadable
    assert struck == {*indexes(start, 1, 2, 3)}
