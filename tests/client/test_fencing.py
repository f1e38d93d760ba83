"""What keeps a client from older things: terms, cluster names, and guards of its writes."""

from __future__ import annotations

import pytest
from scripted_node import (
    NO_LEADER,
    OK,
    Misbehave,
    ScriptedNode,
    bulk,
    reply,
)

from kvstore import (
    Client,
    GuardFailedError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    api,
)

from .answers import FOO, FOUND, STATUS

STALE = api.Failure(api.FailureCode.STALE, "this node is in term 3, the request asks for 5")


def min_terms(node: ScriptedNode) -> list[int]:
    return [call.min_term for call in node.calls]


def test_a_client_asks_for_at_least_the_term_that_it_was_answered_in() -> None:
    script = [reply(FOUND, term=3), reply(FOUND, term=5), reply(FOUND, term=4), FOUND]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        for _ in script:
            client.get("foo")
        assert min_terms(node) == [0, 3, 5, 5]


def test_a_node_of_an_older_term_is_passed_over() -> None:
    with ScriptedNode(STALE) as old, ScriptedNode(FOUND) as node:
        with Client([old.address, node.address]) as client:
            assert client.get("foo") == FOO
        assert len(old.requests) == len(node.requests) == 1


@pytest.mark.usefixtures("skipped_pauses")
def test_nothing_but_nodes_of_older_terms_is_a_refusal() -> None:
    with (
        ScriptedNode(*[STALE] * 200) as old,
        Client([old.address]) as client,
        pytest.raises(RefusedError, match="STALE this node is in term 3"),
    ):
        client.put("k", "v")


def test_only_what_a_leader_answers_shows_that_a_term_has_one() -> None:
    """A node that is cut off raises its term for ever, and must not lock the client out."""
    refused, described = reply(NO_LEADER, term=90), reply(STATUS, term=91)
    with (
        ScriptedNode(refused, FOUND, described, b"+OK\r\n", reply(FOUND, term=92)) as node,
        Client([node.address]) as client,
    ):
        client.get("foo")
        client.status()
        client.get("foo", stale=True)
        node.extend(FOUND)
        client.get("foo")
        assert min_terms(node) == [0, 0, 0, 0, 1]


def test_a_stale_read_takes_any_term() -> None:
    with (
        ScriptedNode(reply(FOUND, term=9), b"+OK\r\n", FOUND) as node,
        Client([node.address]) as client,
    ):
        client.get("foo")
        assert client.get("foo", stale=True) == FOO
        assert min_terms(node) == [0, 0]


def test_every_request_names_the_cluster_once_it_is_known() -> None:
    with ScriptedNode(FOUND, FOUND) as node, Client([node.address]) as client:
        client.get("foo")
        client.get("foo")
        assert [call.cluster_id for call in node.calls] == ["", "scripted"]


@pytest.mark.usefixtures("skipped_pauses")
def test_an_answer_of_another_cluster_is_not_taken_nor_waited_for() -> None:
    """The cluster was recovered, or restored: no new attempt finds the one before."""
    other_cluster = bulk(reply(api.GetResult(1, (None,)), cluster_id="other"))
    with (
        ScriptedNode(FOUND, other_cluster) as node,
        ScriptedNode(other_cluster) as second,
        Client([node.address, second.address], 60_000) as client,
    ):
        client.get("foo")
        with pytest.raises(UnreachableError, match="cluster other, not to scripted") as told:
            client.get("foo")
        assert "make a new client" in str(told.value)
        assert len(node.calls) + len(second.calls) == 3


def test_who_is_silent_may_still_be_of_the_cluster_that_is_meant() -> None:
    other_cluster = bulk(reply(api.GetResult(1, (None,)), cluster_id="other"))
    with (
        ScriptedNode(FOUND, Misbehave.HANG_UP, FOUND) as node,
        ScriptedNode(*[other_cluster] * 9) as second,
        Client([node.address, second.address], 60_000) as client,
    ):
        client.get("foo")
        assert client.get("foo") == FOO


@pytest.mark.usefixtures("skipped_pauses")
def test_a_write_in_doubt_stays_so_where_only_another_cluster_answers() -> None:
    other_cluster = bulk(reply(OK, cluster_id="other"))
    with (
        ScriptedNode(FOUND, OK, Misbehave.HANG_UP, other_cluster) as node,
        Client([node.address], 60_000, exactly_once=True) as client,
    ):
        client.get("foo")
        client.put("k", "v")
        with pytest.raises(OutcomeUnknownError, match="only another cluster answers"):
            client.put("k", "w")


def test_a_guard_is_sent_with_every_kind_of_write() -> None:
    script = [OK, api.DeleteResult(3, 1), api.IncrementResult(4, 42)]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        client.put("k", "v", guard=("lock", 17))
        client.delete("k", guard=(b"lock", 17))
        client.increment("n", guard=("lock", 0))
        assert node.requests == [
            api.Put(b"k", b"v", guard=api.Guard(b"lock", 17)),
            api.Delete((b"k",), guard=api.Guard(b"lock", 17)),
            api.Increment(b"n", 1, guard=api.Guard(b"lock", 0)),
        ]


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_guard_that_does_not_hold_is_an_error_that_says_what_is_there(exactly_once: bool) -> None:
    with (
        ScriptedNode(api.GuardFailed(20, 19), api.GuardFailed(20, 0)) as node,
        Client([node.address], exactly_once=exactly_once) as client,
    ):
        with pytest.raises(GuardFailedError, match="'lock' has revision 19") as caught:
            client.put("k", "v", guard=("lock", 17))
        assert (caught.value.key, caught.value.mod_revision) == (b"lock", 19)
        with pytest.raises(GuardFailedError, match="'lock' does not exist"):
            client.increment("n", guard=("lock", 17))
