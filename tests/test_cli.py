"""What a shell sees: output, standard error and exit codes."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pytest
import structlog
from scripted_node import (
    BUSY,
    INVALID,
    NO_LEADER,
    OK,
    UNKNOWN,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    not_leader,
)

from kvstore import api, render
from kvstore.cli import main
from kvstore.config import Settings
from kvstore.errors import ConfigError, DirectoryRefusedError
from kvstore.logs import logger_for

MISSING = api.GetResult(1, (None,))


def record(key: bytes, value: bytes) -> api.KeyValue:
    return api.KeyValue(key, value, create_revision=1, mod_revision=2, version=3)


def found(key: bytes, value: bytes) -> api.GetResult:
    return api.GetResult(2, (record(key, value),))


def status(node_id: int, role: str) -> api.StatusResult:
    return api.StatusResult(
        node_id=node_id,
        cluster_id="kvstore-1a2b3c4d",
        incarnation="i",
        role=role,
        term=7,
        voted_for=1,
        leader_id=1,
        leader_address="127.0.0.1:9001",
        commit_index=30,
        last_applied=29,
        last_log_index=31,
        revision=12,
        keys=5,
        members={1: "127.0.0.1:9001"},
        match_index={},
    )


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process."""
    for name in [name for name in os.environ if name.startswith("KVSTORE_")]:
        monkeypatch.delenv(name)

    def run_line(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(words)
        captured = capfdbinary.readouterr()
        return Ran(code, captured.out, captured.err.decode())

    return run_line


def spawn(words: Sequence[str], stdout: int | BinaryIO) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kvstore", *words]
    # Buffered as for users, because it is at exit that a buffer may complain.
    environ = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environ)


# --- put ----------------------------------------------------------------------------------


def test_put_prints_the_revision(run: Run) -> None:
    with ScriptedNode(OK) as node:
        assert run("put", "foo", "bar", "--to", node.address) == (0, b"OK (revision 1)\n", "")
        assert node.requests == [api.Put(b"foo", b"bar")]


@pytest.mark.parametrize("words", [["-"], []])
def test_put_reads_any_bytes_from_standard_input(run: Run, words: list[str]) -> None:
    value = bytes(range(256)) * 3 + b"\r\n"
    with ScriptedNode(OK) as node:
        assert run("put", "foo", *words, "--to", node.address, stdin=value).code == 0
        assert node.requests == [api.Put(b"foo", value)]


def test_put_takes_an_empty_value_as_one(run: Run) -> None:
    with ScriptedNode(OK) as node:
        assert run("put", "foo", "", "--to", node.address, stdin=b"not this").code == 0
        assert node.requests == [api.Put(b"foo", b"")]


def test_put_passes_arguments_that_are_not_utf8_untouched() -> None:
    with ScriptedNode(OK) as node:
        words = [b"put", b"k\xff", b"v\xfe", b"--if-value", b"\xfd", b"--to", node.address.encode()]
        subprocess.run([sys.executable, "-m", "kvstore", *words], check=True, capture_output=True)
        assert node.requests == [api.Put(b"k\xff", b"v\xfe", api.When.EQUAL, b"\xfd")]


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        (["--if-absent"], api.Put(b"k", b"v", api.When.ABSENT)),
        (["--if-present"], api.Put(b"k", b"v", api.When.PRESENT)),
        (["--if-value", ""], api.Put(b"k", b"v", api.When.EQUAL, b"")),
    ],
)
def test_a_condition_that_does_not_hold_is_exit_code_1(
    run: Run, option: list[str], sent: api.Put
) -> None:
    with ScriptedNode(api.PutResult(4, False), api.PutResult(4, False)) as node:
        plain = run("put", "k", "v", *option, "--to", node.address)
        assert plain == (1, b"", "not written: the condition does not hold for k\n")
        as_json = run("put", "k", "v", *option, "--json", "--to", node.address)
        assert (as_json.code, json.loads(as_json.out)) == (1, {"written": False, "revision": 4})
        assert node.requests == [sent, sent]


