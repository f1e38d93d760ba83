"""`kvstore serve` and `demo`, help, and quiet ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator

import pytest
import structlog
from scripted_node import (
    ClosedPort,
    Misbehave,
    ScriptedNode,
)

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.errors import ConfigError, DirectoryRefusedError
from kvstore.logs import logger_for

from .shell import Run, found, record, spawn, status

# --- serve and demo -----------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Settings]]:
    """Stands in for the server and keeps the settings that it was given."""
    calls: list[Settings] = []

    def serve(read_settings: Callable[[], Settings]) -> int:
        settings = read_settings()
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


@pytest.mark.parametrize("line", ["--help", "--version", "serve --help", "get --help"])
def test_who_asks_for_help_and_goes_has_a_closed_pipe_too(line: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn(line.split(), stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("line", ["get k", "putt", "serve", "serve --log-format json", "health"])
def test_errors_that_cannot_be_written_leave_the_exit_code_alone(run: Run, line: str) -> None:
    """1 would be "not found", and 120 is Python's word for it, and nobody else's."""
    with ClosedPort() as nobody, open("/dev/full", "wb") as full:
        words = line.split()
        more = (
            ["--to", nobody.address, "--timeout-ms", "100"] if words[0] in ("get", "health") else []
        )
        expected = run(*words, *more).code
        ran = subprocess.run(
            [sys.executable, "-m", "kvstore", *words, *more],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert ran.returncode == expected
    assert expected in (2, 5)


def test_output_that_cannot_be_written_is_one_line() -> None:
    with ScriptedNode(found(b"foo", b"bar")) as node, open("/dev/full", "wb") as full:
        process = spawn(["get", "foo", "--to", node.address], stdout=full)
        _, err = process.communicate(timeout=30)
    assert err == b"error: cannot read or write standard input or output: No space left on device\n"
    assert process.returncode == 74


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--to", "1"],
        ["health", "--to", "1"],
        ["simulate", "--seeds", "1"],
        ["simulate", "--seed", "1"],
        ["--help"],
        ["--version"],
        ["get", "--help"],
        ["serve", "--help"],
    ],
    ids=" ".join,
)
def test_no_command_ends_with_a_traceback_where_nothing_can_be_printed(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        process = spawn(words, stdout=full)
        _, err = process.communicate(timeout=60)
    assert err == b"error: cannot read or write standard input or output: No space left on device\n"
    assert process.returncode == 74


@pytest.mark.parametrize("line", ["get foo", "status", "health --live", "--version"])
def test_a_command_whose_output_is_closed_says_so(line: str) -> None:
    """1 would be "not found", or "not written" of a write that was."""
    script = 'exec "$0" -m kvstore "$@" >&-'
    words = line.split()
    answer = found(b"foo", b"bar") if words[0] == "get" else status(1, "leader")
    with ScriptedNode(answer) as node:
        to = [] if line == "--version" else ["--to", node.address]
        ran = subprocess.run(
            ["sh", "-c", script, sys.executable, *words, *to],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    expected = "error: cannot read or write standard input or output: Bad file descriptor\n"
    assert (ran.returncode, ran.stderr) == (74, expected)


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
