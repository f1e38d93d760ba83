"""Which changes of members are made, what comes of them, and why others are not."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.server.member_changes import Known, Refused, changed, holds

FOUNDERS = Configuration(tuple(Member(i, f"h{i}:9001", 0, "") for i in (1, 2, 3)))
ALL = frozenset({1, 2, 3})


def known(*answering: int, **addresses: str) -> Known:
    there = {node: f"h{node}:9001" for node in answering}
    said = {int(name.removeprefix("n")): address for name, address in addresses.items()}
    return Known(frozenset(answering), {**there, **said})


def made(
    change: api.Change, what: Known | None = None, before: Configuration = FOUNDERS
) -> Configuration:
    after = changed(before, change, what or known(1, 2, 3))
    assert isinstance(after, Configuration), after
    return after


def refused(
    change: api.Change, what: Known | None = None, before: Configuration = FOUNDERS
) -> Refused:
    after = changed(before, change, what or known(1, 2, 3))
    assert isinstance(after, Refused), after
    return after


def with_learner(node_id: int = 4) -> Configuration:
    return made(api.AddMember(node_id, f"h{node_id}:9001"))


def test_a_new_member_is_a_learner() -> None:
    after = with_learner()
    assert after.voters == ALL
    assert after.member(4) == Member(4, "h4:9001", NOT_ADMITTED)


def test_a_learner_can_be_added_whoever_answers() -> None:
    made(api.AddMember(4, "h4:9001"), known(1))


def test_a_removed_member_is_gone() -> None:
    assert made(api.RemoveMember(2)).voters == {1, 3}
    assert made(api.RemoveMember(4), known(1), with_learner()) == FOUNDERS


def test_a_member_that_moves_stays_what_it_is() -> None:
    after = made(api.MoveMember(2, "new:1"))
    assert after.member(2) == Member(2, "new:1", 0, "")
    after = made(api.MoveMember(4, "new:1"), before=with_learner())
    assert after.member(4) == Member(4, "new:1", NOT_ADMITTED)


def test_a_member_that_is_replaced_is_a_learner_elsewhere() -> None:
    after = made(api.ReplaceMember(2, "new:1"), known(1, 3))
    assert after.voters == {1, 3}
    assert after.member(2) == Member(2, "new:1", NOT_ADMITTED)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (api.AddMember(2, "h9:1"), "node 2 is a member already, at h2:9001"),
        (api.AddMember(4, "h2:9001"), "node 2 is at h2:9001: give each its own address"),
        (api.MoveMember(1, "h2:9001"), "node 2 is at h2:9001: give each its own address"),
        (api.MoveMember(2, "h2:9001"), "node 2 is at h2:9001 already: start it there"),
        (api.ReplaceMember(1, "h2:9001"), "node 2 is at h2:9001: give each its own address"),
        (
            api.ReplaceMember(2, "h2:9001"),
            "node 2 is at h2:9001 already: start it there, with no directory and --join",
        ),
        (api.RemoveMember(9), "there is no node 9: the members are 1, 2, 3"),
        (api.PromoteMember(9), "there is no node 9: the members are 1, 2, 3"),
        (api.MoveMember(9, "h9:1"), "there is no node 9: the members are 1, 2, 3"),
        (api.ReplaceMember(9, "h9:1"), "there is no node 9: the members are 1, 2, 3"),
        (api.AddMember(4, "h4"), "'h4' has no port: write h4:port"),
        (api.AddMember(4, "0.0.0.0:1"), "'0.0.0.0' means every interface"),
        (api.AddMember(4, "H4:1"), "'H4:1' is written h4:1"),
        (api.AddMember(4, " h4:1"), "' h4:1' is written h4:1"),
    ],
)
def test_what_can_never_be_is_refused(change: api.Change, why: str) -> None:
    told = refused(change)
    assert told.why.startswith(why)
    assert not told.may_pass


@pytest.mark.parametrize("change", [api.RemoveMember(1), api.ReplaceMember(1, "new:1")])
def test_the_only_voter_stays(change: api.Change) -> None:
    alone = Configuration((Member(1, "h1:9001", 0, ""), Member(2, "h2:9001", NOT_ADMITTED)))
    assert refused(change, known(1, 2), alone) == Refused("node 1 is the only one that votes")


def test_a_cluster_has_no_more_members_than_it_may() -> None:
    full = Configuration(tuple(Member(i, f"h{i}:9001", 0, "") for i in range(1, 8)))
    told = refused(api.AddMember(8, "h8:1"), known(*range(1, 8)), full)
    assert told == Refused("a cluster has at most 7 members: remove one before")


@pytest.mark.parametrize("change", [api.RemoveMember(2), api.ReplaceMember(2, "new:1")])
def test_those_that_answer_are_a_majority_of_the_voters_that_are_left(change: api.Change) -> None:
    told = refused(change, known(1, 2))
    assert told.may_pass
    assert told.why == (
        "without it no majority would be left: of the voters 1, 3 only 1 would answer"
    )
    made(change, known(1, 3))


def test_somebody_is_left_who_has_the_data_to_lead() -> None:
    """Of a node that waits for a snapshot, only its leader can make one that leads."""
    two = made(api.RemoveMember(3))
    waiting = msgspec.structs.replace(known(1, 2), without_data=frozenset({2}))
    no = refused(api.RemoveMember(1), waiting, two)
    assert no.may_pass
    assert "without it nobody could lead: of the voters only 2 would answer" in no.why
    assert made(api.RemoveMember(2), waiting, two).voters == {1}
    assert made(api.RemoveMember(1), known(1, 2), two).voters == {2}


def test_a_member_that_moves_does_not_count_before_it_is_there() -> None:
    change = api.MoveMember(2, "new:1")
    assert refused(change, known(1, 2)).may_pass
    made(change, known(1, 2, n2="new:1"))
    assert refused(change, known(1, 3), made(api.RemoveMember(3))).may_pass


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (api.AddMember(4, "h4:9001"), with_learner()),
        (api.PromoteMember(2), FOUNDERS),
        (api.RemoveMember(4), FOUNDERS),
        (api.MoveMember(2, "new:1"), made(api.MoveMember(2, "new:1"))),
        (api.ReplaceMember(2, "new:1"), made(api.ReplaceMember(2, "new:1"))),
    ],
)
def test_what_an_earlier_copy_has_done_holds(change: api.Change, after: Configuration) -> None:
    assert holds(after, change)
    other = msgspec.structs.replace(
        change, node_id=3 if isinstance(change, api.RemoveMember) else 9
    )
    assert not holds(after, other)
    if isinstance(change, api.AddMember | api.MoveMember | api.ReplaceMember):
        assert not holds(after, msgspec.structs.replace(change, address="elsewhere:1"))


def test_a_member_is_replaced_only_if_its_directory_votes_no_more() -> None:
    """It may have moved meanwhile to where its successor was to be."""
    change = api.ReplaceMember(2, "new:1", after=5)
    moved = made(api.MoveMember(2, "new:1"), known(1, 2, n2="new:1"))
    assert not holds(moved, change)
    promoted = moved.with_member(Member(2, "new:1", 9, "ab" * 16))
    assert holds(promoted, change), "the new directory votes by now"
    assert not holds(promoted, msgspec.structs.replace(change, after=12))


def test_a_learner_does_not_vote_yet() -> None:
    assert not holds(with_learner(), api.PromoteMember(4))
