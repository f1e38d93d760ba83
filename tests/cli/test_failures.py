"""What a shell is told when something is wrong."""

from __future__ import annotations

import pytest
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

from .shell import Run


def test_a_followed_redirect_is_told_on_standard_error(run: Run) -> None:
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as follower:
        ran = run("put", "foo", "bar", "--to", follower.address)
    assert ran == (
        0,
        b"OK (revision 1)\n",
        f"node at {follower.address} is not the leader; following to node at {leader.address}\n",
    )


def test_quiet_follows_without_a_word(run: Run) -> None:
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as follower:
        ran = run("put", "foo", "bar", "--quiet", "--to", follower.address)
    assert ran == (0, b"OK (revision 1)\n", "")


def test_quiet_keeps_no_error_back(run: Run) -> None:
    with ScriptedNode(INVALID) as node:
        ran = run("put", "foo", "bar", "--quiet", "--to", node.address)
    assert (ran.code, ran.out) == (3, b"")
    assert ran.err.startswith("error: ERR key is longer")


def test_no_follow_shows_the_refusal(run: Run) -> None:
    with ScriptedNode(not_leader("127.0.0.1:9002")) as follower:
        ran = run("put", "foo", "bar", "--no-follow", "--to", follower.address)
    assert ran == (3, b"", "error: NOTLEADER not leader, try node 2 at 127.0.0.1:9002\n")


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([INVALID], 3, "ERR key is longer"),
        ([NO_LEADER] * 50, 3, "NOLEADER"),
        ([BUSY] * 50, 3, "BUSY"),
        ([UNKNOWN] * 50, 4, "the outcome is unknown"),
        ([Misbehave.HANG_UP], 4, "may or may not take effect"),
        ([Misbehave.SILENCE], 4, "may or may not take effect"),
    ],
    ids=["invalid", "no-leader", "busy", "unknown", "hang-up", "silence"],
)
def test_each_kind_of_failure_has_its_exit_code_and_one_line(
    run: Run, answers: list[Step], code: int, words: str
) -> None:
    with ScriptedNode(*answers) as node:
        ran = run("put", "k", "v", "--to", node.address, "--timeout-ms", "2000")
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
        ("set a b", "did you mean 'put'?"),
        ("rm a", "did you mean 'delete'?"),
        ("keys", "did you mean 'scan'?"),
        ("incr n", "did you mean 'increment'?"),
        ("zzz", "there are serve, put, get, delete, increment, txn"),
        ("get", "KEY"),
        ("get k --colour", "--colour"),
        ("delete", "KEY..."),
        ("put k -5", "(write -- before a value or key that begins with a dash)"),
        ("put -k 5", "(write -- before a value or key that begins with a dash)"),
        ("get k --to ::1", "[::1]:port"),
        ("get k --to a:b", "--to: 'b' is not a port"),
        ("get k --stale --from-any", "choose"),
        ("scan --stale --from-any", "choose"),
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


@pytest.mark.parametrize("line", ["get k", "status"])
def test_a_wrong_variable_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("KVSTORE_TO", "a:b")
    ran = run(*line.split())
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith("error: KVSTORE_TO: 'b' is not a port")


@pytest.mark.parametrize(
    "words",
    [
        ["put", "KEY", "v"],
        ["put", "k", "v", "--if-revision", "KEY=1"],
        ["get", "KEY"],
        ["get", "KEY", "--stale"],
        ["delete", "k", "KEY"],
        ["scan", "KEY"],
        ["increment", "KEY"],
    ],
    ids=" ".join,
)
def test_what_no_node_takes_is_refused_without_asking_one(run: Run, words: list[str]) -> None:
    with ClosedPort() as nobody:
        ran = run(*(word.replace("KEY", "k" * 481) for word in words), "--to", nobody.address)
    assert (ran.code, ran.out) == (3, b"")
    assert "key has 481 bytes, the limit is 480" in ran.err
    assert "nothing was sent" in ran.err
