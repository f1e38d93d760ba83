"""Every way in which the client recovers, twice: in one request, and in one after the other.

What is not put back after the first time shows only in the second.
"""

from __future__ import annotations

import threading
import time

import pytest
from scripted_node import (
    BUSY,
    FULL,
    NO_LEADER,
    OK,
    UNKNOWN,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    bulk,
    not_leader,
    reply,
)

from kvstore import Client, OutcomeUnknownError, RefusedError, RequestError, UnreachableError, api

from .answers import FOO, FOUND, interrupt
from .inside import forget_leader
from .numbers import numbers, opened

STALE = api.Failure(api.FailureCode.STALE, "this node is in term 3, the request asks for 5")


def puts(*nodes: ScriptedNode) -> list[int]:
    """How many writes each node was asked for."""
    return [len(node.requests) for node in nodes]


# --- Who is asked -------------------------------------------------------------------------


def test_a_leader_that_died_is_not_asked_first_again_and_neither_is_the_next_one() -> None:
    with (
        ScriptedNode() as a,
        ScriptedNode() as b,
        ScriptedNode() as c,
        Client([a.address, b.address, c.address]) as client,
    ):
        for dying, heir in ((a, b), (b, c)):
            dying.extend(OK, Misbehave.HANG_UP)
            heir.extend(OK, OK)
            client.put("k", "1")
            asked = puts(dying, heir)
            client.put("k", "2")
            assert puts(dying, heir) == [asked[0] + 1, asked[1] + 1]
            client.put("k", "3")
            assert puts(dying, heir) == [asked[0] + 1, asked[1] + 2]
            heir._script.clear()


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize("failure", [Misbehave.HANG_UP, NO_LEADER])
def test_a_leader_that_failed_is_forgotten_although_the_request_failed_too(failure: Step) -> None:
    with (
        ScriptedNode() as first,
        ScriptedNode() as leader,
        Client([first.address, leader.address]) as client,
    ):
        for _ in range(2):
            first._script[:], leader._script[:] = [not_leader(leader.address)], [FOUND]
            assert client.get("foo") == FOO
            first._script[:], leader._script[:] = [failure] * 200, [failure] * 200
            with pytest.raises(RequestError, match="5000 ms"):
                client.get("foo")
            first._script[:] = [FOUND]
            asked = puts(leader)
            assert client.get("foo") == FOO
            assert puts(leader) == asked
            forget_leader(client)  # as if that one had failed as well


def test_a_leader_that_refuses_a_request_for_its_own_sake_is_asked_first_again() -> None:
    invalid = api.Failure(api.FailureCode.INVALID, "value is not an integer", is_final=True)
    with (
        ScriptedNode() as first,
        ScriptedNode(OK) as leader,
        Client([first.address]) as client,
    ):
        first.extend(not_leader(leader.address))
        client.put("n", "text")
        for _ in range(2):
            leader.extend(invalid)
            with pytest.raises(RefusedError, match="not an integer"):
                client.increment("n")
            leader.extend(BUSY, OK)
            client.put("n", "text")
        assert puts(first) == [1]


def test_what_a_node_said_is_told_though_it_is_silent_when_asked_again() -> None:
    with (
        ScriptedNode(FULL, *[Misbehave.SILENCE] * 50) as node,
        Client([node.address], timeout_ms=2_000) as client,
        pytest.raises(RefusedError, match="no free place for another client"),
    ):
        client.get("foo")


def test_who_did_not_answer_is_asked_last_in_the_next_round() -> None:
    """A leader that hangs costs half of the time that is left, each time that it is asked."""
    with (
        ScriptedNode(*[Misbehave.SILENCE] * 9) as hung,
        ScriptedNode() as b,
        ScriptedNode() as c,
        Client([hung.address, b.address, c.address], timeout_ms=6_000) as client,
    ):
        for asked in (1, 2):
            b._script[:] = [NO_LEADER, FOUND]
            c._script[:] = [NO_LEADER]
            assert client.get("foo") == FOO
            assert len(hung.requests) == asked
            forget_leader(client)  # as after a refusal


