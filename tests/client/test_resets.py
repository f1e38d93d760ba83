"""Connections that break before, in and after a request: what is certain, and what is not."""

from __future__ import annotations

import pytest
from scripted_node import OK, ClosedPort, Misbehave, ScriptedNode, Step

from kvstore import Client, OutcomeUnknownError, RefusedError, UnreachableError, api
from kvstore.config.limits import VALUE_BYTES_CEILING

from .answers import FOO, FOUND

BEYOND_BUFFERS = bytes(min(VALUE_BYTES_CEILING, 15 << 20))
"""More than the kernel takes for a node that does not read."""

AFTER_THE_END = [
    Misbehave.HANG_UP,
    Misbehave.HALF_CLOSE,
    Misbehave.RESET_LATE,
    # All of a short request is with the kernel by then, and may be with the node.
    Misbehave.RESET_UNREAD,
    Misbehave.RESET_EARLY,
]
IN_THE_MIDDLE = [Misbehave.RESET_UNREAD, Misbehave.RESET_EARLY]


def names(ways: list[Misbehave]) -> list[str]:
    return [way.name for way in ways]


def opens_a_session_and_then(node: ScriptedNode, way: Misbehave) -> None:
    """A way to break would count for the session, if that were not in the script."""
    node.scripts_sessions = True
    node.extend(api.SessionResult(1), way)


@pytest.mark.parametrize("way", AFTER_THE_END, ids=names(AFTER_THE_END))
def test_without_a_session_a_write_that_was_sent_whole_is_unknown_whatever_breaks(
    way: Misbehave,
) -> None:
    with ScriptedNode(way, way) as node, ScriptedNode(OK) as other:
        with Client([node.address, other.address], exactly_once=False) as client:
            for _ in range(2):
                with pytest.raises(OutcomeUnknownError, match=f"put was sent to {node.address}"):
                    client.put("k", "v")
        assert other.requests == []


@pytest.mark.parametrize("way", AFTER_THE_END, ids=names(AFTER_THE_END))
def test_under_a_session_it_is_sent_again_under_its_number(way: Misbehave) -> None:
    with ScriptedNode() as node, ScriptedNode(way, OK) as other:
        opens_a_session_and_then(node, way)
        with Client([node.address, other.address]) as client:
            assert client.put("k", "v") == OK
        onces = [call.request for call in other.calls]
        assert {type(once) for once in onces} == {api.Once}
        assert len({repr(once) for once in onces}) == 1


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize("way", AFTER_THE_END, ids=names(AFTER_THE_END))
def test_under_a_session_it_is_unknown_if_nobody_answers_it(way: Misbehave) -> None:
    with ScriptedNode() as node:
        opens_a_session_and_then(node, way)
        with (
            Client([node.address]) as client,
            pytest.raises(OutcomeUnknownError, match="put was sent"),
        ):
            client.put("k", "v")


@pytest.mark.parametrize("exactly_once", [True, False])
@pytest.mark.parametrize("way", IN_THE_MIDDLE, ids=names(IN_THE_MIDDLE))
def test_a_write_sent_in_part_is_certainly_not_sent_and_goes_to_another_node(
    way: Misbehave, exactly_once: bool
) -> None:
    session: list[Step] = [api.SessionResult(1)] if exactly_once else []
    with ScriptedNode(*session, *[way] * 9) as node, ScriptedNode(way, OK) as other:
        node.scripts_sessions = True
        with Client([node.address, other.address], exactly_once=exactly_once) as client:
            assert client.put("k", BEYOND_BUFFERS) == OK
        assert api.Put(b"k", BEYOND_BUFFERS) not in node.requests
        assert other.requests == [api.Put(b"k", BEYOND_BUFFERS)]


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize("way", IN_THE_MIDDLE, ids=names(IN_THE_MIDDLE))
def test_a_write_of_which_nobody_took_all_changed_nothing(way: Misbehave) -> None:
    with (
        ScriptedNode(*[way] * 200) as node,
        Client([node.address], exactly_once=False) as client,
        pytest.raises(UnreachableError, match="cannot send all of the request"),
    ):
        client.put("k", BEYOND_BUFFERS)


@pytest.mark.parametrize("way", AFTER_THE_END, ids=names(AFTER_THE_END))
def test_a_query_is_asked_again_whatever_breaks(way: Misbehave) -> None:
    with (
        ScriptedNode(way, way) as node,
        ScriptedNode(way, FOUND) as other,
        Client([node.address, other.address]) as client,
    ):
        assert client.get("foo") == FOO


# --- A refusal that comes before the request is over --------------------------------------


def test_a_node_that_refuses_before_it_has_all_and_hangs_up_is_heard() -> None:
    with (
        ScriptedNode(*[Misbehave.REFUSE_EARLY] * 2, OK) as node,
        ScriptedNode() as other,
        Client([node.address, other.address], exactly_once=False) as client,
    ):
        for _ in range(2):
            with pytest.raises(RefusedError, match="request too large: over 16 bytes") as caught:
                client.put("k", BEYOND_BUFFERS)
            assert type(caught.value) is RefusedError
        assert client.put("k", "v") == OK
        assert node.connections == 3
        assert other.requests == []


def test_an_early_refusal_does_not_settle_what_an_earlier_copy_may_have_done() -> None:
    script: list[Step] = [api.SessionResult(1), Misbehave.HANG_UP, Misbehave.REFUSE_EARLY]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        node.scripts_sessions = True
        with pytest.raises(OutcomeUnknownError, match="request too large"):
            client.put("k", BEYOND_BUFFERS)


def test_nothing_follows_a_request_that_was_sent_in_part() -> None:
    """The node would take the next one for the rest of it."""
    with (
        ScriptedNode(*[Misbehave.REFUSE_AND_STALL, FOUND] * 2) as node,
        Client([node.address], timeout_ms=2_000, exactly_once=False) as client,
    ):
        for asked in (1, 2):
            with pytest.raises(RefusedError, match="request too large"):
                client.put("k", BEYOND_BUFFERS)
            assert client.get("foo") == FOO
            assert node.connections == 1 + asked


@pytest.mark.usefixtures("skipped_pauses")
def test_a_broken_connection_to_a_node_and_none_to_the_other_is_no_refusal() -> None:
    with (
        ScriptedNode(*[Misbehave.RESET_LATE] * 400) as node,
        ClosedPort() as dead,
        Client([node.address, dead.address]) as client,
    ):
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError):
                client.put("k", "v")
