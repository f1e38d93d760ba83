"""The contract of a log store, over memory and over LMDB."""

from __future__ import annotations

import pytest
from founding import founders

from kvstore.errors import DamagedError
from kvstore.raft.configurations import configuration_data
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, Recovered, TermRange
from storage.samples import IDENTITY, LogInMemory, LogOnDisk, command, commands

ALL = 1 << 30


@pytest.fixture(params=[LogInMemory, LogOnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    yield store
    store.log.close()


def test_a_new_log_is_empty_and_belongs_to_its_maker(store):
    assert store.log.recover() == Recovered(HardState(0, None), (), 0)
    assert store.log.identity == IDENTITY


def test_entries_come_back_after_a_restart(store):
    entries = [*commands(1, 4, 1), *commands(4, 9, 3)]
    store.log.write(DurableUpdate(HardState(3, 2), None, entries))
    log = store.restart()
    ranges = (TermRange(1, 1), TermRange(4, 3))
    assert log.recover() == Recovered(HardState(3, 2), ranges, 8)
    assert log.entries(1, 9, ALL) == entries


def test_hard_state_alone_is_written(store):
    store.log.write(DurableUpdate(HardState(7, None)))
    assert store.restart().recover().hard_state == HardState(7, None)


def test_an_update_without_hard_state_keeps_the_old_one(store):
    store.log.write(DurableUpdate(HardState(7, 3)))
    store.log.write(DurableUpdate(entries=commands(1, 3, 7)))
    assert store.restart().recover().hard_state == HardState(7, 3)


def test_truncation_removes_the_tail(store):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 10, 1)))
    store.log.write(DurableUpdate(truncate_from=4))
    log = store.restart()
    assert log.recover().last_index == 3
    assert log.entries(1, 4, ALL) == commands(1, 4, 1)


def test_the_whole_log_can_be_truncated(store):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 10, 1)))
    store.log.write(DurableUpdate(truncate_from=1))
    log = store.restart()
    assert log.recover() == Recovered(HardState(1, 1), (), 0)


def test_truncation_and_append_are_one_step(store):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 10, 1)))
    store.log.write(DurableUpdate(HardState(2, None), 4, commands(4, 6, 2)))
    log = store.restart()
    ranges = (TermRange(1, 1), TermRange(4, 2))
    assert log.recover() == Recovered(HardState(2, None), ranges, 5)
    assert log.entries(1, 6, ALL) == [*commands(1, 4, 1), *commands(4, 6, 2)]


def test_a_term_whose_entries_were_truncated_begins_anew_with_the_next_ones(store):
    store.log.write(DurableUpdate(HardState(2, 1), None, [*commands(1, 4, 1), *commands(4, 6, 2)]))
    store.log.write(DurableUpdate(truncate_from=3, entries=commands(3, 5, 2)))
    log = store.restart()
    assert log.recover() == Recovered(HardState(2, 1), (TermRange(1, 1), TermRange(3, 2)), 4)
    assert log.entries(1, 5, ALL) == [*commands(1, 3, 1), *commands(3, 5, 2)]


@pytest.mark.parametrize(
    "misfit",
    [
        DurableUpdate(entries=commands(5, 6, 1)),
        DurableUpdate(entries=commands(3, 5, 1)),
        DurableUpdate(entries=[command(4, 1), command(6, 1)]),
        DurableUpdate(truncate_from=4),
        DurableUpdate(truncate_from=0),
        DurableUpdate(HardState(9, 9), 2, commands(4, 6, 1)),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(store, misfit):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 4, 1)))
    with pytest.raises(ValueError, match=r"follow|truncate"):
        store.log.write(misfit)
    assert store.log.recover() == Recovered(HardState(1, 1), (TermRange(1, 1),), 3)
    store.log.write(DurableUpdate(entries=commands(4, 5, 1)))
    assert store.restart().entries(1, 5, ALL) == commands(1, 5, 1)


def test_an_entry_that_cannot_be_encoded_changes_nothing(store):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 4, 1)))
    with pytest.raises(Exception, match=r"format|bytes|range|int"):
        store.log.write(DurableUpdate(HardState(9, 9), 2, [command(2, 1 << 64)]))
    assert store.restart().recover() == Recovered(HardState(1, 1), (TermRange(1, 1),), 3)


def test_an_empty_update_is_allowed(store):
    store.log.write(DurableUpdate())
    assert store.restart().recover() == Recovered(HardState(0, None), (), 0)


def test_entries_are_cut_after_the_bytes_asked_for(store):
    entries = [command(index, 1, b"x" * 100) for index in range(1, 11)]
    store.log.write(DurableUpdate(HardState(1, 1), None, entries))
    assert store.log.entries(2, 9, 350) == entries[1:4]
    assert store.log.entries(2, 9, 300) == entries[1:4]
    assert store.log.entries(2, 9, 299) == entries[1:3]


def test_a_single_entry_over_the_limit_is_given_all_the_same(store):
    entries = [command(index, 1, b"x" * 100) for index in range(1, 4)]
    store.log.write(DurableUpdate(HardState(1, 1), None, entries))
    assert store.log.entries(2, 4, 0) == entries[1:2]


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 2), (3, 2), (1, 5), (4, 5)])
def test_entries_outside_the_log_are_a_mistake_of_the_caller(store, start, stop):
    store.log.write(DurableUpdate(HardState(1, 1), None, commands(1, 4, 1)))
    with pytest.raises(ValueError, match="no entries"):
        store.log.entries(start, stop, ALL)


def test_configurations_that_can_be_read_are_found_at_start(store):
    """Who counts rests on them: they must last as the log does."""
    entry = Entry(2, 1, EntryKind.CONFIGURE, configuration_data(founders((1, 2))))
    store.log.write(DurableUpdate(HardState(1, 1), None, [command(1, 1), entry]))
    assert store.restart().recover().configurations == (entry,)


def test_large_and_empty_entries_come_back(store):
    entries = [command(1, 1, b"x" * (1 << 20)), command(2, 1)]
    store.log.write(DurableUpdate(HardState(1, 1), None, entries))
    assert store.restart().entries(1, 3, ALL) == entries


@pytest.mark.parametrize(
    ("entries", "term", "message"),
    [
        ([command(1, 2), command(2, 1)], 2, "goes back"),
        ([command(1, 0)], 2, "goes back"),
        ([command(1, 3)], 2, "hard state"),
    ],
)
def test_a_log_whose_terms_cannot_be_is_damaged(store, entries, term, message):
    store.log.write(DurableUpdate(HardState(term, 1), None, entries))
    with pytest.raises(DamagedError, match=message):
        store.restart().recover()
