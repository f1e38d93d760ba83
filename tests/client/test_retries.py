"""What the client retries, and what it never retries without a session."""

from __future__ import annotations

import time

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
    bulk,
)

from kvstore import Client, OutcomeUnknownError, RefusedError, api

from .answers import FOO, FOUND, interrupt

# --- What is safe to retry ----------------------------------------------------------------


def test_a_refused_connection_is_retried_on_another_node() -> None:
    with ClosedPort() as dead, ScriptedNode(OK) as alive:
        with Client([dead.address, alive.address]) as client:
            assert client.put("k", "v") == OK
        assert len(alive.requests) == 1


def test_no_leader_is_retried_until_there_is_one() -> None:
    with ScriptedNode(NO_LEADER, NO_LEADER, OK) as node, Client([node.address]) as client:
        assert client.put("k", "v") == OK
        assert len(node.requests) == 3


@pytest.mark.usefixtures("skipped_pauses")
def test_no_leader_to_the_end_is_a_refusal() -> None:
    with ScriptedNode(*[NO_LEADER] * 200) as node:
        with (
            Client([node.address]) as client,
            pytest.raises(RefusedError, match=r"^NOLEADER no leader") as caught,
        ):
            client.put("k", "v")
        assert type(caught.value) is RefusedError
        # 5 s hold at most 102 rounds with pauses of 10, 20, 40, 50, 50, ... ms at least.
        assert 2 <= len(node.requests) <= 103


@pytest.mark.usefixtures("skipped_pauses")
def test_a_busy_leader_is_asked_again_and_nobody_else() -> None:
    with ScriptedNode(BUSY, BUSY, OK) as leader, ScriptedNode() as other:
        with Client([leader.address, other.address]) as client:
            assert client.put("k", "v") == OK
        assert other.requests == []
        leader.extend(*[BUSY] * 200)
        with (
            Client([leader.address]) as client,
            pytest.raises(RefusedError, match=r"^BUSY"),
        ):
            client.put("k", "v")


@pytest.mark.parametrize("answer", [INVALID, b"-ERR unknown command 'KV'\r\n"])
def test_an_invalid_request_is_refused_at_once(answer: Step) -> None:
    with ScriptedNode(answer) as node, ScriptedNode(OK) as other:
        with (
            Client([node.address, other.address]) as client,
            pytest.raises(RefusedError, match=r"^ERR "),
        ):
            client.put("k", "v")
        assert other.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        Misbehave.HANG_UP,
        b"$20\r\nhalf",
        b"?what\r\n",
        b":1\r\n",
        b"$1\r\n\xc1\r\n",
        bulk(api.CountResult(1, 1)),
        UNKNOWN,
        b"-WEIRD error\r\n",
    ],
    ids=["hang-up", "half", "not-resp", "integer", "not-msgpack", "other", "unknown", "weird"],
)
def test_a_query_without_a_proper_answer_is_asked_elsewhere(answer: Step) -> None:
    with ScriptedNode(answer) as broken, ScriptedNode(FOUND) as alive:
        with Client([broken.address, alive.address]) as client:
            assert client.get("foo") == FOO
        assert len(broken.requests) == 1


def test_a_query_does_not_spend_all_its_time_on_a_silent_node() -> None:
    with (
        ScriptedNode(Misbehave.SILENCE) as paused,
        ScriptedNode(FOUND) as alive,
        Client([paused.address, alive.address]) as client,
    ):
        assert client.get("foo") == FOO


def test_an_idle_connection_that_was_closed_is_replaced_before_sending() -> None:
    # A node restarts between two puts: the second must not end as unknown.
    with ScriptedNode(OK) as node, Client([node.address]) as client:
        client.put("k", "1")
        for connection in node._open:
            connection.shutdown(2)
        assert node.hung_up.wait(5)
        node.extend(OK)
        assert client.put("k", "2") == OK
        assert node.connections == 2


# --- What is never retried ----------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Misbehave.HANG_UP,
        Misbehave.SILENCE,
        b"$20\r\nhalf",
        b"?what\r\n",
        b":1\r\n",
        b"$1\r\n\xc1\r\n",
        bulk(api.CountResult(1, 1)),
        UNKNOWN,
        b"-UNKNOWN timed out\r\n",
        b"-WEIRD error\r\n",
    ],
    ids=[
        "hang-up",
        "silence",
        "half",
        "not-resp",
        "integer",
        "not-msgpack",
        "other",
        "unknown",
        "unknown-resp",
        "weird",
    ],
)
def test_without_a_session_a_command_that_was_not_answered_is_unknown_and_not_retried(
    answer: Step,
) -> None:
    with ScriptedNode(answer, OK) as node, ScriptedNode(OK) as other:
        with (
            Client([node.address, other.address], timeout_ms=2_000, exactly_once=False) as client,
            pytest.raises(OutcomeUnknownError, match=f"put was sent to {node.address}"),
        ):
            client.put("k", "v")
        assert len(node.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("command", ["put", "delete", "increment", "put_many"])
def test_without_a_session_no_kind_of_command_is_sent_twice(command: str) -> None:
    requests: dict[str, api.Request] = {
        "put": api.Put(b"k", b"v"),
        "delete": api.Delete((b"k",)),
        "increment": api.Increment(b"k", 1),
        "put_many": api.PutMany(((b"k", b"v"),)),
    }
    with ScriptedNode(Misbehave.HANG_UP) as node, ScriptedNode() as other:
        with (
            Client([node.address, other.address], exactly_once=False) as client,
            pytest.raises(OutcomeUnknownError),
        ):
            client.execute(requests[command])
        assert len(node.requests) + len(other.requests) == 1


def test_a_late_reply_is_never_taken_for_the_next_request() -> None:
    script: list[Step] = [OK, Misbehave.SILENCE, api.PutResult(2, True)]
    with ScriptedNode(*script) as node, Client([node.address], timeout_ms=20_000) as client:
        client.put("k", "0")
        client._timeout_ms = 200
        with pytest.raises(OutcomeUnknownError):
            client.put("k", "1")
        client._timeout_ms = 20_000
        assert client.put("k", "2").revision == 2
        assert node.connections == 2


def test_an_interrupted_request_leaves_no_reply_behind() -> None:
    with ScriptedNode(interrupt) as node, Client([node.address]) as client:
        with pytest.raises(KeyboardInterrupt):
            client.put("k", "1")
        node.extend(api.PutResult(2, True))
        assert client.put("k", "2").revision == 2


def test_without_a_session_a_command_that_was_sent_may_take_all_the_time_there_is() -> None:
    def late() -> api.Result:
        time.sleep(1.6)  # longer than half of the timeout, which is what a query would wait
        return OK

    with (
        ScriptedNode(late) as node,
        ScriptedNode() as other,
        Client([node.address, other.address], timeout_ms=3_000, exactly_once=False) as client,
    ):
        assert client.put("k", "v") == OK
