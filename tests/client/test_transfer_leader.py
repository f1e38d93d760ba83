"""Leadership moves once, however often the client has to ask for it."""

from __future__ import annotations

import pytest
from scripted_node import ClosedPort, Misbehave, ScriptedNode, Step, not_leader, reply

from kvstore import Client, OutcomeUnknownError, RefusedError, api
from kvstore.server import refusals

LEADS = api.GetResult(1, ())
NO_HEIR = refusals.cannot_take_over(2)
NOT_TAKEN = refusals.not_taken_over(2)
TOOK = api.HandOverResult(2, 8)
MOVING = api.Failure(api.FailureCode.NO_LEADER, "leadership is moving to node 2; try again")


def hand_overs(*nodes: ScriptedNode) -> list[api.HandOver]:
    return [one for node in nodes for one in node.requests if isinstance(one, api.HandOver)]


@pytest.mark.parametrize("loss", [Misbehave.HANG_UP, Misbehave.SILENCE, MOVING])
def test_who_is_asked_again_is_told_which_leader_was_to_hand_over(loss: Step) -> None:
    """The first copy may have moved leadership to the node that gets the second one."""
    with (
        ScriptedNode(reply(LEADS, term=7), loss) as leader,
        ScriptedNode(reply(api.HandOverResult(2, 8), term=8)) as heir,
        Client([leader.address, heir.address], timeout_ms=8_000) as client,
    ):
        assert client.transfer_leader() == api.HandOverResult(2, 8)
        asked = hand_overs(leader, heir)
        assert len(asked) == 2
        assert set(asked) == {api.HandOver(None, term=7)}


def test_the_leader_that_is_found_is_the_one_that_hands_over() -> None:
    with (
        ScriptedNode(reply(LEADS, term=9), reply(api.HandOverResult(3, 10), term=10)) as leader,
        ScriptedNode(not_leader(leader.address)) as follower,
        ClosedPort() as dead,
        Client([dead.address, follower.address]) as client,
    ):
        assert client.transfer_leader(3).leader_id == 3
        assert hand_overs(follower, leader) == [api.HandOver(3, term=9)]
        leader.extend(reply(LEADS, term=12), reply(api.HandOverResult(1, 13), term=13))
        client.transfer_leader()
        assert hand_overs(leader)[1:] == [api.HandOver(None, term=12)], "each looks anew"


def test_a_term_that_the_caller_names_is_sent_as_it_is() -> None:
    with ScriptedNode(api.HandOverResult(2, 8)) as node, Client([node.address]) as client:
        client.execute(api.HandOver(None, term=5))
        assert node.requests == [api.HandOver(None, term=5)]


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize(
    "then", [Misbehave.SILENCE, MOVING, api.Failure(api.FailureCode.INVALID, "leadership moved")]
)
@pytest.mark.parametrize("loss", [Misbehave.HANG_UP, Misbehave.SILENCE])
def test_what_came_of_a_copy_that_was_not_answered_is_unknown(loss: Step, then: Step) -> None:
    """Leadership may have moved: that nothing was changed is not for the client to say."""
    timeout_ms = 3_000 if Misbehave.SILENCE in (loss, then) else 20_000
    with (
        ScriptedNode(reply(LEADS, term=7), loss, *[then] * 400) as leader,
        ScriptedNode(*[then] * 400) as other,
        Client([leader.address, other.address], timeout_ms) as client,
        pytest.raises(OutcomeUnknownError, match="the handover was sent to "),
    ):
        client.transfer_leader(2)


@pytest.mark.usefixtures("skipped_pauses")
def test_a_hand_over_that_was_never_sent_is_in_no_doubt() -> None:
    with (
        ScriptedNode(reply(LEADS, term=7), *[MOVING] * 200) as leader,
        Client([leader.address]) as client,
        pytest.raises(RefusedError, match="leadership is moving"),
    ):
        client.transfer_leader()


def test_an_heir_that_cannot_lead_is_told_at_once_and_may_be_asked_for_again() -> None:
    with (
        ScriptedNode(reply(LEADS, term=7), NO_HEIR, reply(LEADS, term=7), TOOK) as leader,
        Client([leader.address], timeout_ms=20_000) as client,
    ):
        with pytest.raises(RefusedError, match="cannot take over now") as caught:
            client.transfer_leader(2)
        assert (caught.value.code, caught.value.retryable) == ("NOHEIR", True)
        assert client.transfer_leader(2) == api.HandOverResult(2, 8)


def test_an_heir_that_may_take_over_late_is_waited_for_and_then_unknown() -> None:
    with (
        ScriptedNode(reply(LEADS, term=7), NOT_TAKEN, TOOK) as leader,
        Client([leader.address], timeout_ms=20_000) as client,
    ):
        assert client.transfer_leader(2) == api.HandOverResult(2, 8)
        assert hand_overs(leader) == [api.HandOver(2, term=7)] * 2
        leader.extend(reply(LEADS, term=7), NOT_TAKEN, NO_HEIR)
        with pytest.raises(OutcomeUnknownError, match=r"try again \(but look first") as caught:
            client.transfer_leader(2)
        assert not caught.value.retryable


@pytest.mark.parametrize("node_id", [0, -1, 65_536, 99999999999999999999999])
def test_an_id_that_no_node_can_have_is_refused_before_anything_is_sent(node_id: int) -> None:
    with ClosedPort() as nobody, Client([nobody.address]) as client:
        with pytest.raises(RefusedError, match="a node's id is 1 to 65535, not ") as caught:
            client.transfer_leader(node_id)
        assert "nothing was sent" in str(caught.value)
