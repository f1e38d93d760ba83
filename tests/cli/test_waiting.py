"""Whoever waits at a terminal is told what for; what is done stays as it was."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted_node import NO_LEADER, OK, ClosedPort, Misbehave, ScriptedNode
from storage.samples import led, make_node

from kvstore import Client, RefusedError, api
from kvstore.cli.main import main
from kvstore.storage import inspect as storage_inspect

from .shell import Run, found, record

DEADLINE_S = 30.0


@pytest.fixture
def short(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is soon over."""
    monkeypatch.setattr("kvstore.cli.patience.MOMENT_S", 0.2)


@pytest.mark.usefixtures("short")
def test_a_command_that_gets_nowhere_says_once_what_it_tries(run: Run) -> None:
    with ScriptedNode(Misbehave.SILENCE) as node:
        ran = run("get", "k", "--to", node.address, "--timeout-ms", "2000")
    assert (ran.code, ran.out) == (5, b"")
    waiting, error = ran.err.splitlines()
    assert waiting == f"waiting: no answer of {node.address} yet; gives up after 2000 ms"
    assert error.startswith("error: no node answered")


@pytest.mark.usefixtures("short")
def test_who_is_quiet_waits_without_a_word(run: Run) -> None:
    with ScriptedNode(Misbehave.SILENCE) as node:
        ran = run("get", "k", "--quiet", "--to", node.address, "--timeout-ms", "2000")
    assert (ran.code, ran.out) == (5, b"")
    assert ran.err.startswith("error: no node answered")


def test_it_says_what_it_was_told_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.cli.patience.MOMENT_S", 1.5)
    with ClosedPort() as dead, ScriptedNode(*[NO_LEADER] * 9, Misbehave.SILENCE) as node:
        to = f"{dead.address},{node.address}"
        ran = run("put", "k", "v", "--to", to, "--timeout-ms", "3000")
    waiting = ran.err.splitlines()[0]
    assert "(so far: NOLEADER no leader is known; " in waiting
    assert f"{dead.address}: cannot connect: connection refused)" in waiting


@pytest.mark.usefixtures("short")
def test_what_comes_after_all_is_the_whole_output(run: Run) -> None:
    def late() -> api.Result:
        time.sleep(1.3)  # the answer is late by nature
        return found(b"k", b"v")

    with ScriptedNode(late) as node:
        ran = run("get", "k", "--to", node.address)
    assert (ran.code, ran.out) == (0, b"v")
    assert ran.err.count("waiting: ") == 1


def test_many_requests_that_are_answered_are_no_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.cli.patience.MOMENT_S", 1.5)

    def page(number: int) -> api.ScanResult:
        time.sleep(0.2)  # together longer than a moment, each far shorter
        key = b"%03d" % number
        return api.ScanResult(
            1, (record(key, b""),), b"%03d" % (number + 1) if number < 9 else None
        )

    with ScriptedNode(*[lambda n=n: page(n) for n in range(10)]) as node:
        ran = run("scan", "--keys-only", "--to", node.address)
    assert (ran.code, ran.out.count(b"\n"), ran.err) == (0, 10, "")


def test_a_client_tells_other_threads_what_it_waits_for() -> None:
    told: list[tuple[float, str] | None] = []
    with ScriptedNode() as node, Client([node.address], timeout_ms=20_000) as client:
        node.extend(lambda: (told.append(client.waiting()), OK)[1])
        assert client.waiting() is None
        client.put("k", "v")
        assert client.waiting() is None
        node.extend(api.Failure(api.FailureCode.INVALID, "no"))
        with pytest.raises(RefusedError):
            client.put("k", "v")
        assert client.waiting() is None
    assert told[0] is not None
    assert time.monotonic() - DEADLINE_S < told[0][0] < time.monotonic()
    assert told[0][1] == f"no answer of {node.address} yet; gives up after 20000 ms"


# --- Standard input -----------------------------------------------------------------------


@contextmanager
def putting(to: str, stdin: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "kvstore", "put", "k", "-", "--to", to]
    with subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        timer = threading.Timer(DEADLINE_S, process.kill)
        timer.start()
        yield process
        timer.cancel()


def test_who_is_to_type_a_value_is_told_so_at_once() -> None:
    ours, theirs = pty.openpty()
    with ScriptedNode(OK) as node, putting(node.address, theirs) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        line = process.stderr.readline()
        assert line == b"type the value, and end it with Ctrl-D at the beginning of a line\n"
        os.write(ours, b"typed\n\x04")
        assert process.stdout.read() == b"OK (revision 1)\n"
        assert node.requests == [api.Put(b"k", b"typed\n")]
    os.close(theirs)
    os.close(ours)


class LateValue(io.RawIOBase):
    """A pipe into which somebody writes after a moment."""

    def __init__(self) -> None:
        self._left = [b"v"]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            return 0
        time.sleep(3.0)  # the value is late by nature
        buffer[:1] = self._left.pop()
        return 1


@pytest.mark.parametrize(("words", "lines"), [([], 1), (["--quiet"], 0)])
def test_who_is_quiet_is_not_told_of_a_late_value(
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    words: list[str],
    lines: int,
) -> None:
    monkeypatch.setattr("kvstore.cli.patience.MOMENT_S", 1.5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(LateValue())))
    with ScriptedNode(OK) as node:
        assert main(["put", "k", "-", "--to", node.address, *words]) == 0
        assert node.requests == [api.Put(b"k", b"v")]
    assert capfdbinary.readouterr().err.count(b"\n") == lines


def test_a_pipe_that_does_not_end_is_told_after_a_moment() -> None:
    with ScriptedNode(OK) as node, putting(node.address, subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout is not None
        line = process.stderr.readline()
        assert line == (b"waiting: standard input has no end yet, and all of it is the value\n")
        process.stdin.write(b"piped")
        process.stdin.close()
        assert process.stdout.read() == b"OK (revision 1)\n"
        assert node.requests == [api.Put(b"k", b"piped")]


@pytest.mark.usefixtures("short")
def test_who_inspects_a_large_directory_is_told_what_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = make_node(tmp_path / "n1", led(1, 6, 1, 1)), storage_inspect.inspect_directories

    def slow(directories: Sequence[Path]) -> Sequence[storage_inspect.Report]:
        time.sleep(1.3)  # so many pages
        return reads(directories)

    monkeypatch.setattr("kvstore.storage.inspect.inspect_directories", slow)
    ran = run("inspect", str(path))
    assert (ran.code, ran.err) == (0, f"waiting: reads every page of {path}\n")
