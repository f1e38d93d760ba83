"""A change of members is made once, however often the client has to ask for it."""

from __future__ import annotations

import pytest
from scripted_node import ClosedPort, Misbehave, ScriptedNode, Step, not_leader, reply

from kvstore import Client, ConfigError, OutcomeUnknownError, RefusedError, api
from kvstore.server import refusals

TWO = (
    api.Member(1, "127.0.0.1:9001", api.MemberRole.VOTER, True, 30),
    api.Member(2, "127.0.0.1:9002", api.MemberRole.LEARNER, False, 0),
)
SEEN = api.MembersResult("c", 1, 17, True, 31, TWO)
DONE = api.ChangeResult(32)
AT = "10.0.0.4:9004"
UNDER_WAY = refusals.change_is_under_way(18)
ELECTING = api.Failure(api.FailureCode.NO_LEADER, "no leader is known")


def changes(*nodes: ScriptedNode) -> list[object]:
    return [one for node in nodes for one in node.requests if isinstance(one, api.CHANGES)]


def test_each_change_names_the_members_that_it_is_meant_of() -> None:
    with ScriptedNode(*[SEEN, DONE] * 5) as node, Client([node.address]) as client:
        assert client.add_member(4, AT) == DONE
        client.promote_member(4)
        client.remove_member(2)
        client.replace_member(3, AT)
        client.move_member(3, AT)
        assert changes(node) == [
            api.AddMember(4, AT, 17),
            api.PromoteMember(4, 17),
            api.RemoveMember(2, 17),
            api.ReplaceMember(3, AT, 17),
            api.MoveMember(3, AT, 17),
        ]
        assert node.requests[::2] == [api.Members()] * 5


def test_the_members_are_those_that_the_leader_knows() -> None:
    with (
        ScriptedNode(SEEN) as leader,
        ScriptedNode(not_leader(leader.address)) as follower,
        Client([follower.address]) as client,
    ):
        assert client.members() == SEEN


@pytest.mark.parametrize("loss", [Misbehave.HANG_UP, Misbehave.SILENCE, ELECTING])
def test_who_is_asked_again_is_told_which_members_were_seen(loss: Step) -> None:
    """The first copy may have changed them by then."""
    with (
        ScriptedNode(reply(SEEN, term=7), loss) as leader,
        ScriptedNode(reply(DONE, term=8)) as other,
        Client([leader.address, other.address], timeout_ms=8_000) as client,
    ):
        assert client.remove_member(2) == DONE
        assert changes(leader, other) == [api.RemoveMember(2, 17)] * 2


@pytest.mark.usefixtures("skipped_pauses")
def test_what_came_of_a_copy_that_was_not_answered_is_unknown() -> None:
    with (
        ScriptedNode(SEEN, Misbehave.HANG_UP, *[ELECTING] * 200) as leader,
        Client([leader.address]) as client,
        pytest.raises(OutcomeUnknownError, match="the change of members was sent to "),
    ):
        client.remove_member(2)


def test_a_change_while_another_is_under_way_is_told_at_once_and_may_be_asked_for_again() -> None:
    with (
        ScriptedNode(SEEN, UNDER_WAY, SEEN, DONE) as leader,
        Client([leader.address], timeout_ms=20_000) as client,
    ):
        with pytest.raises(RefusedError, match="another change of members is under way") as caught:
            client.remove_member(2)
        assert (caught.value.code, caught.value.retryable) == ("NOCHANGE", True)
        assert client.remove_member(2) == DONE


def test_members_that_the_caller_names_are_sent_as_they_are() -> None:
    with ScriptedNode(DONE) as node, Client([node.address]) as client:
        client.execute(api.RemoveMember(2, after=0))
        assert node.requests == [api.RemoveMember(2, after=0)]


def test_a_client_learns_of_other_members_and_outlives_those_that_it_was_given() -> None:
    """The leader says with each answer by which entry it knows the members."""
    found = api.GetResult(1, (None,))
    with ScriptedNode(reply(found, term=2)) as other, ClosedPort() as gone:
        places = (gone.address, other.address)
        now = tuple(
            api.Member(number, where, api.MemberRole.VOTER, True, 9)
            for number, where in enumerate(places, 1)
        )
        members = api.MembersResult("c", 1, 17, True, 9, now)
        told = (reply(found, members_at=17), reply(members, members_at=17))
        with ScriptedNode(*told, reply(found, members_at=17)) as first:
            client = Client([first.address], timeout_ms=5_000)
            client.get("k")
            client.get("k")
            asked = [api.Get((b"k",)), api.Members(), api.Get((b"k",))]
            assert first.requests == asked, "once, as long as they stay"
        with client:
            client.get("k")
        assert other.requests == [api.Get((b"k",))]


def test_a_client_that_cannot_learn_of_the_members_has_its_answer_all_the_same() -> None:
    found = api.GetResult(1, (None,))
    with (
        ScriptedNode(reply(found, members_at=17), Misbehave.HANG_UP, reply(found)) as node,
        Client([node.address], timeout_ms=2_000) as client,
    ):
        assert client.get("k") is None
        assert client.get("k") is None
        assert node.requests[1] == api.Members()


@pytest.mark.parametrize("address", ["", "h", "9004", "h:0", "0.0.0.0:9004", "a..b:1", "h:1,h:2"])
def test_what_is_no_address_is_refused_before_anything_is_sent(address: str) -> None:
    with ClosedPort() as nobody, Client([nobody.address]) as client, pytest.raises(ConfigError):
        client.add_member(4, address)


def test_what_no_node_takes_is_not_sent() -> None:
    with ClosedPort() as nobody, Client([nobody.address]) as client:
        for request in (
            api.AddMember(0, AT),
            api.AddMember(65_536, AT),
            api.AddMember(4, ""),
            api.AddMember(4, "h" * 301),
            api.MoveMember(4, "h" * 301),
            api.ReplaceMember(4, ""),
            api.RemoveMember(4, after=-1),
            api.PromoteMember(-4),
        ):
            with pytest.raises(RefusedError, match="nothing was sent"):
                client.execute(request)
