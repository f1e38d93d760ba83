"""What is advised, by what the nodes say: each state of a cluster, and nothing beside it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from kvstore.cli.advice import judge, reason_not_ready
from kvstore.cli.findings import Severity, Verdict
from kvstore.cli.overview import Asked, View

from .advice_on_disks import ABOUT_DISKS
from .advice_on_nodes import ABOUT_NODES
from .statuses import DOWN, IDS, MEMBERS, Case, ask, at, node

CASES = {**ABOUT_NODES, **ABOUT_DISKS}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_state_has_its_advice(case: Case) -> None:
    verdict = judge(case.asked)
    text = "\n".join(f"{one.code}: {one.text}" for one in verdict.advice)
    assert [one.code for one in verdict.advice] == case.codes, text
    assert verdict.state is case.state
    assert verdict.may_fail == case.may_fail
    for words in case.words:
        assert words in text


def severities(verdict: Verdict) -> list[Severity]:
    return [one.severity for one in verdict.advice]


def test_the_worst_comes_first() -> None:
    for case in CASES.values():
        verdict = judge(case.asked)
        assert severities(verdict) == sorted(severities(verdict), reverse=True)


def test_the_order_of_asking_changes_no_verdict() -> None:
    for name, case in CASES.items():
        for asked in itertools.islice(itertools.permutations(case.asked), 6):
            verdict = judge(asked)
            assert verdict.state is case.state, name
            assert sorted(one.code for one in verdict.advice) == sorted(case.codes), name


def test_of_two_leaders_that_of_the_newer_term_counts() -> None:
    """The other one was cut off, or stood still, and has not heard of it."""
    for newest in (1, 2):
        leaders = [node(who, term=8 if who == newest else 7, leader_id=who) for who in (1, 2)]
        leader = View(ask(*leaders, node(3))).leader
        assert leader is not None
        assert leader.node_id == newest


def test_of_one_node_that_answers_twice_the_newer_term_counts() -> None:
    for terms in ((7, 8), (8, 7)):
        answers = [Asked(f"h{term}:9002", node(2, term=term)) for term in terms]
        assert View(answers).answers[2].term == 8


def test_where_a_node_is_looked_for_is_for_the_others_to_say() -> None:
    """Whoever comes first in the order of ids: of itself, a node knows where it is."""
    for moved in IDS:
        own = {**MEMBERS, moved: "h9:9009"}
        asked = ask(*(node(who, members=own if who == moved else MEMBERS) for who in IDS))
        assert View(asked).address(moved) == at(moved)


def test_every_line_is_one_and_says_what_to_do() -> None:
    """An address or a number without a word of what to do helps nobody."""
    for case in CASES.values():
        for one in judge(case.asked).advice:
            assert "\n" not in one.text
            assert 30 < len(one.text) < 400


def test_a_verdict_holds_whatever_a_node_says() -> None:
    """Nodes of other makings may say anything that a status can."""
    odd = [
        {"members": {}},
        {"match_index": {}},
        {"links": {9: "x"}, "heard_from": (9,)},
        {"leader_id": 9},
        {"last_log_index": 0, "commit_index": 0, "last_applied": 0},
        {"node_id": 9},
    ]
    for changes, others in itertools.product(odd, (DOWN, node(2))):
        judge(ask(msgspec.structs.replace(node(1), **changes), others))  # type: ignore[arg-type]


# --- Ready --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"is_short_of_room": True, "room_bytes": 0}, None),
        ({"leader_id": None}, "it knows no leader"),
        ({"is_voter": False}, "it does not vote yet"),
        (
            {"differs_at": 77, "lacks_data": True},
            "its data differ from the majority's as of log entry 77",
        ),
        ({"damaged_entries": 3}, "its disk lost 3 log entries"),
        ({"waits_for_room": 7}, "it has no room to apply log entry 7"),
    ],
)
def test_who_is_ready(changes: dict[str, Any], reason: str | None) -> None:
    assert reason_not_ready(node(2, **changes)) == reason
