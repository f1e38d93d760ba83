"""Directories whose logs begin after any entry: one by one, and held against each other."""

from __future__ import annotations

import shutil

import pytest

from kvstore.raft.types import LogStart
from kvstore.storage import records
from kvstore.storage.compare import Comparison, compare
from kvstore.storage.inspect import TermSpan, inspect_directories, inspect_directory, read_entries
from kvstore.storage.lmdb_files import sign_commit
from storage.samples import (
    begin_after,
    command,
    commands,
    led,
    make_node,
    open_node,
)

STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 3)]
TEN = LogStart(10, 2)


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start.index + 1}")
def start(request):
    return request.param


def five(start):
    """The entries that follow it, of the term after."""
    return led(start.index + 1, start.index + 6, start.term + 1, 2)


def spoil(path, *changes):
    """Put (database, key, value) where no release would; the record is gone if that is None."""
    directory = open_node(path)
    env = directory.log._env
    with env.begin(write=True) as txn:
        for name, key, value in changes:
            db = name and env.open_db(name, txn=txn)
            if value is None:
                assert txn.delete(key, db=db)
            else:
                txn.put(key, value, db=db)
        sign_commit(txn)
    directory.close()


def other_extent(last_index, terms, start):
    extent = records.Extent(last_index, terms, start)
    return None, records.EXTENT, records.encode_named(records.EXTENT, extent)


NO_EXTENT = (None, records.EXTENT, b"junk")


# --- One directory -----------------------------------------------------------------------------


def test_a_sound_directory_is_reported_from_its_first_entry_on(tmp_path, start):
    first, term = start.index + 1, start.term + 1
    make_node(tmp_path, five(start), applied=first + 2, start=start)
    report = inspect_directory(tmp_path)
    assert report.findings == ()
    assert report.start == start
    assert (report.first_index, report.last_index, len(report.checksums)) == (first, first + 4, 5)
    assert report.terms == (TermSpan(term, first, first + 4, 2),)
    assert [report.term_at(first - 1 + i) for i in (0, 1, 5, 6)] == [start.term, term, term, None]
    assert report.checksums_of(first + 1, first + 2) == report.checksums[1:3]
    assert list(read_entries(tmp_path)) == five(start)


def test_a_log_without_entries_ends_where_it_begins(tmp_path, start):
    make_node(tmp_path, [], start=start)
    report = inspect_directory(tmp_path)
    assert (report.last_index, report.terms, report.findings) == (start.index, (), ())


@pytest.mark.parametrize("lost", [0, 2, 4])
def test_what_is_missing_is_named_wherever_the_log_begins(tmp_path, start, lost):
    make_node(tmp_path, five(start), start=start)
    index = start.index + 1 + lost
    spoil(tmp_path, (records.LOG, records.log_key(index), None))
    report = inspect_directory(tmp_path)
    assert report.findings == (f"{tmp_path}: log record {index} is damaged or missing",)
    assert report.unread == {index}
    assert report.last_index == start.index + 5


def test_the_term_of_the_start_was_opened_before_the_log(tmp_path):
    make_node(tmp_path / "n1", commands(11, 13, 2), start=TEN)
    assert inspect_directory(tmp_path / "n1").findings == ()
    make_node(tmp_path / "n2", commands(11, 13, 3), start=TEN)
    (finding,) = inspect_directory(tmp_path / "n2").findings
    assert finding.endswith("term 3 begins at 11 without naming its leader")


def test_a_first_entry_of_an_earlier_term_than_the_start_is_a_finding(tmp_path):
    make_node(tmp_path, led(11, 13, 3, 1), start=TEN)
    spoil(tmp_path, other_extent(12, 1, LogStart(10, 4)))
    findings = inspect_directory(tmp_path).findings
    assert f"{tmp_path}: log record 11: its term goes back to 3" in findings


def test_a_record_at_or_before_the_start_is_no_part_of_the_log(tmp_path):
    """It is on its way out, and goes with one of the next writes."""
    make_node(tmp_path, led(11, 13, 3, 1), start=TEN)
    spoil(tmp_path, (records.LOG, *records.encode_entry(command(10, 2))))
    report = inspect_directory(tmp_path)
    assert report.findings == ()
    assert (report.first_index, report.last_index) == (11, 12)
    assert [entry.index for entry in read_entries(tmp_path)] == [11, 12]


@pytest.mark.parametrize("index", [-1, (1 << 64) - 1])
def test_a_start_that_cannot_be_hides_no_record(tmp_path, index):
    make_node(tmp_path, led(11, 13, 3, 1), start=TEN)
    spoil(tmp_path, other_extent(12, 1, LogStart(index, 2)))
    assert inspect_directory(tmp_path).findings
    assert [entry.index for entry in read_entries(tmp_path)] == [11, 12]