def test_two_conditions_are_wrong_usage(run: Run) -> None:
    ran = run("put", "k", "v", "--if-absent", "--if-present")
    assert ran.code == 2
    assert "at most one" in ran.err


def test_put_without_a_value_on_a_terminal_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(b""))
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert main(["put", "k"]) == 2
    assert "no value" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["put", "k"]) == 2


def test_put_refuses_an_endless_value_before_sending(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.cli.VALUE_BYTES_CEILING", 10)
    with ScriptedNode(OK) as node:
        assert run("put", "k", "--to", node.address, stdin=b"x" * 11).code == 3
        assert node.requests == []
        assert run("put", "k", "--to", node.address, stdin=b"x" * 10).code == 0


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
            "key": "foo",
            "value": "é",
            "create_revision": 1,
            "mod_revision": 2,
            "version": 3,
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
    page = api.ScanResult(1, records, b"d")
    with ScriptedNode(page, page) as node:
        to = ["--keys-only", "--limit", "2", "--to", node.address]
        assert run("scan", *to).out == b"a\nb\n"
        lines = run("scan", "--json", *to).out.splitlines()
        assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
        assert "value" not in json.loads(lines[0])
        assert node.requests == [api.Scan(with_values=False)] * 2


def test_shown_bytes_can_be_told_apart() -> None:
    samples = [b"\\n", b"\n", b"\\x00", b"\x00", b"\xc3", "Ã".encode(), b"\\", b"\\\\"]
    assert len({render.shown(sample) for sample in samples}) == len(samples)


# --- status -------------------------------------------------------------------------------


def test_status_shows_every_node_and_those_that_are_unreachable(run: Run) -> None:
    script = status(1, "leader"), status(2, "follower")
    with (
        ScriptedNode(script[0]) as a,
        ScriptedNode(script[1]) as b,
        ClosedPort() as dead,
    ):
        ran = run("status", "--to", f"{a.address},{dead.address},{b.address}")
    lines = ran.out.decode().splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert lines[0] == "cluster kvstore-1a2b3c4d"
    heading = "NODE ADDRESS ROLE TERM LEADER COMMIT APPLIED LOG REVISION KEYS"
    assert lines[1].split() == heading.split()
    assert lines[2].split() == ["1", a.address, "leader", "7", "1", "30", "29", "31", "12", "5"]
    assert lines[3] == f"-     {dead.address}  unreachable: cannot connect: connection refused"
    assert lines[4].split()[:3] == ["2", b.address, "follower"]
    assert lines[2][lines[1].index("TERM")] == "7"
    assert lines[2].startswith("1     ")
    assert max(map(len, lines[:3])) < 100


def test_an_unreachable_node_with_a_long_name_keeps_the_columns_straight() -> None:
    long_name = "a-rather-long-host-name.example:9001"
    table = render.status_table([("h:1", status(1, "leader")), (long_name, "unreachable: why")])
    _, heading, first, second = table.splitlines()
    assert first[heading.index("TERM")] == "7"
    assert second == f"-     {long_name}  unreachable: why"
    assert second.index("unreachable") == heading.index("ROLE")
    assert heading.index("TERM") == heading.index("ROLE") + len("leader  ")


def test_status_asks_the_nodes_side_by_side(run: Run) -> None:
    both_asked = threading.Barrier(2, timeout=5)

    def meet() -> Misbehave:
        both_asked.wait()
        return Misbehave.HANG_UP

    with ScriptedNode(meet) as a, ScriptedNode(meet) as b:
        ran = run("status", "--to", f"{a.address},{b.address}", "--timeout-ms", "20000")
    assert both_asked.broken is False
    assert ran.code == 5
    assert ran.out.count(b"unreachable: the connection was closed before the reply") == 2


def test_status_as_json_is_one_object_a_node(run: Run) -> None:
    with ScriptedNode(status(1, "leader")) as a, ScriptedNode(INVALID) as b:
        ran = run("status", "--json", "--to", f"{a.address},{b.address}")
    first, second = map(json.loads, ran.out.splitlines())
    assert (first["reachable"], first["role"], first["address"]) == (True, "leader", a.address)
    assert second["reachable"] is False
    assert "ERR" in second["error"]


# --- Redirects and failures ---------------------------------------------------------------


def test_a_followed_redirect_is_told_on_standard_error(run: Run) -> None:
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as follower:
        ran = run("put", "foo", "bar", "--to", follower.address)
    assert ran == (
        0,
        b"OK (revision 1)\n",
        f"node at {follower.address} is not the leader; following to node at {leader.address}\n",
    )


def test_no_follow_shows_the_refusal(run: Run) -> None:
    with ScriptedNode(not_leader("127.0.0.1:9002")) as follower:
        ran = run("put", "foo", "bar", "--no-follow", "--to", follower.address)
    assert ran == (3, b"", "error: NOTLEADER not leader, try node 2 at 127.0.0.1:9002\n")


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([INVALID], 3, "ERR key is longer"),
        ([NO_LEADER] * 50, 3, "NOLEADER"),
        ([BUSY] * 50, 3, "BUSY"),
        ([UNKNOWN], 4, "the outcome is unknown"),
        ([Misbehave.HANG_UP], 4, "may or may not take effect"),
        ([Misbehave.SILENCE], 4, "may or may not take effect"),
    ],
    ids=["invalid", "no-leader", "busy", "unknown", "hang-up", "silence"],
)
def test_each_kind_of_failure_has_its_exit_code_and_one_line(
    run: Run, answers: list[Step], code: int, words: str
) -> None:
    with ScriptedNode(*answers) as node:
        ran = run("put", "k", "v", "--to", node.address, "--timeout-ms", "200")
    assert (ran.code, ran.out) == (code, b"")
    assert words in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_nothing_reachable_is_exit_code_5(run: Run) -> None:
    with ClosedPort() as dead:
        ran = run("get", "k", "--to", dead.address, "--timeout-ms", "100")
    assert ran.code == 5
    assert "check that the cluster runs there" in ran.err


