"""Whatever stands on a command line, it is done, or one line says why not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from scripted_node import ClosedPort

from .shell import Run

HUGE = "9" * 5_000
WORDS = (
    *("", "-", "--", "-1", "0", "1.5", "nan", "inf", "None", "true", "9" * 23, HUGE, "k" * 500),
    *(
        "\udcff",
        "\n",
        "a\nb",
        "\x1b[2J",
        "\u202e",
        "²",
        "٣",
        "a=b",
        "=",
        "a,b",
        ",",
        "a..b",
        "[::1",
        "::1",
        "redis://h:1",
    ),
    *("9001,9001", "h:99999", "1-2", "--to", "/", "*", "%s", "{}"),
)
LINES = [
    "put WORD v",
    "put k WORD",
    "put k v --if-value WORD",
    "put k v --if-revision WORD",
    "put k v --if-revision k=WORD",
    "put k v --timeout-ms WORD",
    "put k v --to WORD --timeout-ms 1",
    "get WORD",
    "get WORD --stale",
    "get k --to WORD:9001 --timeout-ms 1",
    "get k --to 127.0.0.1:WORD --timeout-ms 1",
    "delete WORD k",
    "increment WORD",
    "increment n WORD",
    "delete k --if-revision WORD",
    "txn WORD",
    "scan WORD",
    "scan --limit WORD",
    "watch WORD",
    "watch --prefix WORD",
    "watch --revision WORD",
    "watch --limit WORD",
    "history WORD",
    "history k --before WORD",
    "transfer-leader --to-node WORD",
    "member WORD",
    "member add WORD h:9004",
    "member add 4 WORD",
    "member remove WORD",
    "member replace 4 --with WORD",
    "member move 4 WORD",
    "status --to WORD --timeout-ms 1",
    "status --timeout-ms WORD",
    "status --every WORD",
    "inspect WORD",
    "verify WORD",
    "defrag --data WORD",
    "recover --data WORD --yes",
    "restore WORD --id 1 --data /dev/null/x",
    "restore /dev/null --id 1 --bump-revision WORD --data /dev/null/x",
    "backup WORD/x --timeout-ms 1",
    "backup /dev/null/WORD --timeout-ms WORD",
    "simulate --plan WORD",
    "simulate --seeds WORD --first x",
    "simulate --seed 1 --window WORD",
    "simulate --seed 1 --faults WORD --window x",
    *(f"serve --id {word} --data /dev/null/x" for word in ("WORD", "1 --port WORD")),
    *(
        f"serve --id 1 --{option} WORD --data /dev/null/x"
        for option in (
            *("peers", "host", "bind", "cluster", "heartbeat-ms", "election-ms", "config"),
            *("request-timeout-ms", "value-bytes-max", "log-map-bytes", "log-format"),
        )
    ),
    "serve --id 1 --data /dev/null/WORD",
    "WORD",
    "get k WORD",
]


@pytest.mark.parametrize("line", LINES)
def test_any_word_is_taken_or_refused_in_one_line(run: Run, line: str) -> None:
    with ClosedPort() as nobody:
        for word in WORDS:
            words = [part.replace("WORD", word) for part in line.split()]
            if "--to" not in words and line != "WORD":
                words += ["--to", nobody.address]
            if "--timeout-ms" not in words and line != "WORD":
                words += ["--timeout-ms", "1"]
            ran = run(*words)
            assert ran.code in range(6), words
            told = ran.err.splitlines()
            assert ran.err.count("\n") == len(told) <= 1, (words, told)
            assert all(map(str.isprintable, told)), (words, told)
            assert all(len(one) < 500 + len(word) for one in told), (words, told)


@pytest.mark.parametrize(
    "line",
    [line for line in LINES if line.split()[0] not in ("serve", "WORD") and line != "member WORD"],
)
def test_with_json_any_word_comes_to_objects_alone(run: Run, line: str) -> None:
    """`--watch` aside, and scans that find something, to one."""
    with ClosedPort() as nobody:
        for word in WORDS:
            words = [part.replace("WORD", word) for part in line.split()]
            commands = 2 if words[0] == "member" else 1
            command, rest = words[:commands], words[commands:]
            usual = () if "--to" in rest else ("--to", nobody.address)
            if "--timeout-ms" not in rest:
                usual += ("--timeout-ms", "1")
            ran = run(*command, "--json", *usual, *rest)
            told = [json.loads(one) for one in ran.out.splitlines()]
            assert (len(told), ran.err) == (1, ""), (command, rest)
            assert ran.code or "error" not in told[0]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("get k --to a..b:9001", 2, "error: --to: 'a..b' is not a host name or IP address"),
        ("get k --to 9001,", 2, "has a comma with no address beside it"),
        ("health --to 9001,9002", 2, "is more than one node: name the one to ask"),
        ("get k --to redis://h:9001", 2, "no address, as a node has no URL: write h:9001"),
        (f"transfer-leader --to-node {'9' * 23}", 2, "--to-node"),
        ("get k --timeout-ms 99999999999999999999", 2, "the timeout must be 1 to 3600000 ms"),
        ("inspect " + HUGE, 2, "File name too long"),
        (f"simulate --seeds {'9' * 23}", 2, "--seeds"),
        ("status --watch --every nan", 2, "--every"),
        ("status --watch --every inf", 2, "--every"),
        ("put k v --if-revision " + HUGE, 2, "is not a revision"),
    ],
)
def test_what_once_ended_in_a_traceback_is_told(run: Run, words: str, code: int, told: str) -> None:
    ran = run(*words.split())
    assert (ran.code, ran.out) == (code, b"")
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_bytes_that_are_no_text_are_told_back_without_a_traceback() -> None:
    for words in (["get", b"\xff", "--to", b"\xff"], ["get", b"\xff", b"\xfe"], [b"\xff"]):
        ran = subprocess.run(
            [sys.executable, "-m", "kvstore", *words], capture_output=True, check=False
        )
        assert (ran.returncode, ran.stderr.count(b"\n")) == (2, 1), ran.stderr


def test_the_timeout_comes_from_the_environment_unless_given(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ClosedPort() as nobody:
        to = ["--to", nobody.address]
        monkeypatch.setenv("KVSTORE_TIMEOUT_MS", "33")
        assert "within 33 ms" in run("get", "k", *to).err
        assert "within 44 ms" in run("get", "k", *to, "--timeout-ms", "44").err
        monkeypatch.setenv("KVSTORE_TIMEOUT_MS", "soon")
        ran = run("get", "k", *to)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
