"""With `--json` each outcome is one object on standard output, and nothing else is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_node import (
    BUSY,
    INVALID,
    NO_LEADER,
    UNKNOWN,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    not_leader,
)

from kvstore import api
from kvstore.cli import main as cli
from kvstore.cli.member import member
from kvstore.cli.outcomes import are_json

from .shell import MISSING, Run, found, record, spawn

DEADLINE_S = 60.0


def the_object(run: Run, *words: str, stdin: bytes = b"") -> tuple[int, dict[str, Any]]:
    """What one command line comes to: its exit code, and all that it says."""
    ran = run(*words, stdin=stdin)
    assert ran.err == "", words
    [line] = ran.out.splitlines()
    value = json.loads(line)
    assert isinstance(value, dict)
    return ran.code, value


def the_error(run: Run, *words: str, stdin: bytes = b"") -> tuple[int, dict[str, Any]]:
    code, value = the_object(run, *words, stdin=stdin)
    assert value.keys() == {"error"}
    error = value["error"]
    assert list(error)[:3] == ["code", "message", "retryable"]
    assert isinstance(error["message"], str)
    return code, error


# --- Results ------------------------------------------------------------------------------


def test_a_key_that_is_there_and_one_that_is_not_have_one_shape(run: Run) -> None:
    with ScriptedNode(found(b"foo", b"bar"), MISSING, MISSING) as node:
        to = ("--json", "--to", node.address)
        assert the_object(run, "get", "foo", *to) == (
            0,
            {
                "found": True,
                "key": "foo",
                "value": "bar",
                "create_revision": 1,
                "mod_revision": 2,
                "version": 3,
                "lease": 0,
            },
        )
        missing = {"found": False, "key": "foo", "mod_revision": 0}
        assert the_object(run, "get", "foo", *to) == (1, missing)
        missing = {"found": False, "key_base64": "/w==", "mod_revision": 0}
        assert the_object(run, "get", "\udcff", *to) == (1, missing)


@pytest.mark.parametrize(
    ("line", "answer", "code", "value"),
    [
        ("put k v", api.PutResult(4, True), 0, {"written": True, "revision": 4}),
        ("put k v --if-absent", api.PutResult(4, False), 1, {"written": False, "revision": 4}),
        ("delete a b", api.DeleteResult(5, 1), 0, {"deleted": 1, "revision": 5}),
        ("delete a b", api.DeleteResult(5, 0), 1, {"deleted": 0, "revision": 5}),
        ("increment n", api.IncrementResult(6, 7), 0, {"value": 7}),
        ("count", api.CountResult(6, 9), 0, {"count": 9}),
        (
            "history k",
            api.HistoryResult(9, (api.Version(7, None),), False, 0),
            0,
            {"revision": 7, "deleted": True, "key": "k"},
        ),
        (
            "scan",
            api.ScanResult(3, (record(b"a", b"\xff"),), None),
            0,
            {
                "key": "a",
                "value_base64": "/w==",
                "create_revision": 1,
                "mod_revision": 2,
                "version": 3,
                "lease": 0,
            },
        ),
    ],
)
def test_a_result_is_one_object(
    run: Run, line: str, answer: api.Result, code: int, value: dict[str, Any]
) -> None:
    with ScriptedNode(answer) as node:
        assert the_object(run, *line.split(), "--json", "--to", node.address) == (code, value)


def test_a_scan_that_fails_half_way_ends_with_its_error(run: Run) -> None:
    with ScriptedNode(api.ScanResult(1, (record(b"a", b"1"),), b"b"), INVALID) as node:
        ran = run("scan", "--json", "--to", node.address)
    first, last = map(json.loads, ran.out.splitlines())
    assert (ran.code, ran.err) == (3, "")
    assert first["key"] == "a"
    assert last["error"]["code"] == "ERR"


# --- Errors -------------------------------------------------------------------------------

LINES = {
    "put": "put k v",
    "get": "get k",
    "delete": "delete k",
    "increment": "increment n",
    "txn": "txn",
    "scan": "scan",
    "count": "count",
    "watch": "watch",
    "history": "history k",
    "transfer-leader": "transfer-leader",
    "check": "check",
    "backup": "backup /dev/shm/a-backup-that-fails",
    "member list": "member list",
    "member add": "member add 4 h:9004",
    "member promote": "member promote 4",
    "member remove": "member remove 4",
    "member replace": "member replace 4 --with h:9004",
    "member move": "member move 4 h:9004",
}
ON_FILES = {
    "verify": ("verify /dev/null", "DAMAGED"),
    "restore": ("restore /dev/null --id 1 --data /dev/null/x", "DAMAGED"),
    "recover": ("recover --data /dev/null/x --yes", "DIRECTORY"),
    "defrag": ("defrag --data /dev/null/x", "DIRECTORY"),
}


def test_every_command_that_knows_json_is_looked_at() -> None:
    """Status and inspect have no errors but of usage: what they find is their result."""
    single = {
        **cli.commands.commands,
        **{f"member {name}": command for name, command in member.commands.items()},
    }
    known = {
        name
        for name, command in single.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert known == {*LINES, *ON_FILES, "status", "inspect"}


@pytest.mark.parametrize("line", ON_FILES.values(), ids=ON_FILES.keys())
def test_an_error_of_a_command_on_files_is_one_object(run: Run, line: tuple[str, str]) -> None:
    words, name = line
    code, error = the_error(run, *words.split(), "--json")
    assert (code, error["code"], error["retryable"]) == (3, name, False)


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_an_error_of_each_command_is_one_object(run: Run, line: str) -> None:
    words, typed = [*line.split(), "--json"], b"then put a 1\n"
    with ScriptedNode(INVALID, INVALID) as node:
        code, error = the_error(run, *words, "--to", node.address, stdin=typed)
        assert (code, error["code"], error["retryable"]) == (3, "ERR", False)
        assert error["message"] == "ERR key is longer than 480 bytes"
    with ClosedPort() as dead:
        code, error = the_error(run, *words, "--to", dead.address, stdin=typed)
        assert (code, error["code"], error["retryable"]) == (5, "UNREACHABLE", True)
    code, error = the_error(run, *words, "--to", "a:b")
    assert (code, error["code"], error["retryable"]) == (2, "CONFIG", False)


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize(
    ("answers", "code", "name", "retryable"),
    [
        ([NO_LEADER] * 50, 3, "NOLEADER", True),
        ([BUSY] * 50, 3, "BUSY", True),
        ([UNKNOWN] * 50, 4, "UNKNOWN", False),
        ([Misbehave.HANG_UP], 4, "UNKNOWN", False),
        ([Misbehave.SILENCE], 4, "UNKNOWN", False),
    ],
)
def test_each_kind_of_failure_has_its_code(
    run: Run, answers: list[Step], code: int, name: str, retryable: bool
) -> None:
    with ScriptedNode(*answers) as node:
        ended, error = the_error(
            run, "put", "k", "v", "--json", "--to", node.address, "--timeout-ms", "2000"
        )
    assert (ended, error["code"], error["retryable"]) == (code, name, retryable)


def test_what_an_error_knows_stands_beside_its_message(run: Run) -> None:
    with ScriptedNode(not_leader("h2:9002")) as node:
        words = ("put", "k", "v", "--no-follow", "--json", "--to", node.address)
        code, error = the_error(run, *words)
    assert (code, error["code"], error["leader"]) == (3, "NOTLEADER", "h2:9002")
    with ScriptedNode(api.GuardFailed(9, 8), api.GuardFailed(9, 0)) as node:
        for lock, name, known in (("lock", "key", "lock"), ("\udcff", "key_base64", "/w==")):
            guard = ("--if-revision", f"{lock}=3", "--json", "--to", node.address)
            code, error = the_error(run, "put", "k", "v", *guard)
            assert (code, error["code"], error["retryable"]) == (1, "GUARD", False)
            assert error[name] == known
        assert error["mod_revision"] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--json", "--json"),
        ("get --json", "KEY"),
        ("get k --json --colour", "--colour"),
        ("get k --colour --json", "--colour"),
        ("gett k --json", "did you mean 'get'?"),
        ("put k -5 --json", "(write -- before a value or key that begins with a dash)"),
        ("delete a b --if-revision 1 --json", "write lock=17"),
        ("count --stale --from-any --json", "choose"),
        ("status --json --every 0", "--every"),
        ("inspect --json /nowhere", "/nowhere"),
        ("inspect --json", "DIR..."),
        ("health --json", "--json"),
    ],
)
def test_wrong_usage_is_an_object_too(run: Run, line: str, words: str) -> None:
    code, error = the_error(run, *line.split())
    assert (code, error["code"], error["retryable"]) == (2, "USAGE", False)
    assert words in error["message"]


def test_a_value_is_no_option(run: Run) -> None:
    assert are_json(["get", "--json", "--", "k"])
    assert not are_json(["get", "--", "--json"])
    with ScriptedNode(INVALID) as node:
        ran = run("get", "--to", node.address, "--", "--json")
    assert (ran.code, ran.out) == (3, b"")
    assert ran.err.startswith("error: ")


def test_a_value_that_cannot_be_read_is_an_error_like_others(tmp_path: Path) -> None:
    unreadable = os.open(tmp_path / "value", os.O_WRONLY | os.O_CREAT)
    words = [sys.executable, "-m", "kvstore", "put", "k", "-", "--json"]
    done = subprocess.run(words, stdin=unreadable, capture_output=True, check=False)
    os.close(unreadable)
    assert (done.returncode, done.stderr) == (74, b"")
    assert json.loads(done.stdout)["error"] == {
        "code": "STREAM",
        "message": "cannot read or write standard input: Bad file descriptor",
        "retryable": False,
    }


def test_an_error_that_cannot_be_printed_is_told_beside_and_ends_as_ever() -> None:
    """74 and 141 are of what was done and cannot be printed; an unknown outcome stays unknown."""
    reading, writing = os.pipe()
    os.close(reading)
    for name in ("/dev/full", writing):
        with open(name, "wb") as output, ScriptedNode(Misbehave.HANG_UP, INVALID) as node:
            words = ["put", "k", "v", "--json", "--quiet", "--to", node.address]
            process = spawn(words, stdout=output)
            _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 4
        assert err.startswith(b"error: ")
        assert err.count(b"\n") == 1


def test_a_result_that_cannot_be_printed_is_no_error_of_the_store() -> None:
    with open("/dev/full", "wb") as full, ScriptedNode(found(b"k", b"v")) as node:
        process = spawn(["get", "k", "--json", "--quiet", "--to", node.address], stdout=full)
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 74
    assert err == b"error: cannot read or write standard input or output: No space left on device\n"


def test_who_is_interrupted_says_so() -> None:
    def interrupted() -> Misbehave:
        process.send_signal(signal.SIGINT)
        return Misbehave.SILENCE

    with ScriptedNode() as node:
        node.extend(interrupted)
        process = spawn(["put", "k", "v", "--json", "--to", node.address], stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    error = json.loads(out)["error"]
    assert (error["code"], error["retryable"]) == ("INTERRUPTED", False)
    assert "may or may not take effect" in error["message"]