def test_nodes_come_from_the_environment_unless_given(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedNode(OK) as first, ScriptedNode(OK) as second:
        monkeypatch.setenv("KVSTORE_TO", first.address)
        assert run("put", "k", "v").code == 0
        assert run("put", "k", "v", "--to", second.address).code == 0
        assert len(first.requests) == len(second.requests) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("putt a b", "did you mean 'put'? (see kvstore --help)"),
        ("zzz", "there are serve, put, get, delete, scan, status, demo"),
        ("get", "KEY"),
        ("get k --colour", "--colour"),
        ("delete", "KEY..."),
        ("get k --to ::1", "[::1]:port"),
        ("status --to a:b", "'b' is not a port"),
        ("get k --timeout-ms 0", "timeout"),
        ("serve", "say which node this is"),
        ("serve --id 2 --port 9001 --peers 9002,9003", "this is node 1"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(run: Run, line: str, words: str) -> None:
    ran = run(*line.split())
    assert (ran.code, ran.out) == (2, b"")
    assert words in ran.err
    assert ran.err.count("\n") == 1


# --- serve and demo -----------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Settings]]:
    """Stands in for the server and keeps the settings that it was given."""
    calls: list[Settings] = []

    def serve(settings: Settings) -> int:
        calls.append(settings)
        if settings.cluster_id == "wrong":
            raise DirectoryRefusedError("data/n1 belongs to cluster right: use another --data")
        if settings.cluster_id == "taken":
            raise ConfigError("cannot listen on 127.0.0.1:9001: Address already in use")
        logger_for(settings.node_id).info("serving")
        return 7

    loop = types.ModuleType("kvstore.server.loop")
    loop.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kvstore.server.loop", loop)
    monkeypatch.setattr("kvstore.server.loop", loop, raising=False)
    yield calls
    structlog.reset_defaults()


def test_serve_makes_settings_from_options_and_environment(
    run: Run, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVSTORE_HEARTBEAT_MS", "50")
    words = "serve --id 1 --port 9001 --peers 9002,9003 --data d/n1 --log-format json"
    ran = run(*words.split())
    assert ran.code == 7
    (settings,) = served
    assert settings.node_id == 1
    assert sorted(settings.members) == [1, 2, 3]
    assert str(settings.data_dir) == "d/n1"
    assert settings.raft.heartbeat_interval_ms == 50
    assert settings.log_format == "json"
    assert json.loads(ran.err)["event"] == "[node 1] serving"


def test_serve_takes_an_empty_list_of_peers_as_a_cluster_of_one(
    run: Run, served: list[Settings]
) -> None:
    run("serve", "--id", "1", "--peers", "")
    assert list(served[0].members) == [1]


def test_serve_has_an_option_for_every_setting(run: Run, served: list[Settings]) -> None:
    words = (
        "serve --id 1 --host localhost --cluster c --election-ms 200-300 --heartbeat-ms 10 "
        "--request-timeout-ms 99 --value-bytes-max 77"
    )
    assert run(*words.split()).code == 7
    (settings,) = served
    assert settings.cluster_id == "c"
    assert settings.address.host == "localhost"
    assert settings.raft.election_timeout_max_ms == 300
    assert (settings.request_timeout_ms, settings.limits.value_bytes_max) == (99, 77)


@pytest.mark.parametrize(("cluster", "code"), [("wrong", 3), ("taken", 2)])
def test_what_stops_a_server_is_one_line(
    run: Run, served: list[Settings], cluster: str, code: int
) -> None:
    ran = run("serve", "--id", "1", "--cluster", cluster)
    assert ran.code == code
    assert len(served) == 1
    assert re.fullmatch(r"error: [^\n]+\n", ran.err)


def test_demo_runs_the_demo_and_passes_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = types.ModuleType("kvstore.demo")
    demo.run = lambda: 9  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kvstore.demo", demo)
    monkeypatch.setattr("kvstore.demo", demo, raising=False)
    assert run("demo").code == 9


# --- Help and quiet ends ------------------------------------------------------------------


def test_help_has_examples_and_exit_codes(run: Run) -> None:
    for words in ([], ["--help"]):
        ran = run(*words)
        assert ran.code == 0
        text = ran.out.decode()
        assert text.count("\n    kvstore ") >= 3
        for code in range(6):
            assert f"\n    {code}  " in text


def test_help_of_a_command_names_every_option_once(run: Run) -> None:
    text = run("serve", "--help").out.decode()
    for heading in ("Who is who:", "Storage:", "Times:", "Other:"):
        assert f"\n{heading}\n" in text
    for option in ("--id", "--port", "--peers", "--host", "--data", "--config", "--log-format"):
        assert len(re.findall(rf"^  {option} ", text, re.MULTILINE)) == 1
    assert max(map(len, text.splitlines())) <= 80


def test_version_is_that_of_the_package(run: Run) -> None:
    assert re.fullmatch(rb"kvstore \d+\.\d+\.\d+\n", run("--version").out)


def test_a_closed_pipe_ends_quietly() -> None:
    page = api.ScanResult(1, tuple(record(b"%04d" % n, b"x" * 1000) for n in range(1000)), None)
    with ScriptedNode(page) as node:
        process = spawn(["scan", "--to", node.address], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 141


def test_output_that_cannot_be_written_is_one_line() -> None:
    with ScriptedNode(found(b"foo", b"bar")) as node, open("/dev/full", "wb") as full:
        process = spawn(["get", "foo", "--to", node.address], stdout=full)
        _, err = process.communicate(timeout=30)
    assert err == b"error: cannot read or print: No space left on device\n"
    assert process.returncode == 74


def test_interrupting_a_command_ends_quietly() -> None:
    asked = threading.Event()

    def note() -> Misbehave:
        asked.set()
        return Misbehave.SILENCE

    with ScriptedNode(note) as node:
        process = spawn(["put", "k", "v", "--to", node.address], stdout=subprocess.PIPE)
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")