def test_where_the_start_cannot_be_read_the_log_begins_with_its_first_term(tmp_path, start):
    make_node(tmp_path, five(start), start=start)
    spoil(tmp_path, (records.LOG, records.log_key(start.index + 1), None), NO_EXTENT)
    report = inspect_directory(tmp_path)
    assert len(report.findings) == 2
    assert report.unread == {start.index + 1}
    assert (report.first_index, report.last_index) == (start.index + 1, start.index + 5)


def test_where_no_term_can_be_read_either_it_begins_with_its_first_record(tmp_path, start):
    """Else up to a billion entries would be called missing, one by one."""
    make_node(tmp_path, five(start), start=start)
    spoil(tmp_path, (records.TERMS, records.log_key(start.index + 1), None), NO_EXTENT)
    report = inspect_directory(tmp_path)
    assert len(report.findings) == 1
    assert report.unread == frozenset()
    assert (report.first_index, report.last_index) == (start.index + 1, start.index + 5)


@pytest.mark.parametrize("wrong", [LogStart(10, 0), LogStart(0, 1), LogStart(-1, 1)])
def test_a_start_that_cannot_be_is_a_finding(tmp_path, wrong):
    make_node(tmp_path, [], start=TEN)
    spoil(tmp_path, other_extent(wrong.index, 0, wrong))
    finding = f"{tmp_path}: the log begins after entry {wrong.index} of term {wrong.term}"
    assert finding in inspect_directory(tmp_path).findings


def test_a_state_that_ends_before_the_log_begins_is_a_finding(tmp_path):
    """Nothing in the directory tells what is between; the other nodes do."""
    begin_after(TEN, tmp_path, applied=9)
    (finding,) = inspect_directory(tmp_path).findings
    assert "the log begins after entry 10, but only up to 9 was applied" in finding


# --- Several directories -----------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Makes one directory for each (start, entries, applied), named n1, n2, ..."""
    monkeypatch.chdir(tmp_path)

    def make(*nodes):
        paths = []
        for node_id, (start, entries, applied) in enumerate(nodes, 1):
            path = tmp_path / f"n{node_id}"
            make_node(path, entries, applied=applied, node_id=node_id, start=start)
            paths.append(path.relative_to(tmp_path))
        return compare(inspect_directories(paths))

    return make


ALL = led(1, 15, 2, 1)
"""The whole log, of which others have the end."""


def after(index):
    """A log that begins later, and its entries."""
    return LogStart(index, 2), ALL[index:]


def test_equal_logs_are_equal_wherever_they_begin(cluster, start):
    last, node = start.index + 5, (start, five(start))
    assert cluster((*node, last), (*node, last), (*node, last - 2)) == Comparison(last, 3, (), ())


def test_logs_that_begin_at_different_entries_are_compared_where_both_are(cluster):
    whole = (LogStart(), ALL)
    assert cluster((*whole, 14), (*after(4), 14), (*after(9), 12)) == Comparison(14, 3, (), ())


@pytest.mark.parametrize("parts_at", [5, 9, 14])
def test_different_entries_are_found_behind_both_starts(cluster, parts_at):
    other = [*ALL[: parts_at - 1], command(parts_at, 2, b"other"), *ALL[parts_at:]]
    findings = cluster((*after(4), 14), (LogStart(3, 2), other[3:], 14)).findings
    assert [finding.partition(":")[0] for finding in findings] == [
        f"n1 and n2 both applied entry {parts_at}, but hold different ones"
    ]


def test_an_entry_of_another_term_than_the_start_is_a_finding(cluster):
    """The log that begins after it has it applied."""
    other = [*ALL[:9], *led(10, 15, 3, 1)]
    assert cluster((*after(10), 10), (LogStart(), other, 10)).findings == (
        "n1 and n2 both applied entry 10, but hold different ones: term 2, before its log and"
        f" term 3, crc32c {records.entry_checksum(records.encode_entry(other[9])[1]):08x}",
    )


def test_a_log_that_ends_before_another_begins_is_behind(cluster):
    result = cluster((*after(10), 14), (*after(10), 14), (LogStart(), ALL[:6], 6))
    assert result.findings == ()
    assert (result.committed_index, result.holders) == (14, 2)
    assert result.notes == ("n3: behind; its log ends at 6, 14 is committed",)


def test_what_is_before_a_log_is_committed_whatever_became_of_the_state(tmp_path):
    one = make_node(tmp_path / "n1", ALL, applied=3, node_id=1)
    two = make_node(tmp_path / "n2", after(10)[1], node_id=2, start=after(10)[0])
    shutil.rmtree(two / "state")
    result = compare(inspect_directories([one, two]))
    assert (result.committed_index, result.holders) == (10, 2)
