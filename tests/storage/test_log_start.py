"""A log that begins after any entry, over memory and over LMDB."""

from __future__ import annotations

import pytest

from kvstore.errors import DamagedError
from kvstore.raft.types import DurableUpdate, HardState, LogStart, Recovered, TermRange
from kvstore.storage.outline import Outline
from storage.samples import LogInMemory, LogOnDisk, commands, remove_record

ALL = 1 << 30
STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 3)]


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start.index + 1}")
def start(request):
    return request.param


@pytest.fixture(params=[LogInMemory, LogOnDisk])
def store(request, start, tmp_path):
    store = request.param(tmp_path, HardState(start.term), start)
    yield store
    store.log.close()


def test_a_new_log_ends_where_it_begins(store, start):
    found = Recovered(HardState(start.term), (), start.index, start=start)
    assert store.log.recover() == found
    assert store.restart().recover() == found


def test_entries_follow_the_start(store, start):
    first = start.index + 1
    entries = [*commands(first, first + 3, 3), *commands(first + 3, first + 5, 4)]
    store.log.write(DurableUpdate(HardState(4, 1), None, entries))
    log = store.restart()
    ranges = (TermRange(first, 3), TermRange(first + 3, 4))
    assert log.recover() == Recovered(HardState(4, 1), ranges, first + 4, start=start)
    assert log.entries(first, first + 5, ALL) == entries
    assert log.entries(first + 1, first + 2, ALL) == entries[1:2]
    for wrong in (start.index, first + 5):
        with pytest.raises(ValueError, match="no entries"):
            log.entries(wrong, wrong + 1, ALL)


def test_an_entry_elsewhere_does_not_fit(store, start):
    stray = commands(start.index + 2, start.index + 3, 4)
    with pytest.raises(ValueError, match="does not follow"):
        store.log.write(DurableUpdate(HardState(4, 1), None, stray))


def test_all_can_be_truncated_up_to_the_start_and_nothing_of_what_is_before(store, start):
    first = start.index + 1
    store.log.write(DurableUpdate(HardState(4, 1), None, commands(first, first + 4, 4)))
    with pytest.raises(ValueError, match="truncate"):
        store.log.write(DurableUpdate(truncate_from=start.index))
    store.log.write(DurableUpdate(truncate_from=first, entries=commands(first, first + 1, 3)))
    log = store.restart()
    found = Recovered(HardState(4, 1), (TermRange(first, 3),), first, start=start)
    assert log.recover() == found
    log.write(DurableUpdate(truncate_from=first))
    assert store.restart().recover().last_index == start.index


def test_what_is_damaged_lies_behind_the_start_and_is_repaired_there(start, tmp_path):
    store = LogOnDisk(tmp_path, HardState(start.term), start)
    first = start.index + 1
    entries = commands(first, first + 6, 4)
    store.log.write(DurableUpdate(HardState(4, 1), None, entries))
    for lost in (first, first + 3):
        remove_record(store.log, lost)
    log = store.restart()
    assert log.recover().damaged == (first, first + 3)
    log.write(DurableUpdate(repairs=[entries[0], entries[3]]))
    log = store.restart()
    assert log.recover().damaged == ()
    assert log.entries(first, first + 6, ALL) == entries
    log.close()


# --- The outline -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outline",
    [
        Outline(5, (TermRange(5, 2),), LogStart(3, 1)),
        Outline(5, (TermRange(4, 1),), LogStart(3, 2)),
        Outline(2, (), LogStart(3, 1)),
        Outline(4, (), LogStart(3, 1)),
        Outline(3, (), LogStart(3, 0)),
        Outline(3, (), LogStart(3, 6)),
        Outline(0, (), LogStart(0, 1)),
    ],
    ids=["a gap", "a term back", "an end before it", "no terms", "no term", "of later", "of none"],
)
def test_an_outline_that_does_not_follow_its_start_is_damaged(outline):
    with pytest.raises(DamagedError):
        outline.check(outline.extent, HardState(5))
