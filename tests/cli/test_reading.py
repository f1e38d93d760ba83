"""`kvstore get`, `scan`, `delete` and `status`: what they print."""

from __future__ import annotations

import json
import os
import pty
import threading

import pytest
from scripted_node import (
    INVALID,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    status_of,
)

from kvstore import api
from kvstore.cli import render
from kvstore.cli.advice import judge
from kvstore.cli.overview import Asked, Silence, Why

from .shell import MISSING, PATIENT, Run, found, record, spawn, status

# --- get, delete, scan --------------------------------------------------------------------


def test_get_prints_the_bytes_and_nothing_else(run: Run) -> None:
    value = b"\x00\xffbar\r\n\n"
    with ScriptedNode(found(b"foo", value)) as node:
        assert run("get", "foo", "--to", node.address) == (0, value, "")


def test_get_ends_the_line_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with ScriptedNode(found(b"foo", b"bar")) as node:
        process = spawn(["get", "foo", "--to", node.address], stdout=theirs)
        _, err = process.communicate(timeout=30)
    os.close(theirs)
    assert (process.returncode, err) == (0, b"")
    assert os.read(ours, 100) == b"bar\r\n"
    os.close(ours)


def test_get_of_an_absent_key_is_exit_code_1(run: Run) -> None:
    with ScriptedNode(MISSING) as node:
        assert run("get", "a\nb", "--to", node.address) == (1, b"", "not found: a\\nb\n")


def test_get_as_json_has_text_or_base64(run: Run) -> None:
    with ScriptedNode(found(b"foo", "é".encode()), found(b"\xff", b"\xfe")) as node:
        text = run("get", "foo", "--json", "--to", node.address)
        assert json.loads(text.out) == {
            "found": True,
            "key": "foo",
            "value": "é",
            "create_revision": 1,
            "mod_revision": 2,
            "version": 3,
            "lease": 0,
        }
        binary = json.loads(run("get", "foo", "--json", "--to", node.address).out)
        assert (binary["key_base64"], binary["value_base64"]) == ("/w==", "/g==")
        assert "value" not in binary


def test_get_stale_says_readonly_first(run: Run) -> None:
    with ScriptedNode(b"+OK\r\n", found(b"foo", b"bar")) as node:
        assert run("get", "foo", "--stale", "--to", node.address).out == b"bar"
        assert node.requests == [[b"READONLY"], api.Get((b"foo",))]


def test_delete_counts_and_is_exit_code_1_if_nothing_existed(run: Run) -> None:
    script = [api.DeleteResult(5, 1), api.DeleteResult(5, 0), api.DeleteResult(5, 1)]
    with ScriptedNode(*script) as node:
        to = ["--to", node.address]
        assert run("delete", "a", "b", *to) == (0, b"deleted 1 of 2 (revision 5)\n", "")
        assert run("delete", "a", "b", *to) == (1, b"", "not found: a b\n")
        assert json.loads(run("delete", "a", "--json", *to).out) == {"deleted": 1, "revision": 5}
        assert node.requests[0] == api.Delete((b"a", b"b"))


def test_scan_prints_one_escaped_line_a_key(run: Run) -> None:
    records = (record(b"a", "é 1".encode()), record(b"b\t\xff", b"x\ny\\z\x00\x1b\xc2\x85"))
    with ScriptedNode(api.ScanResult(1, records, None)) as node:
        ran = run("scan", "p", "--to", node.address)
        assert ran.out.decode() == (
            "a\té 1\n" + r"b\t\xff" + "\t" + r"x\ny\\z\x00\x1b\xc2\x85" + "\n"
        )
        assert node.requests == [api.Scan(prefix=b"p")]


def test_scan_stops_at_the_limit_and_leaves_values_away(run: Run) -> None:
    records = (record(b"a", b""), record(b"b", b""), record(b"c", b""))
    page = api.ScanResult(1, records[:2], b"c")
    with ScriptedNode(page, page) as node:
        to = ["--keys-only", "--limit", "2", "--to", node.address]
        assert run("scan", *to).out == b"a\nb\n"
        lines = run("scan", "--json", *to).out.splitlines()
        assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
        assert "value" not in json.loads(lines[0])
        assert node.requests == [api.Scan(limit=2, with_values=False)] * 2


def test_scan_goes_the_other_way_in_reverse(run: Run) -> None:
    with ScriptedNode(api.ScanResult(1, (record(b"b", b""), record(b"a", b"")), None)) as node:
        assert run("scan", "p", "--reverse", "--keys-only", "--to", node.address).out == b"b\na\n"
        assert node.requests == [api.Scan(None, b"p", 100, with_values=False, reverse=True)]


def test_shown_bytes_can_be_told_apart() -> None:
    samples = [b"\\n", b"\n", b"\\x00", b"\x00", b"\xc3", "Ã".encode(), b"\\", b"\\\\"]
    assert len({render.shown(sample) for sample in samples}) == len(samples)


# --- status -------------------------------------------------------------------------------