def test_every_round_asks_all_nodes_and_follows_them_again() -> None:
    """Who refused in the last round may lead by now, or know who does."""
    with (
        ScriptedNode(*[NO_LEADER] * 999) as a,
        ScriptedNode() as b,
        Client([a.address, b.address]) as client,
    ):
        for _ in range(2):
            b._script[:] = [NO_LEADER, NO_LEADER, FOUND]
            assert client.get("foo") == FOO
            forget_leader(client)  # so that the other one is asked first again
        a._script[:] = [NO_LEADER, *[not_leader(b.address)] * 999]
        b._script[:] = [NO_LEADER, NO_LEADER, FOUND]
        assert client.get("foo") == FOO


def test_a_second_redirect_in_one_request_and_in_the_next_is_followed_and_told() -> None:
    with ScriptedNode() as a, ScriptedNode() as b, ScriptedNode() as c:
        told: list[tuple[str, str]] = []
        with Client([a.address], on_redirect=lambda x, y: told.append((x, y))) as client:
            for first, second, third in ((a, b, c), (c, a, b)):
                told.clear()
                first.extend(not_leader(second.address))
                second.extend(not_leader(third.address))
                third.extend(OK)
                assert client.put("k", "v") == OK
                assert told == [(first.address, second.address), (second.address, third.address)]


def test_a_leader_that_comes_back_is_followed_again() -> None:
    with ScriptedNode() as a, ScriptedNode() as b, Client([a.address]) as client:
        for old, new in ((a, b), (b, a), (a, b)):
            old.extend(not_leader(new.address))
            new.extend(OK)
            assert client.put("k", "v") == OK


def test_nodes_of_older_terms_and_of_other_clusters_are_passed_over_each_time() -> None:
    other_cluster = bulk(reply(FOUND, cluster_id="other"))
    with (
        ScriptedNode(FOUND) as node,
        ScriptedNode() as other,
        Client([node.address, other.address]) as client,
    ):
        client.get("foo")
        for _ in range(2):
            node.extend(STALE)
            other.extend(other_cluster)
            node.extend(FOUND)
            assert client.get("foo") == FOO
        assert node.connections == 1
        assert other.connections == 2


# --- What is asked again ------------------------------------------------------------------


def test_refusals_that_pass_are_waited_for_each_time() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        for script in ([NO_LEADER, NO_LEADER, OK], [BUSY, BUSY, OK]) * 2:
            node.extend(*script)
            assert client.put("k", "v") == OK
        assert opened(node) == 1


def test_pauses_begin_short_again_with_the_next_request() -> None:
    with ScriptedNode() as node, Client([node.address], timeout_ms=10_000) as client:
        node.extend(*[BUSY] * 6, OK)
        client.put("k", "1")
        took = []
        for _ in range(5):
            node.extend(BUSY, OK)
            began = time.monotonic()
            client.put("k", "2")
            took.append(time.monotonic() - began)
        # The seventh pause of the first request was 250 to 500 ms long.
        assert min(took) < 0.2


@pytest.mark.parametrize("answer", [UNKNOWN, Misbehave.HANG_UP, Misbehave.RESET_LATE])
def test_a_write_that_is_not_answered_twice_keeps_its_number_and_so_does_the_next(
    answer: Step,
) -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        for number in (1, 2):
            node.extend(answer, answer, OK)
            assert client.put("k", "v") == OK
            assert numbers(node)[-3:] == [(1, number)] * 3


@pytest.mark.usefixtures("skipped_pauses")
def test_unknown_outcomes_in_a_row_give_up_a_number_each() -> None:
    with ScriptedNode(*[UNKNOWN] * 400) as node, Client([node.address]) as client:
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError):
                client.put("k", "v")
        node._script[:] = [OK]
        client.put("k", "v")
        assert numbers(node)[-1] == (1, 3)
        assert opened(node) == 1


def test_doubt_ends_with_its_request() -> None:
    """After a write in doubt was settled, a refusal of the next one is a refusal again."""
    invalid = api.Failure(api.FailureCode.INVALID, "no")
    with ScriptedNode() as node, Client([node.address]) as client:
        for _ in range(2):
            node.extend(UNKNOWN, OK, invalid)
            assert client.put("k", "v") == OK
            with pytest.raises(Exception, match=r"^ERR no$"):
                client.put("k", "v")


