"""`kvstore inspect`, run as an operator runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from founding import founders
from process.proxy import Reservation
from storage.samples import flip_text, led, make_node, noop, open_node

from kvstore import api
from kvstore.cli import reports
from kvstore.raft.changes import demoted
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.configurations import configuration_data
from kvstore.raft.types import (
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    LogStart,
)

CHECKOUT = Path(__file__).resolve().parents[2]


def inspect(*arguments: object):
    return subprocess.run(
        [sys.executable, "-m", "kvstore", "inspect", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def command(index: int, what: api.Logged) -> Entry:
    return Entry(index, 1, EntryKind.COMMAND, msgspec.msgpack.encode(what))


def sound(path: Path, node_id: int = 1) -> Path:
    return make_node(path, [*led(1, 6, 1, 1), *led(6, 9, 3, 2)], applied=8, node_id=node_id)


def test_a_sound_directory_is_shown_with_its_terms_and_leaders(tmp_path):
    result = inspect(sound(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "node 1 · cluster local · no server seen" in result.stdout
    assert "term     3, voted for node 1" in result.stdout
    assert "log      entries 1 to 8, every checksum good" in result.stdout
    said = "applied  up to 8, revision 8, 0 changes, 0 keys, 0 leases, 0 sessions"
    assert said in result.stdout
    assert "term 1     led by node 1      1 to 5" in result.stdout
    assert "term 3     led by node 2      6 to 8" in result.stdout
    assert result.stdout.endswith("OK  nothing wrong in 1 directory\n")
    assert result.stderr == ""


def test_entries_are_listed_on_request_in_words(tmp_path):
    make_node(
        tmp_path,
        [
            noop(1, 1, 2),
            command(2, api.Put(b"foo", b"bar")),
            command(3, api.Put(b"foo", b"x" * 99, api.When.EQUAL, b"bar")),
            command(4, api.PutMany(((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")))),
            command(5, api.Delete((b"foo", b"\x1b[31m\xff"))),
            command(6, api.Increment(b"counter", -3)),
            Entry(7, 1, EntryKind.COMMAND, b"junk"),
            command(8, api.Stamped(5, api.OpenSession())),
            command(
                9, api.Stamped(6, api.Once(8, 1, api.Delete((b"a",), guard=api.Guard(b"l", 3))))
            ),
            Entry(10, 1, EntryKind.VERSION, b"3"),
        ],
    )
    lines = inspect("--entries", tmp_path).stdout.splitlines()
    listed = [line.split(maxsplit=3) for line in lines if line.lstrip()[:1].isdigit()]
    assert listed == [
        ["1", "1", "noop", "node 2 leads"],
        ["2", "1", "command", 'put "foo" = "bar"'],
        ["3", "1", "command", f'put "foo" = "{"x" * 48}…" (99 bytes) if equal to "bar"'],
        ["4", "1", "command", 'put 4 keys: "a", "b", "c" and 1 more'],
        ["5", "1", "command", r'delete "foo", "\x1b[31m\xff"'],
        ["6", "1", "command", 'increment "counter" by -3'],
        ["7", "1", "command", "4 bytes that are no command of this version"],
        ["8", "1", "command", "open session 8"],
        ["9", "1", "command", 'delete "a" if "l" has revision 3 (request 1 of session 8)'],
        ["10", "1", "version", "the cluster has version 3 of the protocol"],
    ]
    assert not any(line.lstrip()[:1].isdigit() for line in inspect(tmp_path).stdout.splitlines())


def test_where_a_log_begins_is_told_unless_it_is_with_the_first_entry(tmp_path):
    start = LogStart(10, 2)
    make_node(tmp_path / "n1", led(11, 15, 3, 1), applied=12, start=start)
    text = inspect(tmp_path / "n1").stdout
    assert "  log      entries 11 to 14, every checksum good\n" in text
    assert "  begins   after entry 10 of term 2\n" in text
    (told,) = json.loads(inspect("--json", tmp_path / "n1").stdout)["directories"]
    assert told["start"] == {"index": 10, "term": 2}
    assert (told["first_index"], told["last_index"]) == (11, 14)
    make_node(tmp_path / "n2", [], start=start)
    assert "  log      no entries\n  begins   after entry 10" in inspect(tmp_path / "n2").stdout
    assert "  begins" not in inspect(sound(tmp_path / "n3")).stdout


def test_a_long_history_of_terms_is_shortened(tmp_path):
    make_node(tmp_path, [noop(index, index, 1) for index in range(1, 41)])
    output = inspect(tmp_path).stdout
    assert "… 28 more terms …" in output
    assert output.count("led by node 1") == 12
    assert "term 40 " in output


def test_findings_come_last_and_set_the_exit_code(tmp_path):
    path = sound(tmp_path)
    flip_text(path / "raft" / "data.mdb", b"command 4 of term 1")
    result = inspect("--entries", path)
    assert result.returncode == 1
    verdict = result.stdout[result.stdout.index("2 FINDINGS") :].splitlines()
    assert verdict == [
        "2 FINDINGS",
        f"  ✗ {path}: log record 4: its crc32c does not match",
        f"  ✗ {path}: log record 4 is damaged or missing",
    ]
    assert "entries 1 to 8, 1 cannot be read" in result.stdout
    assert "\n  log record 4: its crc32c does not match\n" in result.stdout


def test_a_directory_that_joins_says_how_far_it_is(tmp_path):
    directory = open_node(tmp_path, joins=True)
    learner = configuration_data(demoted(founders((1, 2, 3)), 1))
    entries = [*led(1, 5, 1, 2), Entry(5, 1, EntryKind.CONFIGURE, learner)]
    directory.log.write(DurableUpdate(HardState(1, None, NOT_ADMITTED), None, entries))
    directory.close()
    waiting = inspect("--entries", tmp_path)
    assert waiting.returncode == 0
    assert "  joins    does not vote or count before it is admitted\n" in waiting.stdout
    assert "configure  the cluster has voters 2,3; learners 1\n" in waiting.stdout
    directory = open_node(tmp_path)
    directory.log.write(DurableUpdate(HardState(1, 2, 5)))
    directory.close()
    assert "  joined   admitted by entry 5\n" in inspect(tmp_path).stdout


def test_several_directories_are_held_against_each_other(tmp_path):
    paths = [sound(tmp_path / f"n{node_id}", node_id) for node_id in (1, 2)]
    paths.append(make_node(tmp_path / "n3", [*led(1, 6, 1, 1), *led(6, 7, 3, 3)], node_id=3))
    result = inspect(*paths)
    assert result.returncode == 1
    assert "3 directories compared" in result.stdout
    assert "entry 8, perhaps more; 2 of 3 directories hold everything" in result.stdout
    assert f"note     {paths[2]}: its log parts from {paths[0]} at entry 6" in result.stdout
    assert result.stdout.endswith(
        "1 FINDING\n"
        f"  ✗ two leaders in term 3: node 2 (in {paths[0]}, {paths[1]}), node 3 (in {paths[2]})\n"
    )


def test_json_says_the_same(tmp_path):
    paths = [sound(tmp_path / f"n{node_id}", node_id) for node_id in (1, 2)]
    flip_text(paths[1] / "raft" / "data.mdb", b"command 4 of term 1")
    result = inspect("--json", "--entries", *paths)
    assert result.returncode == 1
    values = json.loads(result.stdout)
    one, two = values["directories"]
    assert one["identity"]["node_id"] == 1
    assert one["hard_state"] == {"current_term": 3, "voted_for": 1, "admitted_at": 0}
    assert one["applied"] == {
        "last_applied": 8,
        "revision": 8,
        "time_ms": 0,
        "cluster_version": 2,
        "past": {
            "floor": 0,
            "bytes": 0,
            "keep_ms": 3_600_000,
            "keep_bytes": 64 << 20,
            "live_bytes": 0,
        },
    }
    assert (one["first_index"], one["last_index"], one["unread"]) == (1, 8, [])
    assert one["terms"][1] == {"term": 3, "first_index": 6, "last_index": 8, "leader": 2}
    assert one["entries"][0] == {"index": 1, "term": 1, "kind": "noop", "what": "node 1 leads"}
    assert two["unread"] == [4]
    assert two["entries"][3] == {"damaged": "log record 4: its crc32c does not match"}
    assert values["comparison"]["committed_index"] == 8
    assert values["findings"] == one["findings"] + two["findings"]
    assert len(values["findings"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'DIR...'"),
        (["nowhere"], "nowhere: no such directory"),
        (["docs"], "docs: not a data directory"),
        (["--wrong", "data"], "No such option"),
    ],
)
def test_a_wrong_call_is_exit_code_2(monkeypatch, arguments, message):
    monkeypatch.chdir(CHECKOUT)
    result = inspect(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_what_cannot_be_printed_is_no_finding(tmp_path):
    path = sound(tmp_path)
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "kvstore", "inspect", str(path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 74
    assert "No space left on device" in result.stderr


def test_a_directory_that_cannot_be_read_is_neither_sound_nor_damaged(tmp_path):
    path = sound(tmp_path)
    data = path / "raft" / "data.mdb"
    data.unlink()
    data.symlink_to(data)
    result = inspect(path)
    assert result.returncode == 3
    assert f"{data} cannot be used: Too many levels of symbolic links" in result.stderr
    assert "FINDING" not in result.stdout


def test_who_finds_damage_names_a_command_that_comes_with_the_package(tmp_path):
    """The tools of a checkout are not in the wheel."""
    path = sound(tmp_path)
    (path / "raft" / "data.mdb").unlink()
    command = [sys.executable, "-m", "kvstore", "serve", "--id", "1", "--cluster", "local"]
    place = Reservation()
    result = subprocess.run(
        [*command, "--bind", f"127.0.0.1:{place.port}", "--data", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    place.release()
    assert result.returncode == 3
    assert "`kvstore inspect DIR` shows what is damaged" in result.stderr
    for module in (CHECKOUT / "kvstore").rglob("*.py"):
        assert "tools/" not in module.read_text(), module


def test_a_transaction_is_one_line_however_much_it_holds():
    put, get = api.Put(b"a", b"v" * 100_000), api.Get((b"a", b"b"))
    txn = api.Txn(
        (api.Compare(b"a", api.CompareTarget.MOD),),
        (put, put, put, put, put),
        (get, api.Txn(()), api.DeleteRange(b"a", b"b", 3)),
    )
    told = reports._what(command(3, txn))
    assert told.startswith('transact, comparisons: 1; then put "a" = "vvv')
    assert 'vvv…" (100000 bytes), 2 more else get "a", "b", transaction, deleterange' in told
    assert len(told) < 500
