"""What an inspection sees in one directory, whatever state its node is in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.errors import DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, TermRange
from kvstore.storage import records
from kvstore.storage.inspect import (
    DamagedEntry,
    TermSpan,
    inspect_directories,
    inspect_directory,
    read_entries,
)
from kvstore.storage.lmdb_files import sign_commit
from kvstore.storage.tables import counts_of
from storage.samples import (
    command,
    commands,
    content,
    copy_of,
    counts,
    flip,
    flip_text,
    led,
    make_node,
    open_node,
    remove_record,
)

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from storage.samples import open_node, led, commands
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.kv.view import Applied
node = open_node(Path(sys.argv[1]))
node.log.write(DurableUpdate(HardState(1, 1), None, led(1, 10, 1, 1)))
term, last = 1, 9
while True:
    term += 1
    node.log.write(DurableUpdate(HardState(term, 1), last - 2, led(last - 2, last + 8, term, 1)))
    last += 7
    for number in range(20):
        node.state.put(b"%d" % number, b"x" * (term * number % 3000))
    node.state.commit(Applied(last - 3, term))
    print(term, flush=True)
"""


def three_terms() -> list[Entry]:
    return [*led(1, 5, 1, 2), *led(5, 6, 3, 1), *led(6, 10, 4, 3)]


def test_a_sound_directory_is_reported_without_findings(tmp_path):
    make_node(tmp_path, three_terms(), term=5, applied=7, keys=4)
    report = inspect_directory(tmp_path)
    assert report.findings == ()
    assert report.identity is not None
    assert (report.identity.node_id, report.identity.cluster_id) == (1, "local")
    assert report.hard_state == HardState(5, 1)
    assert report.applied == Applied(7, 7)
    assert (report.last_index, counts_of(report.counts)["keys"]) == (9, 4)
    assert report.terms == (TermSpan(1, 1, 4, 2), TermSpan(3, 5, 5, 1), TermSpan(4, 6, 9, 3))
    assert [report.term_at(index) for index in (1, 4, 5, 9, 10)] == [1, 1, 3, 4, None]
    assert report.server_pid is None
    assert list(read_entries(tmp_path)) == three_terms()


def test_an_inspection_changes_nothing(tmp_path):
    make_node(tmp_path, three_terms(), applied=7, keys=4)
    before = content(tmp_path)
    inspect_directory(tmp_path)
    list(read_entries(tmp_path))
    assert content(tmp_path) == before


def test_a_directory_without_the_engines_lock_files_is_read_and_gets_none(tmp_path):
    copy = copy_of(make_node(tmp_path / "n1", three_terms(), applied=7), tmp_path / "copy")
    assert inspect_directory(copy).findings == ()
    assert list(read_entries(copy)) == three_terms()
    assert sorted(os.listdir(copy / "raft")) == ["data.mdb", "peers"]
    assert sorted(os.listdir(copy)) == ["raft", "state"]


def test_an_empty_log_is_reported(tmp_path):
    make_node(tmp_path, [])
    report = inspect_directory(tmp_path)
    assert (report.last_index, report.terms, report.findings) == (0, (), ())
    assert list(read_entries(tmp_path)) == []


def test_a_long_log_is_listed_whole(tmp_path):
    entries = led(1, 5000, 1, 1)
    make_node(tmp_path, entries)
    assert list(read_entries(tmp_path)) == entries


def test_a_running_server_is_inspected_while_it_writes(tmp_path_factory):
    """On a disk: in memory it writes so fast that its log is full before it was looked at."""
    data_dir = tmp_path_factory.mktemp("running")
    tests = str(Path(__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data_dir), tests], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        seen = []
        try:
            for _ in range(30):
                term = int(writer.stdout.readline())
                report = inspect_directory(data_dir)
                assert report.findings == ()
                assert report.server_pid == writer.pid
                assert report.hard_state is not None
                assert report.hard_state.current_term >= term
                assert report.terms[-1].term == report.hard_state.current_term
                seen.append(report.last_index)
        finally:
            writer.kill()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
    report = inspect_directory(data_dir)
    assert (report.findings, report.server_pid) == ((), None)


