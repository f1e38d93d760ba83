"""Writes under a session: sent again under the same number until somebody answers."""

from __future__ import annotations

import pytest
from scripted_node import (
    INVALID,
    NO_LEADER,
    OK,
    UNKNOWN,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    bulk,
    not_leader,
)

from kvstore import Client, NotLeaderError, OutcomeUnknownError, RefusedError, api

from .answers import interrupt
from .numbers import numbers, opened

NO_SESSION = api.Failure(api.FailureCode.NO_SESSION, "session 1 is unknown or expired")
OVERTAKEN = api.Failure(api.FailureCode.TAKEN, "request 1 comes after its request 3")
ANOTHER_WRITE = api.Failure(api.FailureCode.TAKEN, "request 1 was another write", is_final=True)
NOT_A_NUMBER = api.Failure(api.FailureCode.INVALID, "value is not an integer", is_final=True)


def test_the_first_write_opens_a_session_and_each_write_has_a_number_of_its_own() -> None:
    with ScriptedNode(api.CountResult(1, 1), OK, OK) as node, Client([node.address]) as client:
        client.count()
        assert opened(node) == 0
        client.put("k", "1")
        client.put("k", "2")
        assert opened(node) == 1
        assert numbers(node) == [(2, 1), (2, 2)]


@pytest.mark.parametrize(
    "answer",
    [
        Misbehave.HANG_UP,
        Misbehave.SILENCE,
        b"$20\r\nhalf",
        b":1\r\n",
        b"$1\r\n\xc1\r\n",
        bulk(api.CountResult(1, 1)),
        UNKNOWN,
        b"-UNKNOWN timed out\r\n",
        b"-WEIRD error\r\n",
    ],
)
def test_a_write_that_was_not_answered_is_sent_again_under_its_number(answer: Step) -> None:
    with ScriptedNode(answer) as node, ScriptedNode(api.IncrementResult(9, 1)) as other:
        with Client([node.address, other.address]) as client:
            assert client.increment("n") == 1
        assert numbers(node) == numbers(other) == [(1, 1)]
        assert node.requests == other.requests == [api.Increment(b"n", 1)]
        assert opened(node, other) == 1


@pytest.mark.usefixtures("skipped_pauses")
def test_a_write_that_nobody_answers_is_unknown_at_the_deadline_and_gives_up_its_number() -> None:
    with ScriptedNode(*[UNKNOWN] * 200) as node, Client([node.address]) as client:
        with pytest.raises(OutcomeUnknownError, match="5000 ms; look what is there"):
            client.put("k", "1")
        assert len(node.requests) > 1
        node._script[:] = [OK]
        client.put("k", "2")
        assert set(numbers(node)[:-1]) == {(1, 1)}
        assert numbers(node)[-1] == (1, 2)


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize("refusal", [NO_LEADER, not_leader(None), INVALID])
def test_a_refusal_after_a_copy_that_was_not_answered_settles_nothing(refusal: Step) -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP, *[refusal] * 200) as node,
        Client([node.address]) as client,
        pytest.raises(OutcomeUnknownError, match="put was sent to"),
    ):
        client.put("k", "v")


@pytest.mark.usefixtures("skipped_pauses")
def test_nobody_there_after_a_copy_that_was_not_answered_settles_nothing() -> None:
    with (
        ClosedPort() as dead,
        ScriptedNode(UNKNOWN) as node,
        Client([node.address, dead.address]) as client,
        pytest.raises(OutcomeUnknownError),
    ):
        client.put("k", "v")


def test_without_following_a_redirect_after_a_copy_that_was_not_answered_is_unknown() -> None:
    with (
        ScriptedNode(UNKNOWN, not_leader("127.0.0.1:1")) as node,
        Client([node.address], follow=False) as client,
    ):
        with pytest.raises(OutcomeUnknownError, match="NOTLEADER"):
            client.put("k", "v")
        node.extend(not_leader("127.0.0.1:1"))
        with pytest.raises(NotLeaderError):
            client.put("k", "v")


def test_what_the_state_machine_refused_is_refused_also_when_it_is_asked_again() -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP, NOT_A_NUMBER) as node,
        Client([node.address]) as client,
        pytest.raises(RefusedError, match="not an integer"),
    ):
        client.increment("k")


@pytest.mark.parametrize("loss", [NO_SESSION, OVERTAKEN, ANOTHER_WRITE])
def test_a_lost_session_is_replaced_when_the_write_comes_for_the_first_time(
    loss: api.Failure,
) -> None:
    with ScriptedNode(OK, loss, loss, OK, OK) as node, Client([node.address]) as client:
        client.put("k", "1")
        client.put("k", "2")
        client.put("k", "3")
        assert numbers(node) == [(1, 1), (1, 2), (4, 1), (6, 1), (6, 2)]


