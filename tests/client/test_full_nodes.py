"""A node without a free place for another client, as the client sees it: others may have one."""

from __future__ import annotations

import pytest
from scripted_node import FULL, OK, ClosedPort, ScriptedNode, not_leader

from kvstore import Client, NotLeaderError, RefusedError, UnreachableError
from kvstore.address import Address
from kvstore.client.attempt import Full
from kvstore.client.course import Course
from kvstore.server import refusals
from kvstore.wire import resp
from kvstore.wire.commands import render_failure

from .answers import FOO, FOUND, STATUS
from .inside import forget_leader
from .numbers import numbers


def test_the_client_knows_the_words_of_the_node() -> None:
    assert render_failure(refusals.TOO_MANY_CLIENTS) == resp.error(Full.words)


def test_a_node_without_a_free_place_is_passed_over_each_time() -> None:
    with (
        ScriptedNode(*[FULL] * 2) as node,
        ScriptedNode() as other,
        Client([node.address, other.address]) as client,
    ):
        for _ in range(2):
            other.extend(FOUND)
            forget_leader(client)  # so that the full one is asked
            assert client.get("foo") == FOO
        assert len(node.requests) == 2


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_write_that_found_no_place_was_not_carried_out_and_goes_elsewhere(
    exactly_once: bool,
) -> None:
    with (
        ScriptedNode() as node,
        ScriptedNode(OK) as other,
        Client([node.address, other.address], exactly_once=exactly_once) as client,
    ):
        node.scripts_sessions = True
        node.extend(FULL)
        assert client.put("k", "v") == OK
        assert numbers(other) == ([(1, 1)] if exactly_once else [])


def test_stale_reads_and_reads_from_any_go_elsewhere_too() -> None:
    with (
        ScriptedNode(FULL, FULL) as node,
        ScriptedNode(b"+OK\r\n", FOUND, FOUND) as other,
        Client([node.address, other.address], reads_from_any=True) as client,
    ):
        assert client.get("foo", stale=True) == FOO
        assert client.get("foo") == FOO


@pytest.mark.usefixtures("skipped_pauses")
def test_nodes_that_are_all_full_are_a_refusal_that_may_be_tried_again() -> None:
    with (
        ScriptedNode(*[FULL] * 200) as node,
        ClosedPort() as dead,
        Client([node.address, dead.address], exactly_once=False) as client,
        pytest.raises(
            RefusedError, match=r"^FULL no node that can be reached has a free"
        ) as caught,
    ):
        client.put("k", "v")
    assert (caught.value.code, caught.value.retryable) == ("FULL", True)
    assert f"{node.address}: it has no free place for another client" in str(caught.value)
    assert f"{dead.address}: cannot connect" in str(caught.value)


@pytest.mark.usefixtures("skipped_pauses")
def test_nodes_that_are_all_full_say_the_same_to_stale_reads() -> None:
    """READONLY comes first on their connections, so that is what is refused."""
    with (
        ScriptedNode(*[FULL] * 200) as node,
        Client([node.address]) as client,
        pytest.raises(RefusedError) as caught,
    ):
        client.get("foo", stale=True)
    assert (caught.value.code, caught.value.retryable) == ("FULL", True)


@pytest.mark.usefixtures("skipped_pauses")
def test_a_leader_that_is_full_is_named_with_what_it_said() -> None:
    with (
        ScriptedNode(*[FULL] * 200) as leader,
        ScriptedNode() as follower,
        Client([follower.address]) as client,
    ):
        follower.extend(*[not_leader(leader.address)] * 200)
        with pytest.raises(NotLeaderError, match="no free place for another client") as caught:
            client.get("foo")
        assert caught.value.retryable


def test_the_status_of_a_full_node_says_that_it_cannot_be_asked() -> None:
    with (
        ScriptedNode(FULL, STATUS) as node,
        Client([node.address]) as client,
    ):
        with pytest.raises(UnreachableError, match="no free place for another client"):
            client.status(node.address)
        assert client.status(node.address) == STATUS


def test_full_nodes_are_asked_less_and_less_often() -> None:
    """A connection each time, of everybody who waits, is what they have least use for."""
    now = [0.0]
    nodes = [Address("a", 1), Address("b", 2)]
    course = Course(nodes, 60_000, 60.0, lambda: now[0])
    pauses: list[float] = []
    for _ in range(2 * 12):
        course.full("full")
        if (rest := course.take_rest()) is not None:
            pauses.append(rest.longest_s)
    assert len(pauses) == 12
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.5
    for _ in range(4):
        course.failed("refused", is_silence=False)
        rest = course.take_rest() or rest
    assert rest is not None
    assert rest.longest_s == 0.1, "an election that is under way is not slept through"