def test_a_listing_that_is_not_read_on_holds_nothing_open(tmp_path):
    """Or it would pin the pages of a running server for as long as a pager waits."""
    make_node(tmp_path, led(1, 5000, 1, 1))
    listing = read_entries(tmp_path)
    for _ in range(3000):
        next(listing)
    links = [Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd")]
    files = [os.readlink(link) for link in links if link.is_symlink()]
    assert not [file for file in files if file.startswith(str(tmp_path))]
    assert len(list(listing)) == 4999 - 3000


# --- Damage -------------------------------------------------------------------------------


def test_a_damaged_record_is_named_and_the_scan_goes_on(tmp_path):
    entries = [*led(1, 5, 1, 1), command(5, 1, b"precious"), *commands(6, 9, 1)]
    make_node(tmp_path, entries, applied=8)
    flip_text(tmp_path / "raft" / "data.mdb", b"precious")
    report = inspect_directory(tmp_path)
    assert report.findings == (
        f"{tmp_path}: log record 5: its crc32c does not match",
        f"{tmp_path}: log record 5 is damaged or missing",
    )
    assert (report.last_index, report.unread) == (8, {5})
    listing = list(read_entries(tmp_path))
    assert listing[:4] + listing[5:] == entries[:4] + entries[5:]
    assert isinstance(listing[4], DamagedEntry)


@pytest.mark.parametrize(
    ("missing", "message"),
    [([1], "record 1 is"), ([4], "record 4 is"), ([4, 5, 6], "records 4 to 6 are")],
)
def test_missing_records_are_named_and_the_scan_goes_on(tmp_path, missing, message):
    make_node(tmp_path, led(1, 9, 1, 1), applied=8)
    node = open_node(tmp_path)
    for index in missing:
        remove_record(node.log, index)
    node.close()
    report = inspect_directory(tmp_path)
    assert f"{tmp_path}: log {message} damaged or missing" in report.findings
    assert (report.last_index, report.unread) == (8, set(missing))
    assert len(report.findings) == 1


@pytest.mark.parametrize("kept", [7, 5])
def test_records_lost_from_the_end_are_named(tmp_path, kept):
    make_node(tmp_path, led(1, 9, 1, 1), applied=3)
    node = open_node(tmp_path)
    for index in range(kept + 1, 9):
        remove_record(node.log, index)
    node.close()
    report = inspect_directory(tmp_path)
    assert (report.last_index, report.unread) == (8, set(range(kept + 1, 9)))


def test_an_outline_that_does_not_fit_the_log_is_a_finding(tmp_path):
    make_node(tmp_path, [*led(1, 5, 1, 1), *led(5, 9, 2, 2)], applied=3)
    node = open_node(tmp_path)
    with node.log._env.begin(write=True, db=node.log._terms) as txn:
        txn.delete(records.log_key(5))
        txn.put(*records.encode_term_range(TermRange(6, 2)))
        sign_commit(txn, node.log._env.open_db(None, txn=txn))
    node.close()
    assert inspect_directory(tmp_path).findings == (
        f"{tmp_path}: term 2 begins at 5, on record is 6",
    )


def test_a_lost_end_of_the_log_shows_by_what_was_applied(tmp_path):
    make_node(tmp_path, led(1, 9, 1, 1), applied=8)
    node = open_node(tmp_path)
    node.log.write(DurableUpdate(truncate_from=8))
    node.close()
    assert inspect_directory(tmp_path).findings == (
        f"{tmp_path}: entry 8 was applied, but the log ends at 7",
    )


def test_a_damaged_session_is_named_and_all_are_counted(tmp_path):
    make_node(tmp_path, led(1, 9, 1, 1), applied=7, keys=5)
    node = open_node(tmp_path)
    for number in (7, 300):
        node.state.sessions.put(number.to_bytes(8, "big"), b"session %d" % number)
    node.state.commit(Applied(8, 8))
    node.close()
    assert inspect_directory(tmp_path).findings == ()
    flip_text(tmp_path / "state" / "data.mdb", b"session 300")
    report = inspect_directory(tmp_path)
    assert report.counts == counts(keys=5, sessions=2)
    assert report.findings == (
        f"{tmp_path}: state/: record of session 300: its crc32c does not match",
    )


def test_a_damaged_key_is_named(tmp_path):
    make_node(tmp_path, led(1, 9, 1, 1), applied=8, keys=5)
    flip_text(tmp_path / "state" / "data.mdb", b"record 3")
    assert inspect_directory(tmp_path).findings == (
        f"{tmp_path}: state/: record of key b'key 3': its crc32c does not match",
    )


@pytest.mark.parametrize(
    ("part", "text", "name"),
    [
        ("raft", b"cluster_id", "identity"),
        ("raft", b"current_term", "hard_state"),
        ("state", b"last_applied", "applied"),
    ],
)
def test_a_damaged_named_record_is_a_finding_and_the_rest_is_read(tmp_path, part, text, name):
    make_node(tmp_path, led(1, 9, 1, 1), applied=8, keys=5)
    flip_text(tmp_path / part / "data.mdb", text)
    report = inspect_directory(tmp_path)
    assert f"{tmp_path}: {part}/: record '{name}': its crc32c does not match" in report.findings
    assert (report.last_index, counts_of(report.counts)["keys"]) == (8, 5)


@pytest.mark.parametrize("part", ["raft", "state"])
@pytest.mark.parametrize("kept", [0, 100, 4096, 8192, 12288])
def test_a_truncated_file_is_a_finding_and_never_a_crash(tmp_path, part, kept):
    make_node(tmp_path, led(1, 200, 1, 1), applied=8, keys=500)
    data = tmp_path / part / "data.mdb"
    assert data.stat().st_size > kept
    os.truncate(data, kept)
    report = inspect_directory(tmp_path)
    assert any(str(data) in finding for finding in report.findings)
    assert report.last_index == (0 if part == "raft" else 199)


def test_flipped_bytes_anywhere_never_crash_an_inspection(tmp_path):
    make_node(tmp_path / "n1", led(1, 60, 1, 1), applied=8, keys=60)
    for part in ("raft", "state"):
        data = tmp_path / "n1" / part / "data.mdb"
        sound = data.read_bytes()
        for offset in range(7, len(sound.rstrip(b"\0")), 157):
            flip(data, offset)
            inspect_directory(tmp_path / "n1")
            list(read_entries(tmp_path / "n1"))
            data.write_bytes(sound)
    assert inspect_directory(tmp_path / "n1").findings == ()


def test_a_part_that_is_gone_is_a_finding(tmp_path):
    make_node(tmp_path, led(1, 9, 1, 1), applied=8)
    (tmp_path / "state" / "data.mdb").unlink()
    report = inspect_directory(tmp_path)
    assert len(report.findings) == 1
    assert "state/data.mdb is missing" in report.findings[0]
    assert report.last_index == 8


def test_an_interrupted_creation_is_told_as_such(tmp_path):
    (tmp_path / "raft.new").mkdir()
    (tmp_path / "state").mkdir()
    assert inspect_directory(tmp_path).findings == (
        f"{tmp_path}: its creation was interrupted; no server has run on it yet",
    )


def test_findings_beyond_a_hundred_are_counted(tmp_path):
    entries = [noop for index in range(1, 151) for noop in led(index, index + 1, index, 1)]
    unnamed = [Entry(entry.index, entry.term, EntryKind.COMMAND, b"") for entry in entries]
    make_node(tmp_path, unnamed)
    findings = inspect_directory(tmp_path).findings
    assert len(findings) == 101
    assert findings[-1] == f"{tmp_path}: and 50 more"


# --- Rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "term", "finding"),
    [
        (commands(1, 3, 2), 2, "term 2 begins at 1 without naming its leader"),
        (
            [*led(1, 3, 2, 1), *led(3, 5, 2, 3)],
            2,
            "two leaders in term 2: node 1 and node 3",
        ),
        ([*led(1, 3, 2, 1), *led(3, 5, 1, 3)], 2, "log record 3: its term goes back to 1"),
        (led(1, 3, 2, 1), 1, "the log ends in term 2, but the hard state says term 1"),
        ([Entry(1, 1, EntryKind.NOOP, b"x")], 1, "log record 1: names no leader: b'x'"),
    ],
)
def test_what_raft_rules_out_is_a_finding(tmp_path, entries, term, finding):
    make_node(tmp_path, entries, term=term)
    assert f"{tmp_path}: {finding}" in inspect_directory(tmp_path).findings


def test_only_data_directories_are_inspected_and_each_once(tmp_path):
    make_node(tmp_path / "n1", [])
    with pytest.raises(DirectoryRefusedError, match="no such directory"):
        inspect_directory(tmp_path / "n2")
    with pytest.raises(DirectoryRefusedError, match="not a data directory"):
        inspect_directory(tmp_path)
    with pytest.raises(DirectoryRefusedError, match="given twice"):
        inspect_directories([tmp_path / "n1", tmp_path / "n1" / ".." / "n1"])
