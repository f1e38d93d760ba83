"""`kvstore transfer-leader`: who leads afterwards, or why nobody else does."""

from __future__ import annotations

import json

from scripted_node import ScriptedNode

from kvstore import api

from .shell import Run

LEADS = api.GetResult(1, ())


def test_it_says_who_leads_now(run: Run) -> None:
    with ScriptedNode(LEADS, api.HandOverResult(2, 8)) as node:
        ran = run("transfer-leader", "--to-node", "2", "--to", node.address)
        assert ran == (0, b"node 2 leads term 8\n", "")
        assert node.requests[1:] == [api.HandOver(2, term=1)]


def test_without_a_name_the_leader_chooses(run: Run) -> None:
    with ScriptedNode(LEADS, api.HandOverResult(3, 8)) as node:
        ran = run("transfer-leader", "--json", "--to", node.address)
        assert json.loads(ran.out) == {"leader": 3, "term": 8}
        assert node.requests[1:] == [api.HandOver(None, term=1)]


def test_an_heir_that_does_not_exist_is_an_error_that_names_those_that_do(run: Run) -> None:
    refusal = api.Failure(api.FailureCode.INVALID, "there is no node 9: the members are 1, 2, 3")
    with ScriptedNode(LEADS, refusal) as node:
        ran = run("transfer-leader", "--to-node", "9", "--to", node.address)
    assert ran.code != 0
    assert "the members are 1, 2, 3" in ran.err
