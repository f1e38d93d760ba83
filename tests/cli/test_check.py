"""`kvstore check`: what is told of nodes that hold the same, or do not, and the exit code."""

from __future__ import annotations

import json

import pytest
from scripted_node import ScriptedNode, not_leader

from kvstore import Client, api
from kvstore.exit_codes import DIFFER, DONE, UNKNOWN

from .shell import Run

SAME = {1: "aa", 2: "aa", 3: "aa"}


def result(
    digests: dict[int, str],
    decided: bool = True,
    settled: bool = True,
    differ: tuple[int, ...] = (),
    absent: tuple[int, ...] = (),
    silent: tuple[int, ...] = (),
) -> api.CheckResult:
    return api.CheckResult(17, settled, decided, digests, differ, absent, silent)


CASES = [
    (result(SAME), DONE, ["nodes 1, 2, 3: the same as of log entry 17"]),
    (
        result({**SAME, 2: "bb"}, differ=(2,)),
        DIFFER,
        ["nodes 1, 3: the same as of log entry 17", "node 2: not what the others hold"],
    ),
    (
        result({1: "aa", 2: "aa"}, silent=(3,)),
        DONE,
        ["nodes 1, 2: the same as of log entry 17", "node 3: no answer"],
    ),
    (
        result({1: "aa", 2: "bb"}, decided=False, silent=(3,)),
        DIFFER,
        [
            "nodes 1, 2: not the same as of log entry 17, and no majority is",
            "node 3: no answer",
        ],
    ),
    (
        result({1: "aa"}, decided=False, absent=(2, 3)),
        UNKNOWN,
        [
            "too few nodes could be compared as of log entry 17",
            "nodes 2, 3: not compared: no room, no time, or started since",
        ],
    ),
]


@pytest.mark.parametrize(("found", "code", "lines"), CASES)
def test_who_holds_what_is_told_and_the_exit_code_says_whether_all_is_well(
    run: Run, found: api.CheckResult, code: int, lines: list[str]
) -> None:
    with ScriptedNode(found) as node:
        ran = run("check", "--to", node.address)
    assert ran == (code, ("\n".join(lines) + "\n").encode(), "")


def test_as_json_it_is_one_object(run: Run) -> None:
    with ScriptedNode(result({**SAME, 2: "bb"}, differ=(2,), absent=(4,), silent=(5,))) as node:
        ran = run("check", "--json", "--to", node.address)
    assert ran.code == DIFFER
    assert json.loads(ran.out) == {
        "index": 17,
        "decided": True,
        "agree": [1, 3],
        "differ": [2],
        "absent": [4],
        "silent": [5],
        "digests": {"1": "aa", "2": "bb", "3": "aa"},
    }


def test_a_client_asks_on_until_no_more_is_to_come_wherever_the_leader_is() -> None:
    so_far = result({1: "aa"}, decided=False, settled=False)
    with (
        ScriptedNode(so_far) as first,
        ScriptedNode(so_far, result(SAME)) as second,
        Client([first.address, second.address]) as client,
    ):
        first.extend(not_leader(second.address))
        assert client.check() == result(SAME)
        assert first.requests == [api.CheckReplicas(), api.CheckReplicas(17)]
        assert second.requests == [api.CheckReplicas(17), api.CheckReplicas(17)]
