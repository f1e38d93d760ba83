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
from kvstore.cli.main import main

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
    monkeypatch.setattr("kvstore.cli.standard_input.VALUE_BYTES_CEILING", 10)
    with ScriptedNode(OK) as node:
        assert run("put", "k", "--to", node.address, stdin=b"x" * 11).code == 3
        assert node.requests == []
        assert run("put", "k", "--to", node.address, stdin=b"x" * 10).code == 0


# --- Guards -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        ("17", api.Guard(b"k", 17)),
        ("0", api.Guard(b"k", 0)),
        ("lock=17", api.Guard(b"lock", 17)),
        ("a=b=17", api.Guard(b"a=b", 17)),
        ("=17", api.Guard(b"", 17)),
    ],
)
def test_a_guard_is_on_the_key_itself_or_on_the_one_that_it_names(
    run: Run, text: str, guard: api.Guard
) -> None:
    with ScriptedNode(OK, api.DeleteResult(5, 1)) as node:
        assert run("put", "k", "v", "--if-revision", text, "--to", node.address).code == 0
        assert run("delete", "k", "--if-revision", text, "--to", node.address).code == 0
        assert node.requests == [api.Put(b"k", b"v", guard=guard), api.Delete((b"k",), guard=guard)]


def test_a_guard_that_does_not_hold_is_exit_code_1_and_says_what_is_there(run: Run) -> None:
    with ScriptedNode(api.GuardFailed(20, 19)) as node:
        ran = run("put", "k", "v", "--if-revision", "lock=17", "--to", node.address)
    assert ran == (
        1,
        b"",
        "error: the guard does not hold, so nothing was changed: 'lock' has revision 19, "
        "and the write asked for revision 17\n",
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["put", "k", "v", "--if-revision", "lock"], "'lock' is not a revision"),
        (["put", "k", "v", "--if-revision", "lock=-1"], "is not a revision"),
        (["put", "k", "v", "--if-revision", "lock=²"], "is not a revision"),
        (["put", "k", "v", "--if-revision", str(1 << 63)], "is not a revision"),
        (["delete", "a", "b", "--if-revision", "17"], "write lock=17"),
    ],
)
def test_a_guard_that_makes_no_sense_is_wrong_usage(
    run: Run, words: list[str], complaint: str
) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert complaint in ran.err
