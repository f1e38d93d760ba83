"""The log as the core sees it: terms by range, a cached tail, a past on the disk."""

from __future__ import annotations

from kvstore.raft.log import _CACHED_ENTRIES_MAX, RaftLog
from kvstore.raft.types import EntryKind, RaftSettings, TermRange

from .disk import Disk, entries_of_terms
from .harness import UNBOUNDED, bench
from .messages import append

ENTRY_BYTES = 3
"""What `entries_of_terms` gives an entry with a one-digit index and term."""


def cached_log(count: int, cached_bytes_max: int) -> tuple[RaftLog, Disk]:
    """A log whose entries are all durable, and all still in memory."""
    disk = Disk()
    log = RaftLog(disk, disk.recovered(), cached_bytes_max)
    log.append(entries_of_terms([1] * count))
    update = log.submit(None, 0.0)
    disk.write(update)
    log.mark_durable(update.number)
    return log, disk


def reads_of(log: RaftLog, disk: Disk, start: int) -> int:
    """How often the disk is asked for everything from `start` on."""
    before, index = disk.reads, start
    while index <= log.last_index:
        index += len(log.slice(index, log.last_index + 1, UNBOUNDED))
    return disk.reads - before


def test_recent_entries_are_read_from_memory() -> None:
    log, disk = cached_log(8, cached_bytes_max=8 * ENTRY_BYTES)
    log.shrink_cache(9)
    assert reads_of(log, disk, 1) == 0


def test_a_full_cache_forgets_its_older_half() -> None:
    log, disk = cached_log(8, cached_bytes_max=8 * ENTRY_BYTES - 1)
    log.shrink_cache(9)
    assert reads_of(log, disk, 1) == 1
    assert reads_of(log, disk, 4) == 1
    assert reads_of(log, disk, 5) == 0
    assert log.slice(1, 9, UNBOUNDED) == list(entries_of_terms([1] * 4))


def test_a_cache_of_many_small_entries_is_full_by_their_number() -> None:
    """Each takes more memory than its bytes."""
    log, _disk = cached_log(_CACHED_ENTRIES_MAX, cached_bytes_max=UNBOUNDED)
    log.shrink_cache(log.last_index + 1)
    assert log.is_in_memory(1)
    log, _disk = cached_log(_CACHED_ENTRIES_MAX + 1, cached_bytes_max=UNBOUNDED)
    log.shrink_cache(log.last_index + 1)
    assert not log.is_in_memory(_CACHED_ENTRIES_MAX // 2)
    assert log.is_in_memory(_CACHED_ENTRIES_MAX // 2 + 1)


def test_a_cache_below_its_limit_forgets_nothing_more() -> None:
    log, disk = cached_log(8, cached_bytes_max=5 * ENTRY_BYTES)
    log.shrink_cache(9)
    log.shrink_cache(9)
    assert reads_of(log, disk, 5) == 0


def test_the_cache_keeps_what_is_still_to_be_applied() -> None:
    log, disk = cached_log(8, cached_bytes_max=1)
    log.shrink_cache(3)
    assert reads_of(log, disk, 2) == 1
    assert reads_of(log, disk, 3) == 0
    log.shrink_cache(3)
    assert reads_of(log, disk, 3) == 0


def test_the_cache_keeps_what_is_not_durable() -> None:
    disk = Disk()
    log = RaftLog(disk, disk.recovered(), 1)
    log.append(entries_of_terms([1] * 8))
    log.shrink_cache(9)
    assert log.submit(None, 0.0).entries == list(entries_of_terms([1] * 8))


def test_a_truncated_entry_gives_its_bytes_back_to_the_cache() -> None:
    log, disk = cached_log(8, cached_bytes_max=4 * ENTRY_BYTES)
    log.truncate(5)
    log.shrink_cache(5)
    assert reads_of(log, disk, 1) == 0


def test_applying_reads_no_disk_even_with_the_smallest_cache() -> None:
    world = bench([], 1, settings=RaftSettings(cached_bytes_max=1))
    world.hand(append(2, 1, terms=[1] * 8, commit=8))
    assert len(world.nodes[1].applied) == 8
    assert world.disk().reads == 0


def test_a_truncation_keeps_the_terms_before_it() -> None:
    """Also of a term that has a single entry, right before the cut."""
    log, _ = cached_log(2, UNBOUNDED)
    log.append(entries_of_terms([2, 3, 3], first=3))
    log.truncate(4)
    assert log.term_ranges == (TermRange(1, 1), TermRange(3, 2))
    assert (log.last_index, log.last_term, log.last_term_start) == (3, 2, 3)
    log.truncate(1)
    assert log.term_ranges == ()
    assert (log.last_index, log.last_term, log.last_term_start) == (0, 0, 0)


def test_a_slice_is_cut_by_bytes_but_never_empty() -> None:
    log, _ = cached_log(8, UNBOUNDED)
    assert [one.index for one in log.slice(2, 9, 2 * ENTRY_BYTES)] == [2, 3]
    assert [one.index for one in log.slice(2, 9, 2 * ENTRY_BYTES - 1)] == [2]
    assert [one.index for one in log.slice(2, 9, 0)] == [2]
    assert [one.index for one in log.slice(2, 4, UNBOUNDED)] == [2, 3]


def test_the_entries_of_the_last_term_are_those_in_memory_from_an_index_on() -> None:
    disk = Disk(log=entries_of_terms([1, 1]))
    log = RaftLog(disk, disk.recovered(), cached_bytes_max=6)
    log.append(entries_of_terms([1, 1], 3))
    for _ in range(3):
        log.add(2, EntryKind.COMMAND, b"xxx")
    for index in range(9):
        expected = [*range(max(index, 5), 8)]
        assert [entry.index for entry in log.last_term_from(index)] == expected
    update = log.submit(None, 0.0)
    disk.write(update)
    log.mark_durable(update.number)
    for _ in range(3):
        log.shrink_cache(7)
    first = next(index for index in range(8) if log.is_in_memory(index))
    assert first > 5
    for index in range(9):
        expected = [*range(max(index, first), 8)]
        assert [entry.index for entry in log.last_term_from(index)] == expected
