"""`kvstore put`: values, conditions and exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from scripted_node import (
    OK,
    ScriptedNode,
)

from kvstore import api
from kvstore.cli import main

from .shell import Run


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