@pytest.mark.usefixtures("skipped_pauses")
def test_a_session_that_nobody_opened_is_asked_for_again_by_the_next_write() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        node.scripts_sessions = True
        for _ in range(2):
            node._script[:] = [NO_LEADER] * 200
            with pytest.raises(Exception, match="NOLEADER"):
                client.put("k", "v")
        node._script[:] = [UNKNOWN, api.SessionResult(9), OK]
        client.put("k", "v")
        assert numbers(node) == [(9, 1)]


# --- Connections --------------------------------------------------------------------------


def hang_up_on_idle(node: ScriptedNode) -> None:
    node.hung_up.clear()
    for connection in node._open:
        try:
            connection.shutdown(2)
        except OSError:
            continue  # it was closed before
    assert node.hung_up.wait(5)


def test_an_idle_connection_that_was_closed_is_replaced_each_time() -> None:
    with ScriptedNode() as node, Client([node.address], exactly_once=False) as client:
        for connections in (1, 2, 3):
            node.extend(OK)
            assert client.put("k", "v") == OK
            assert node.connections == connections
            hang_up_on_idle(node)


def test_a_stale_read_says_readonly_on_every_new_connection() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        for _ in range(3):
            node.extend(b"+OK\r\n", FOUND)
            assert client.get("foo", stale=True) == FOO
            hang_up_on_idle(node)
        assert node.requests == [[b"READONLY"], api.Get((b"foo",))] * 3


def test_a_node_that_refused_readonly_is_asked_again_another_time() -> None:
    with (
        ScriptedNode() as node,
        ScriptedNode(b"+OK\r\n") as other,
        Client([node.address, other.address]) as client,
    ):
        for _ in range(2):
            node.extend(b"-ERR unknown command\r\n")
            other.extend(FOUND)
            assert client.get("foo", stale=True) == FOO
        assert node.requests == [[b"READONLY"]] * 2


@pytest.mark.parametrize("more", [bulk(OK), b"-ERR bye\r\n", b"$5\r\nab"])
def test_what_a_node_says_beyond_its_reply_is_not_taken_for_the_next_one(more: bytes) -> None:
    with ScriptedNode() as node, Client([node.address], exactly_once=False) as client:
        for revision in (11, 12, 13):
            node.extend(bulk(api.PutResult(revision, True)) + more)
            assert client.put("k", "v").revision == revision
        assert node.connections == 3


def test_late_replies_are_never_taken_for_later_requests() -> None:
    answers = [threading.Event() for _ in range(2)]

    def late(turn: int) -> Step:
        def answer() -> api.Result:
            assert answers[turn].wait(10)
            return api.PutResult(100 + turn, True)

        return answer

    with (
        ScriptedNode() as node,
        Client([node.address], exactly_once=False) as client,
    ):
        for turn in range(2):
            node.extend(late(turn), api.PutResult(turn, True))
            client._timeout_ms = 200
            with pytest.raises(OutcomeUnknownError):
                client.put("k", "late")
            answers[turn].set()
            client._timeout_ms = 20_000
            assert client.put("k", "v").revision == turn


def test_interrupts_in_a_row_leave_no_reply_behind_and_give_up_a_number_each() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        for _ in range(2):
            node.extend(interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.put("k", "v")
        node.extend(api.PutResult(2, True))
        assert client.put("k", "v").revision == 2
        assert numbers(node) == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_node_that_comes_back_is_found_again_each_time() -> None:
    with ClosedPort() as dead, Client([dead.address], timeout_ms=100) as client:
        for _ in range(2):
            with pytest.raises(UnreachableError):
                client.get("foo")
    with ScriptedNode() as node, Client([node.address]) as client:
        for _ in range(2):
            node._script[:] = [Misbehave.HANG_UP] * 200
            with pytest.raises(UnreachableError):
                client.get("foo")
            node._script[:] = [FOUND]
            assert client.get("foo") == FOO


def test_a_client_is_closed_and_opened_as_often_as_one_likes() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        for connections in (1, 2, 3):
            node.extend(OK)
            client.put("k", "v")
            client.close()
            client.close()
            assert node.connections == connections
        assert opened(node) == 1