def test_status_shows_every_node_and_those_that_are_unreachable(run: Run) -> None:
    with ScriptedNode() as a, ScriptedNode() as b, ClosedPort() as dead:
        members = {1: a.address, 2: b.address, 3: dead.address}
        a.extend(status_of(1, members=members))
        b.extend(status_of(2, members=members))
        ran = run("status", *PATIENT, "--to", f"{a.address},{dead.address},{b.address}")
    lines = ran.out.decode().splitlines()
    assert (ran.code, ran.err) == (1, "")
    assert lines[0] == (
        "cluster kvstore-1a2b3c4d: node 1 leads term 7 for 3 min 12 s; "
        "commit 30, revision 12, 5 keys"
    )
    assert lines[1] == (
        "kvstore 0.1.0 (format 4, protocol 2); the cluster has version 2 of the protocol"
    )
    heading = "NODE ADDRESS ROLE TERM LEADER LOG KEPT MATCH LAG APPLIED FSYNC ROOM DAMAGED"
    assert lines[2].split() == heading.split()
    row = f"1 {a.address} leader 7 1 31 2 KiB from 1 31 0 29 0.3/1.9 ms 53 GiB -"
    assert lines[3].split() == row.split()
    assert lines[4] == f"-     {dead.address}  down: connection refused"
    row = f"2 {b.address} follower 7 1 31 2 KiB from 1 28 3 29 0.3/1.9 ms 53 GiB -"
    assert lines[5].split() == row.split()
    assert lines[3][lines[2].index("TERM")] == "7"
    assert lines[3].startswith("1     ")
    assert max(map(len, lines[:4])) < 120
    what = f"node 3 at {dead.address} is down (connection refused)"
    assert (
        f"warning: {what}: start it, or wait if it is starting; its log says why it ended"
        in lines[6:]
    )


def test_an_unreachable_node_with_a_long_name_keeps_the_columns_straight() -> None:
    long_name = "a-rather-long-host-name.example:9001"
    asked = [Asked("h:1", status(1, "leader")), Asked(long_name, Silence(Why.DOWN, "why"))]
    _, _, heading, first, second, *_ = render.status_table(asked, judge(asked)).splitlines()
    assert first[heading.index("TERM")] == "7"
    assert second == f"-     {long_name}  down: why"
    assert second.index("down") == heading.index("ROLE")
    assert heading.index("TERM") == heading.index("ROLE") + len("leader  ")


def test_status_shows_what_a_node_lacks() -> None:
    """A node that does not vote yet, whose disk lost entries, and that nobody leads."""
    lacking = status_of(
        2,
        is_voter=False,
        leader_id=None,
        leader_ms=None,
        damaged_entries=3,
        sync_last_ms=None,
        sync_p99_ms=None,
    )
    asked = [Asked("h:1", lacking)]
    lines = render.status_table(asked, judge(asked)).splitlines()
    assert lines[0] == "cluster kvstore-1a2b3c4d: no leader answers"
    assert lines[2].split() == [
        "2",
        "h:1",
        "learner",
        "7",
        "-",
        "31",
        *("2", "KiB", "from", "1"),
        "-",
        "-",
        "29",
        "-",
        "53",
        "GiB",
        "3",
    ]


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.0, "0.0 s"),
        (59_940.0, "59.9 s"),
        (60_000.0, "1 min 0 s"),
        (3_600_000.0, "1 h 0 min"),
        (90_000_000.0, "1 d 1 h"),
    ],
)
def test_times_are_told_in_two_units(ms: float, shown: str) -> None:
    assert render.duration(ms) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_are_told_in_the_largest_unit(count: int, shown: str) -> None:
    assert render.size(count) == shown


def test_status_asks_the_nodes_side_by_side(run: Run) -> None:
    both_asked = threading.Barrier(2, timeout=5)

    def meet() -> Misbehave:
        both_asked.wait()
        return Misbehave.HANG_UP

    with ScriptedNode(meet) as a, ScriptedNode(meet) as b:
        ran = run("status", "--to", f"{a.address},{b.address}", "--timeout-ms", "20000")
    assert both_asked.broken is False
    assert ran.code == 5
    assert ran.out.count(b"down: the connection was closed before the reply") == 2


def test_status_as_json_is_one_object(run: Run) -> None:
    with ScriptedNode(status(1, "leader")) as a, ScriptedNode(INVALID) as b:
        ran = run("status", "--json", *PATIENT, "--to", f"{a.address},{b.address}")
    verdict = json.loads(ran.out)
    first, second = verdict["nodes"]
    assert (first["reachable"], first["role"], first["address"]) == (True, "leader", a.address)
    assert (second["reachable"], second["why"]) == (False, "not a kvstore node")
    assert (verdict["state"], verdict["may_fail"]) == ("degraded", 0)
    (one,) = verdict["advice"]
    assert (one["severity"], one["code"]) == ("warning", "node_silent")
    assert b.address in one["text"]
    assert ran.code == 1


def test_get_from_any_asks_the_first_node_and_says_so(run: Run) -> None:
    with ScriptedNode(found(b"foo", b"bar")) as node:
        assert run("get", "foo", "--from-any", "--to", node.address).out == b"bar"
        assert [call.from_any for call in node.calls] == [True]


def test_other_reads_are_for_the_leader(run: Run) -> None:
    with ScriptedNode(found(b"foo", b"bar")) as node:
        assert run("get", "foo", "--to", node.address).out == b"bar"
        assert [call.from_any for call in node.calls] == [False]
