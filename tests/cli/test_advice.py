"""What is advised, by what the nodes say: each state of a cluster, and nothing beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from scripted_node import status_of

from kvstore import api
from kvstore.cli.advice import (
    FAR_BEHIND,
    LITTLE_ROOM_BYTES,
    SLOW_SYNC_MS,
    Severity,
    State,
    Verdict,
    judge,
    reason_not_ready,
)
from kvstore.cli.overview import Asked, Silence, View, Why

MIB = 1 << 20
IDS = (1, 2, 3)
DOWN = Silence(Why.DOWN, "connection refused")
FROZEN = Silence(Why.FROZEN, "no reply came in time")


def at(node_id: int) -> str:
    return f"h{node_id}:900{node_id}"


MEMBERS = {node_id: at(node_id) for node_id in IDS}


def node(node_id: int, **changes: Any) -> api.StatusResult:
    """A node of a sound cluster of three that node 1 leads, but for `changes`."""
    others = [other for other in IDS if other != node_id]
    sound: dict[str, Any] = {
        "members": MEMBERS,
        "match_index": dict.fromkeys(IDS, 31) if node_id == 1 else {},
        "links": dict.fromkeys(others, ""),
        "heard_from": tuple(others),
        "incarnation": f"{node_id:032x}",
    }
    return status_of(node_id, **{**sound, **changes})


def without_leader(node_id: int, **changes: Any) -> api.StatusResult:
    lost = {"role": "follower", "leader_id": None, "leader_ms": None, "match_index": {}}
    return node(node_id, **{**lost, **changes})


def ask(*answers: api.StatusResult | Silence, expected: bool = True) -> list[Asked]:
    """Nodes 1, 2 and 3 were asked where they should be."""
    return [
        Asked(at(number), answer, number if expected else None)
        for number, answer in enumerate(answers, start=1)
    ]


def cut_from(*lost: int, why: str = "connection refused") -> Callable[[int], dict[str, Any]]:
    """What a node says of its links when these are gone."""

    def changes(node_id: int) -> dict[str, Any]:
        others = [other for other in IDS if other != node_id]
        return {
            "links": {other: why if other in lost else "" for other in others},
            "heard_from": tuple(other for other in others if other not in lost),
        }

    return changes


class Case(NamedTuple):
    asked: list[Asked]
    state: State
    codes: list[str]
    words: tuple[str, ...] = ()
    """What the advice must say, the first of each kind of it at least."""
    may_fail: int | None = None


no_3 = cut_from(3)
NO_23 = {"links": {2: "gone", 3: "gone"}, "heard_from": ()}
ALONE = {2: {"links": {1: "gone", 3: "gone"}, "heard_from": ()}}
BY_OTHER_NAME = {**MEMBERS, 3: "h9:9003"}

CASES = {
    "all is well": Case(ask(node(1), node(2), node(3)), State.HEALTHY, [], may_fail=1),
    "a cluster of one": Case(
        [Asked(at(1), status_of(1, members={1: at(1)}, match_index={1: 31}))],
        State.HEALTHY,
        [],
        may_fail=0,
    ),
    # --- Who is there
    "nobody answers": Case(
        ask(DOWN, DOWN, DOWN),
        State.UNREACHABLE,
        ["no_answer"],
        ("start them, or wait if they are starting; their logs", "--to"),
    ),
    "the only node does not answer": Case(
        ask(DOWN),
        State.UNREACHABLE,
        ["no_answer"],
        ("start it, or wait if it is starting; its log", "--to"),
    ),
    "nobody answers, for different reasons": Case(
        ask(DOWN, FROZEN), State.UNREACHABLE, ["no_answer"], ("see above",)
    ),
    "one node is down": Case(
        ask(node(1, **no_3(1)), node(2, **no_3(2)), DOWN),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("node 3 at h3:9003 is down (connection refused): start it", "no further one may fail"),
        0,
    ),
    "one node is down, as its directory was wiped": Case(
        ask(
            node(1, **no_3(1), refused={3: "node 1 knows node 3 by another one"}),
            node(2, **no_3(2)),
            DOWN,
        ),
        State.DEGRADED,
        ["directory_refused", "spares"],
        ("node 3 at h3:9003 is down (connection refused): node 1 knows node 3 by another one",),
        0,
    ),
    "one node is down, and one was not asked": Case(
        [Asked(at(1), node(1, **no_3(1))), Asked(at(3), DOWN, 3)],
        State.DEGRADED,
        ["node_silent", "spares", "not_asked"],
        ("1 of 3 nodes answer: no further one may fail",),
        0,
    ),
    "one node is frozen, and its links stand": Case(
        ask(node(1), node(2), FROZEN),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("node 3 at h3:9003 takes connections and says nothing", "2 of 3 nodes answer"),
        0,
    ),
    "one node is full of clients": Case(
        ask(node(1), node(2), Silence(Why.FULL, "ERR max")),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("no place for another connection", "ulimit -n"),
        0,
    ),
    "something else answers": Case(
        [*ask(node(1), node(2), node(3)), Asked("x:1", Silence(Why.STRANGER, "ERR what?"))],
        State.DEGRADED,
        ["node_silent"],
        ("the node at x:1 is no kvstore node (ERR what?): correct the address",),
        1,
    ),
    "only the leader was asked": Case(
        [Asked(at(1), node(1))],
        State.HEALTHY,
        ["not_asked", "not_asked"],
        ("node 2 was not asked: name it in --to",),
        1,
    ),
    "only a follower was asked": Case(
        [Asked(at(2), node(2))], State.HEALTHY, ["not_asked", "not_asked"]
    ),
    "a node that was not asked is gone": Case(
        [Asked(at(1), node(1, **no_3(1))), Asked(at(2), node(2, **no_3(2)))],
        State.DEGRADED,
        ["not_asked"],
        ("node 3 was not asked, and nobody has a link to it",),
        0,
    ),
    # --- Who leads
    "two of three are down": Case(
        ask(without_leader(1, **NO_23), DOWN, DOWN),
        State.NO_WRITES,
        ["no_majority", "node_silent", "node_silent"],
        ("no leader: 1 of 3 nodes answer, and 2 are needed: start nodes 2, 3",),
    ),
    "a leader that has just lost the others": Case(
        ask(node(1), FROZEN, FROZEN),
        State.NO_WRITES,
        ["no_majority", "node_silent", "node_silent"],
        ("node 1 leads, and 2 of 3 nodes are needed to confirm it",),
    ),
    "the leader is frozen": Case(
        ask(FROZEN, node(2), node(3)),
        State.NO_WRITES,
        ["leader_silent", "node_silent"],
        ("the leader, node 1, does not answer",),
    ),
    "an election is under way on one node without room": Case(
        ask(without_leader(1, is_short_of_room=True), without_leader(2), without_leader(3)),
        State.NO_WRITES,
        ["no_leader", "short_of_room"],
        ("an election takes about a second",),
    ),
    "an election is under way": Case(
        ask(*map(without_leader, IDS)),
        State.NO_WRITES,
        ["no_leader"],
        ("an election takes about a second",),
    ),
    "nobody may stand, as entries are lost": Case(
        ask(without_leader(1, damaged_entries=2), without_leader(2), DOWN),
        State.NO_WRITES,
        ["no_leader_damaged", "node_silent", "damaged"],
        ("node 1 cannot stand without the log entries that its disk lost", "2 log entries"),
    ),
    "nobody may stand, as disks are full": Case(
        ask(*(without_leader(n, is_short_of_room=True, room_bytes=0) for n in IDS)),
        State.NO_WRITES,
        ["no_leader_room", *["short_of_room"] * 3],
        ("no leader: make room on the disks of nodes 1, 2, 3",),
    ),
    "a node hears no leader": Case(
        ask(node(1), node(2), without_leader(3)),
        State.DEGRADED,
        ["hears_no_leader"],
        ("node 3 hears no leader",),
        1,
    ),
    "a stale leader beside a newer one": Case(
        ask(node(1), node(2, role="leader", leader_id=2, term=8), node(3, leader_id=2, term=8)),
        State.HEALTHY,
        [],
        may_fail=1,
    ),
    # --- Directories
    "two of three directories are lost": Case(
        ask(
            without_leader(1),
            without_leader(2, is_voter=False),
            without_leader(3, is_voter=False),
        ),
        State.NO_WRITES,
        ["cannot_heal"],
        (
            "this does not mend itself: nodes 2, 3 wait to be admitted by 2 of 3 directories",
            "there is 1.",
            "scan --stale",
        ),
    ),
    "two of three directories are lost, and the third is down": Case(
        ask(DOWN, without_leader(2, is_voter=False), without_leader(3, is_voter=False)),
        State.NO_WRITES,
        ["cannot_heal", "node_silent"],
        ("this does not mend itself",),
    ),
    "one directory is lost, and another node is down": Case(
        ask(without_leader(1), without_leader(2, is_voter=False), DOWN),
        State.NO_WRITES,
        ["no_majority", "node_silent"],
        ("1 of 3 nodes whose directories count answer, and 2 are needed: start node 3",),
    ),
    "a node rejoins": Case(
        ask(node(1, match_index={1: 31, 2: 31, 3: 11}), node(2), node(3, is_voter=False)),
        State.DEGRADED,
        ["rejoining"],
        ("node 3 catches up (20 entries to go)", "counts for nothing"),
        0,
    ),
    # --- Who is who
    "a node has moved, and is asked where it is now": Case(
        [
            *ask(node(1, **no_3(1)), node(2, **no_3(2))),
            Asked("h9:9003", node(3, members=BY_OTHER_NAME)),
        ],
        State.DEGRADED,
        ["node_moved"],
        ("node 3 is at h9:9003, and nodes 1, 2 look for it at h3:9003", "with 3=h9:9003 in"),
        1,
    ),
    "a node has moved, and is asked where it was": Case(
        ask(
            node(1, links={2: "", 3: "connection refused"}),
            node(2, links={1: "", 3: "connection refused"}),
            DOWN,
        ),
        State.DEGRADED,
        ["spares", "node_moved"],
        ("node 3 reaches nodes 1, 2, and is not at h3:9003 (connection refused): if it has moved",),
        0,
    ),
    "a node goes by several names, and all reach it": Case(
        ask(node(1), node(2), node(3, members=BY_OTHER_NAME)), State.HEALTHY, [], may_fail=1
    ),
    "a link works one way": Case(
        ask(node(1), node(2, links={1: "", 3: "timed out"}), node(3)),
        State.DEGRADED,
        ["no_link"],
        ("node 2 cannot reach node 3 at h3:9003 (timed out)",),
        1,
    ),
    "members differ": Case(
        ask(node(1), node(2), node(3, members={**MEMBERS, 4: "h4:9004"})),
        State.DEGRADED,
        ["members_differ"],
        ("node 3 counts nodes 1, 2, 3, 4 as members, the others nodes 1, 2, 3",),
        1,
    ),
    "clusters differ": Case(
        ask(node(1), node(2), node(3, cluster_id="other")),
        State.DEGRADED,
        ["clusters_differ", "not_asked"],
        ("other at h3:9003", "kvstore-1a2b3c4d at h1:9001, h2:9002"),
        1,
    ),
    "two directories go by one id": Case(
        [*ask(node(1), node(2), node(3)), Asked("h4:9002", node(2, incarnation="copy"))],
        State.DEGRADED,
        ["node_twice"],
        ("node 2 answers at h2:9002 and at h4:9002, from two directories",),
        1,
    ),
    "two addresses lead to one node": Case(
        [*ask(node(1), node(2), node(3)), Asked("alias:9002", node(2))],
        State.HEALTHY,
        ["asked_twice"],
        ("h2:9002 and alias:9002 both lead to node 2",),
        1,
    ),
    "another node is there than the settings say": Case(
        ask(node(1), node(3), node(2)),
        State.DEGRADED,
        ["wrong_node", "wrong_node"],
        ("at h2:9002 node 3 answers, and the settings say node 2",),
        1,
    ),
    # --- Disks and logs
    "the leader's disk is full": Case(
        ask(node(1, is_short_of_room=True, room_bytes=12 * MIB), node(2), node(3)),
        State.NO_WRITES,
        ["leader_short_of_room"],
        ("node 1 leads and refuses writes, with 12 MiB left: it hands over",),
    ),
    "all disks are full": Case(
        ask(*(node(n, is_short_of_room=True, room_bytes=0) for n in IDS)),
        State.NO_WRITES,
        ["all_short_of_room", "short_of_room", "short_of_room"],
        ("writes are refused, as nodes 1, 2, 3 have no room: make room",),
    ),
    "a follower's disk is full": Case(
        ask(node(1), node(2, is_short_of_room=True, room_bytes=9 * MIB), node(3)),
        State.DEGRADED,
        ["short_of_room"],
        ("node 2 has 9 MiB left, too little to lead",),
        1,
    ),
    "a disk is nearly full": Case(
        ask(node(1, room_bytes=LITTLE_ROOM_BYTES - 1), node(2, room_bytes=LITTLE_ROOM_BYTES)),
        State.DEGRADED,
        ["little_room", "not_asked"],
        ("node 1 has 255 MiB left",),
        1,
    ),
    "what is committed does not fit": Case(
        ask(node(1), node(2), node(3, is_short_of_room=True, waits_for_room=9, last_applied=8)),
        State.DEGRADED,
        ["waits_for_room"],
        ("node 3 has no room to apply log entry 9",),
        1,
    ),
    "entries are lost": Case(
        ask(node(1), node(2, damaged_entries=1), node(3)),
        State.DEGRADED,
        ["damaged"],
        ("the disk of node 2 lost 1 log entry",),
        1,
    ),
    "a node is far behind": Case(
        ask(
            node(1, last_log_index=5_000, match_index={1: 5_000, 2: 5_000 - FAR_BEHIND, 3: 3_999}),
            node(2),
            node(3),
        ),
        State.DEGRADED,
        ["far_behind"],
        ("node 3 lacks 1,001 entries",),
        1,
    ),
    "a node has much to apply": Case(
        ask(node(1), node(2, commit_index=9_000), node(3)),
        State.HEALTHY,
        ["applying"],
        ("node 2 has 8,971 log entries still to apply",),
        1,
    ),
    "a disk is slow": Case(
        ask(node(1), node(2, sync_p99_ms=SLOW_SYNC_MS), node(3, sync_p99_ms=None)),
        State.HEALTHY,
        ["slow_disk"],
        ("a write to the log of node 2 takes up to 500 ms",),
        1,
    ),
    "an upgrade is under way": Case(
        ask(node(1), node(2), node(3, version="0.2.0")),
        State.HEALTHY,
        ["versions_differ"],
        ("0.1.0 on nodes 1, 2; 0.2.0 on node 3",),
        1,
    ),
}


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
        ({"is_voter": False}, "it waits to be admitted"),
        ({"damaged_entries": 3}, "its disk lost 3 log entries"),
        ({"waits_for_room": 7}, "it has no room to apply log entry 7"),
    ],
)
def test_who_is_ready(changes: dict[str, Any], reason: str | None) -> None:
    assert reason_not_ready(node(2, **changes)) == reason