@pytest.mark.parametrize("loss", [NO_SESSION, OVERTAKEN])
def test_a_lost_session_leaves_a_write_that_was_sent_before_unknown(loss: api.Failure) -> None:
    script = [UNKNOWN, loss, UNKNOWN, loss, OK]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError, match=loss.code.value):
                client.put("k", "1")
        client.put("k", "2")
        assert numbers(node) == [(1, 1), (1, 1), (4, 1), (4, 1), (7, 1)]


def test_a_write_whose_number_another_write_has_was_never_done_and_is_sent_anew() -> None:
    """Somebody goes on with a copy of this session: both are served, under two sessions."""
    script = [UNKNOWN, ANOTHER_WRITE, UNKNOWN, ANOTHER_WRITE, OK]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        assert client.put("k", "1") == OK
        assert numbers(node) == [(1, 1), (1, 1), (4, 1), (4, 1), (7, 1)]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_write_in_doubt_again_under_its_new_session_is_unknown() -> None:
    script = [UNKNOWN, ANOTHER_WRITE, *[UNKNOWN] * 200]
    with (
        ScriptedNode(*script) as node,
        Client([node.address]) as client,
        pytest.raises(OutcomeUnknownError),
    ):
        client.put("k", "1")


@pytest.mark.usefixtures("skipped_pauses")
def test_a_node_that_knows_no_session_at_all_is_not_asked_for_ever() -> None:
    with (
        ScriptedNode(*[NO_SESSION] * 200) as node,
        Client([node.address]) as client,
        pytest.raises(RefusedError, match=r"NOSESSION .* try again") as caught,
    ):
        client.put("k", "v")
    assert (caught.value.code, caught.value.retryable) == ("NOLEADER", True)


def test_to_open_a_session_is_tried_again_whatever_becomes_of_it() -> None:
    with ScriptedNode() as node, ScriptedNode(OK) as other:
        node.scripts_sessions = True
        node.extend(Misbehave.HANG_UP)
        with Client([node.address, other.address]) as client:
            assert client.put("k", "v") == OK
        assert opened(node, other) == 2
        assert numbers(other) == [(1, 1)]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_session_that_nobody_opens_is_no_unknown_outcome() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        node.scripts_sessions = True
        node.extend(*[UNKNOWN] * 200)
        with pytest.raises(RefusedError, match="so the write was not sent; gave up after 5000 ms"):
            client.put("k", "v")


def test_an_interrupted_write_gives_up_its_number() -> None:
    with ScriptedNode(interrupt) as node, Client([node.address]) as client:
        with pytest.raises(KeyboardInterrupt):
            client.put("k", "1")
        node.extend(api.PutResult(2, True))
        assert client.put("k", "2").revision == 2
        assert numbers(node) == [(1, 1), (1, 2)]


def test_a_record_that_was_too_large_to_keep_is_left_out_of_the_answer() -> None:
    put = api.Put(b"k", b"v", return_previous=True)
    with (
        ScriptedNode(UNKNOWN, api.Repeated(7, True)) as node,
        Client([node.address]) as client,
    ):
        assert client.execute(put) == api.Repeated(7, True)


def test_a_write_does_not_spend_all_its_time_on_a_silent_node() -> None:
    with ScriptedNode(OK, Misbehave.SILENCE) as paused, ScriptedNode(OK) as other:
        with Client([paused.address, other.address]) as client:
            client.put("k", "1")
            assert client.put("k", "2") == OK
        assert numbers(paused, other) == [(1, 1), (1, 2), (1, 2)]


def test_a_numbered_write_of_the_caller_s_own_is_sent_again_too() -> None:
    once = api.Once(7, 3, api.Put(b"k", b"v"))
    with (
        ScriptedNode(Misbehave.HANG_UP, UNKNOWN, OK) as node,
        Client([node.address], exactly_once=False) as client,
    ):
        assert client.execute(once) == OK
        assert numbers(node) == [(7, 3)] * 3


@pytest.mark.parametrize("loss", [NO_SESSION, OVERTAKEN])
def test_a_caller_s_own_session_that_is_lost_in_doubt_leaves_the_outcome_unknown(
    loss: api.Failure,
) -> None:
    once = api.Once(7, 3, api.Put(b"k", b"v"))
    with ScriptedNode(UNKNOWN, loss, loss) as node, Client([node.address]) as client:
        with pytest.raises(OutcomeUnknownError, match=loss.code.value):
            client.execute(once)
        with pytest.raises(RefusedError, match=loss.code.value):
            client.execute(once)
        node.extend(UNKNOWN, ANOTHER_WRITE)
        with pytest.raises(RefusedError, match="another write"):
            client.execute(once)
