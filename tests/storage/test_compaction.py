"""A log whose front is dropped, over memory and over LMDB."""

from __future__ import annotations

import random

import pytest

from kvstore.raft.types import (
    COMMAND,
    DurableUpdate,
    Entry,
    HardState,
    LogStart,
    Recovered,
    TermRange,
)
from kvstore.storage import cost, records
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.sizes import RUN_ENTRIES, Sizes
from storage.samples import IDENTITY, LogInMemory, LogOnDisk, command, commands, remove_record

ALL = 1 << 30
ENTRIES = [*commands(1, 4, 1), *commands(4, 9, 3)]


@pytest.fixture(params=[LogInMemory, LogOnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    yield store
    store.log.close()


def record_bytes(entries: list[Entry]) -> int:
    return sum(len(key) + len(value) for key, value in map(records.encode_entry, entries))


def both(store, expected: Recovered) -> None:
    """It is so at once, and after a restart; and what its records take is known alike."""
    for step in ("now", "restarted"):
        log = store.restart() if step == "restarted" else store.log
        assert log.recover() == expected
        first = expected.start.index + 1
        entries = log.entries(first, expected.last_index + 1, ALL) if expected.term_ranges else []
        assert log.sizes.total_bytes == record_bytes(entries)
        assert log.sizes.last_index == expected.last_index


@pytest.mark.parametrize(
    ("start", "ranges"),
    [
        (LogStart(1, 1), (TermRange(2, 1), TermRange(4, 3))),
        (LogStart(3, 1), (TermRange(4, 3),)),
        (LogStart(4, 3), (TermRange(5, 3),)),
        (LogStart(7, 3), (TermRange(8, 3),)),
        (LogStart(8, 3), ()),
    ],
)
def test_what_is_at_and_before_the_start_is_dropped_and_nothing_else(store, start, ranges):
    store.log.write(DurableUpdate(start=start))
    both(store, Recovered(HardState(3, 2), ranges, 8, start=start))
    if ranges:
        assert store.log.entries(start.index + 1, 9, ALL) == ENTRIES[start.index :]
    with pytest.raises(ValueError, match="no entries"):
        store.log.entries(start.index, 9, ALL)


def test_what_is_dropped_entries_and_a_vote_are_one_step(store):
    more = commands(9, 12, 4)
    store.log.write(DurableUpdate(HardState(4, 1), None, more, start=LogStart(5, 3)))
    ranges = (TermRange(6, 3), TermRange(9, 4))
    both(store, Recovered(HardState(4, 1), ranges, 11, start=LogStart(5, 3)))
    assert store.log.entries(6, 12, ALL) == [*ENTRIES[5:], *more]


def test_a_truncation_comes_before_what_is_dropped(store):
    more = commands(7, 9, 4)
    store.log.write(DurableUpdate(HardState(4, 1), 7, more, start=LogStart(6, 3)))
    both(store, Recovered(HardState(4, 1), (TermRange(7, 4),), 8, start=LogStart(6, 3)))


def test_a_log_that_is_emptied_may_begin_anywhere_behind(store):
    """Raft §7: so does one that follows a snapshot."""
    start = LogStart(100, 5)
    update = DurableUpdate(HardState(6, 1), 1, commands(101, 103, 6), start=start)
    store.log.write(update)
    both(store, Recovered(HardState(6, 1), (TermRange(101, 6),), 102, start=start))


@pytest.mark.parametrize(
    "misfit",
    [
        DurableUpdate(start=LogStart(4, 1)),
        DurableUpdate(start=LogStart(9, 3)),
        DurableUpdate(start=LogStart(0, 0)),
        DurableUpdate(None, 5, start=LogStart(5, 3)),
        DurableUpdate(None, 1, start=LogStart(20, 3), entries=commands(1, 2, 3)),
        DurableUpdate(start=LogStart(5, 3), repairs=[ENTRIES[4]]),
    ],
    ids=["another term", "behind the end", "of none", "truncated", "a gap", "a repair of it"],
)
def test_a_start_that_the_log_does_not_hold_is_a_mistake_of_the_caller(store, misfit):
    with pytest.raises(ValueError, match=r"begin after|follow|repaired"):
        store.log.write(misfit)
    ranges = (TermRange(1, 1), TermRange(4, 3))
    both(store, Recovered(HardState(3, 2), ranges, 8))


def test_the_start_never_goes_back(store):
    store.log.write(DurableUpdate(start=LogStart(8, 3)))
    with pytest.raises(ValueError, match="begin after"):
        store.log.write(DurableUpdate(start=LogStart(7, 3)))


def test_damage_at_and_before_the_start_goes_with_it(tmp_path):
    store = LogOnDisk(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    for lost in (2, 5, 6, 8):
        remove_record(store.log, lost)
    assert store.restart().recover().damaged == (2, 5, 6, 8)
    store.log.write(DurableUpdate(start=LogStart(5, 3)))
    log = store.restart()
    assert log.recover().damaged == (6, 8)
    assert log.sizes.total_bytes == record_bytes([ENTRIES[6]])
    log.write(DurableUpdate(start=LogStart(6, 3), repairs=[ENTRIES[7]]))
    both(store, Recovered(HardState(3, 2), (TermRange(7, 3),), 8, start=LogStart(6, 3)))
    store.log.close()


def stored(log: LmdbLog) -> list[int]:
    """The indexes of all records, those that are no part of the log any more too."""
    with log._env.begin() as txn:
        return [records.log_index(key) for key, _ in txn.cursor(log._log)]


@pytest.mark.parametrize("kept", [0, 3])
@pytest.mark.parametrize(("count", "size", "writes"), [(9_000, 10, 3), (12, 512 << 10, 2)])
def test_what_lies_before_the_start_goes_a_little_with_each_write(
    tmp_path, count, size, writes, kept
):
    """A snapshot may end a log of any length, and no write takes that long (decision 21)."""
    entries = [Entry(index, 1, COMMAND, bytes(size)) for index in range(1, count + 1)]
    store = LogOnDisk(tmp_path, HardState(1), map_bytes=32 << 20)
    store.log.write(DurableUpdate(None, None, entries))
    start = LogStart(count - kept, 1) if kept else LogStart(count + 50, 2)
    held = entries[start.index :]
    truncate_from = None if kept else 1
    update = DurableUpdate(HardState(2), truncate_from, start=start)
    left = count
    for _ in range(writes):
        assert stored(store.log)[0] <= start.index
        store.log.write(update)
        log = store.restart()
        assert log.start == start
        assert log.recover().damaged == ()
        assert log.sizes.total_bytes == record_bytes(held)
        before, left = left, len(stored(log))
        assert before - left <= 4_096
        added = Entry(log.last_index + 1, 2, COMMAND, b"")
        update = DurableUpdate(entries=[added])
        held.append(added)
    assert stored(log) == [entry.index for entry in held[:-1]]
    log.close()


def test_what_lies_before_the_start_stays_where_only_votes_have_room(tmp_path, monkeypatch):
    store = LogOnDisk(tmp_path)
    store.log.write(DurableUpdate(HardState(3, 2), None, ENTRIES))
    monkeypatch.setattr(store.log._file, "room_bytes", lambda: store.log.truncation_bytes)
    store.log.write(DurableUpdate(start=LogStart(5, 3)))
    assert stored(store.log) == [*range(1, 9)]
    monkeypatch.undo()
    store.log.write(DurableUpdate(HardState(4)))
    assert stored(store.log) == [6, 7, 8]
    store.log.close()


# --- What the records take -----------------------------------------------------------------------


def test_what_records_take_is_known_by_runs_whatever_happens(tmp_path):
    """An account is checked against what it counts, after each step of a random story."""
    rng = random.Random(15)
    store = LogOnDisk(tmp_path, HardState(1))
    held: list[Entry] = []
    start = 0
    for _ in range(120):
        update = DurableUpdate()
        if held and rng.random() < 0.2:
            cut = rng.randrange(len(held))
            update = DurableUpdate(truncate_from=held[cut].index)
            held = held[:cut]
        elif held and rng.random() < 0.4:
            cut = rng.randrange(1, len(held) + 1)
            start = held[cut - 1].index
            update = DurableUpdate(start=LogStart(start, 1))
            held = held[cut:]
        else:
            last = held[-1].index if held else start
            count = rng.choice((1, 30, 700))
            more = [command(last + i, 1, bytes(rng.choice((9, 999)))) for i in range(1, count + 1)]
            update = DurableUpdate(entries=more)
            held += more
        store.log.write(update)
        if rng.random() < 0.3:
            store.restart()
        sizes = store.log.sizes
        assert sizes.total_bytes == record_bytes(held)
        first = start + 1
        for kept in (0, sizes.total_bytes // 2, sizes.total_bytes):
            end = sizes.droppable(1 << 40, kept, 3)
            if end is not None:
                assert kept <= record_bytes([one for one in held if one.index > end])
                assert first <= end < first + 3 * RUN_ENTRIES
    store.log.close()


def test_the_front_may_go_by_whole_runs_and_what_is_kept_stays():
    sizes = Sizes(10, run_bytes=100)
    sizes.append([60] * 10)
    assert sizes.total_bytes == 600
    assert sizes.droppable(99, 600, 99) is None
    assert sizes.droppable(99, 481, 99) is None
    assert sizes.droppable(99, 480, 99) == 12
    assert sizes.droppable(99, 0, 99) == 20
    assert sizes.droppable(99, 0, 2) == 14
    assert sizes.droppable(15, 0, 99) == 14
    assert sizes.droppable(11, 0, 99) is None
    assert Sizes(10).droppable(99, 0, 99) is None


def test_what_is_kept_in_memory_of_a_log_follows_its_runs_and_not_what_was_dropped():
    sizes = Sizes(0)
    for turn in range(2_000):
        sizes.append([100] * 100)
        if turn >= 100 and (end := sizes.droppable(1 << 40, 1 << 20, 4)):
            sizes.drop(end, lambda first, stop: 0)
    assert sizes.last_index == 200_000
    assert (1 << 20) <= sizes.total_bytes <= (1 << 20) + 200 * 100
    assert len(sizes._firsts) <= 12_000 // RUN_ENTRIES


# --- Room ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_bytes", [20, 256, 3_000, 70_000])
def test_a_file_from_whose_front_is_dropped_what_is_appended_stays_as_it_is(tmp_path, data_bytes):
    """Pages that are given up serve again."""
    LmdbLog.create(tmp_path / "raft", 1 << 30, IDENTITY, HardState(1))
    log = LmdbLog(tmp_path / "raft", 1 << 30)
    kept = 1 << 20
    used: list[int] = []
    index = 0
    count = max(1, min(200, (256 << 10) // data_bytes))
    for _ in range(12):
        for _ in range(0, kept, count * (data_bytes + 21)):
            entries = [command(index + i, 1, bytes(data_bytes)) for i in range(1, count + 1)]
            index += count
            end = log.sizes.droppable(index, kept, 16)
            log.write(DurableUpdate(entries=entries, start=end and LogStart(end, 1)))
        used.append(log._env.info()["last_pgno"] + 1)
    assert log.start.index > index * 3 // 4
    assert log.recover().last_index == index
    assert used[-1] <= used[3] + 4
    assert used[-1] * cost.PAGE_BYTES < 3 * kept
    log.close()
