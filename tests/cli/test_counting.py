"""`kvstore increment` and `kvstore count`."""

from __future__ import annotations

import pytest
from scripted_node import ClosedPort, ScriptedNode

from kvstore import api

from .shell import Run


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["n"], api.Increment(b"n", 1)),
        (["n", "41"], api.Increment(b"n", 41)),
        (["n", "--", "-5"], api.Increment(b"n", -5)),
        (["n", str((1 << 63) - 1)], api.Increment(b"n", (1 << 63) - 1)),
        (["n", "--if-revision", "lock=3"], api.Increment(b"n", 1, guard=api.Guard(b"lock", 3))),
        (["n", "--if-revision", "3"], api.Increment(b"n", 1, guard=api.Guard(b"n", 3))),
    ],
)
def test_increment_prints_the_sum(run: Run, words: list[str], sent: api.Increment) -> None:
    with ScriptedNode(api.IncrementResult(3, -12)) as node:
        assert run("increment", "--to", node.address, *words) == (0, b"-12\n", "")
        assert node.requests == [sent]


@pytest.mark.parametrize("by", ["x", "1.5", "1_000", "\u0663", "", " 1", "9" * 5_000])
def test_what_is_no_number_is_not_added(run: Run, by: str) -> None:
    ran = run("increment", "n", by)
    assert (ran.code, ran.out) == (2, b"")
    assert "is not a whole number of 64 bits" in ran.err
    assert len(ran.err) < 200


def test_a_number_that_no_node_adds_is_refused_unsent(run: Run) -> None:
    with ClosedPort() as nobody:
        ran = run("increment", "n", str(1 << 63), "--to", nobody.address)
    assert (ran.code, ran.out) == (3, b"")
    assert "nothing was sent" in ran.err


def test_who_writes_a_negative_number_is_told_how(run: Run) -> None:
    ran = run("increment", "n", "-5")
    assert ran.code == 2
    assert "(write -- before a number below 0, or a key that begins with a dash)" in ran.err


def test_count_prints_the_number_of_keys(run: Run) -> None:
    none, some = api.CountResult(3, 0), api.CountResult(3, 12)
    with ScriptedNode(none, some, b"+OK\r\n", some) as node:
        to = ("--to", node.address)
        assert run("count", *to) == (0, b"0\n", "")
        assert run("count", "--from-any", *to) == (0, b"12\n", "")
        assert run("count", "--stale", *to) == (0, b"12\n", "")
        assert node.requests == [api.Count(), api.Count(), [b"READONLY"], api.Count()]
        assert [call.from_any for call in node.calls] == [False, True, False]
