"""`kvstore member`: who the members are, and what a change of them comes to."""

from __future__ import annotations

import json

import msgspec
import pytest
from scripted_node import ScriptedNode

from kvstore import api
from kvstore.server import refusals

from .shell import Ran, Run

SEEN = api.MembersResult(
    "kv-1",
    2,
    17,
    False,
    1_031,
    (
        api.Member(1, "10.0.0.1:9001", api.MemberRole.VOTER, False, 30),
        api.Member(2, "10.0.0.2:9002", api.MemberRole.VOTER, True, 1_031),
        api.Member(14, "[::1]:9014", api.MemberRole.LEARNER, True, 1_000),
    ),
)
DONE = api.ChangeResult(1_032)


def test_the_list_shows_who_votes_and_how_far_each_has_come(run: Run) -> None:
    with ScriptedNode(SEEN) as node:
        ran = run("member", "list", "--to", node.address)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.decode().splitlines() == [
        "cluster kv-1: members since log entry 17, not yet with a majority",
        "NODE  ADDRESS        ROLE     MATCH  LAG   ANSWERS",
        "1     10.0.0.1:9001  voter    30     1001  no",
        "2     10.0.0.2:9002  voter    1031   0     leads",
        "14    [::1]:9014     learner  1000   31    yes",
    ]


def test_the_list_says_who_is_found_elsewhere_and_what_to_do(run: Run) -> None:
    voter = api.MemberRole.VOTER
    moved = api.Member(2, "10.0.0.2:9002", voter, True, 1_031, "10.0.0.9:9002")
    found = msgspec.structs.replace(SEEN, members=(SEEN.members[0], moved))
    with ScriptedNode(found) as node:
        ran = run("member", "list", "--to", node.address)
    assert ran.out.decode().splitlines()[-1] == (
        "node 2 is at 10.0.0.9:9002, and the members' list has it at 10.0.0.2:9002: kvstore member "
        "move 2 10.0.0.9:9002"
    )
    with ScriptedNode(found) as node:
        ran = run("member", "list", "--json", "--to", node.address)
    assert [one["found_at"] for one in json.loads(ran.out)["members"]] == ["", "10.0.0.9:9002"]


def test_where_nobody_leads_any_node_says_who_the_members_are(run: Run) -> None:
    """Who has lost a majority needs just that, and how far each has come nobody knows then."""

    def ran(*more: str) -> Ran:
        with ScriptedNode() as node:

            def answer() -> api.Result | bytes:
                if node.requests[-1] == [b"READONLY"]:
                    return b"+OK\r\n"
                is_stale = [b"READONLY"] in node.requests
                return SEEN if is_stale else refusals.no_leader("no leader is known")

            node.extend(*[answer] * 1_000)
            return run("member", "list", "--timeout-ms", "300", *more, "--to", node.address)

    told = ran()
    assert told.code == 0
    assert "nobody leads, so this is what one node knows: NOLEADER no leader is known" in told.err
    assert told.out.decode().splitlines()[1:3] == [
        "NODE  ADDRESS        ROLE     MATCH  LAG  ANSWERS",
        "1     10.0.0.1:9001  voter    -      -    -",
    ]
    as_json = ran("--json", "--quiet")
    assert (as_json.code, as_json.err) == (0, "")
    for one in json.loads(as_json.out)["members"]:
        assert (one["answers"], one["match_index"]) == (None, None)


def test_the_list_is_one_object_with_json(run: Run) -> None:
    with ScriptedNode(SEEN) as node:
        ran = run("member", "list", "--json", "--to", node.address)
    told = json.loads(ran.out)
    assert told["members"][2] == {
        "node_id": 14,
        "address": "[::1]:9014",
        "role": "learner",
        "answers": True,
        "match_index": 1_000,
        "found_at": "",
    }
    del told["members"]
    assert told == {
        "cluster_id": "kv-1",
        "leader_id": 2,
        "index": 17,
        "is_settled": False,
        "last_log_index": 1_031,
    }


@pytest.mark.parametrize(
    ("line", "request_", "told"),
    [
        (
            "add 4 h:9004",
            api.AddMember(4, "h:9004", 17),
            "node 4 is a learner at h:9004: start it with --join and --id 4, and it votes once it "
            "keeps up",
        ),
        ("promote 4", api.PromoteMember(4, 17), "node 4 votes"),
        ("remove 4", api.RemoveMember(4, 17), "node 4 is no member any more"),
        (
            "replace 2 --with h:9002",
            api.ReplaceMember(2, "h:9002", 17),
            "node 2 is a learner at h:9002: start it with --join and --id 2, and it votes once it "
            "keeps up",
        ),
        ("move 2 h:9005", api.MoveMember(2, "h:9005", 17), "node 2 is looked for at h:9005"),
    ],
)
def test_a_change_is_asked_for_and_what_it_came_to_is_told(
    run: Run, line: str, request_: api.Change, told: str
) -> None:
    with ScriptedNode(SEEN, DONE, SEEN, DONE) as node:
        ran = run("member", *line.split(), "--to", node.address)
        assert ran == (0, f"{told} (log entry 1032)\n".encode(), "")
        assert node.requests[1] == request_
        ran = run("member", *line.split(), "--json", "--to", node.address)
        assert json.loads(ran.out) == {"index": 1_032}


def test_a_refusal_is_told_with_its_code(run: Run) -> None:
    why = refusals.cannot_change("without it no majority would be left", may_pass=True)
    with ScriptedNode(SEEN, why) as node:
        ran = run("member", "remove", "1", "--to", node.address)
    assert ran == (3, b"", "error: NOCHANGE without it no majority would be left\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "Missing command. (see kvstore member --help)"),
        ("lst", "no such command 'lst'; did you mean 'list'? (see kvstore member --help)"),
        ("add 4", "Missing argument 'ADDRESS'. (see kvstore member add --help)"),
        ("add 4 9004", "'9004' has no host: write host:9004"),
        ("add 0 h:9004", "Invalid value for 'ID': 0 is not in the range 1<=x<=65535."),
        ("replace 4", "Missing option '--with'. (see kvstore member replace --help)"),
        ("move 4 0.0.0.0:9004", "'0.0.0.0' means every interface"),
    ],
)
def test_wrong_use_is_told_in_one_line(run: Run, line: str, told: str) -> None:
    ran = run("member", *line.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert ran.err.startswith(f"error: {told}")
