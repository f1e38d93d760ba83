"""Changes of members, as they were asked for and told, against those that the log made."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.raft.configuration import Configuration, Member
from kvstore.raft.configurations import configuration_data
from kvstore.raft.types import Entry, EntryKind
from kvstore.sim.checkers.changes import check_changes
from kvstore.sim.history import Operation

FOUNDERS = Configuration.of_founders({node: f"sim:{9_000 + node}" for node in (1, 2, 3)})
WITHOUT = FOUNDERS.without(3)
AGAIN = WITHOUT.with_member(Member(3, "sim:9003", -1))
PROMOTED = WITHOUT.with_member(Member(3, "sim:9003", 9, "d" * 32))
LOG = ((5, WITHOUT), (7, AGAIN), (9, PROMOTED))

REMOVE, ADD = api.RemoveMember(3, 0), api.AddMember(3, "sim:9003", 5)
REFUSED = api.Failure(api.FailureCode.NO_CHANGE, "no")
UNKNOWN = api.Failure(api.FailureCode.UNKNOWN, "who knows")
DONE = ((REMOVE, api.ChangeResult(5)), (ADD, api.ChangeResult(7)))


def judged(*told: tuple[api.Request, api.Result | None], log=LOG) -> list[str]:
    entries = [Entry(1, 1, EntryKind.NOOP, b"1")]
    entries += [Entry(i, 1, EntryKind.CONFIGURE, configuration_data(one)) for i, one in log]
    history = [Operation(1, at, at + 0.5, *one) for at, one in enumerate(told)]
    return check_changes(history, FOUNDERS, entries)


def members(index: int, configuration: Configuration, *, settled: bool = True) -> api.MembersResult:
    role = api.MemberRole.VOTER
    told = tuple(
        api.Member(one.node_id, one.address, role, True, 0) for one in configuration.members
    )
    return api.MembersResult("c", 1, index, settled, 9, told)


def test_changes_that_were_asked_for_and_told_hold_and_votes_come_by_themselves() -> None:
    promote = (api.PromoteMember(3, 7), api.ChangeResult(9))
    assert judged(*DONE, promote, (api.Members(), members(5, WITHOUT))) == []


@pytest.mark.parametrize("result", [None, UNKNOWN])
def test_what_is_not_known_may_have_been_done_or_not(result: api.Result | None) -> None:
    assert judged((REMOVE, result), (ADD, result)) == []
    assert judged((REMOVE, result), (ADD, result), log=()) == []


def test_a_copy_of_a_request_may_be_refused_where_another_was_not() -> None:
    assert judged(*DONE, (REMOVE, REFUSED), (ADD, UNKNOWN)) == []


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([DONE[1]], id="nobody asked"),
        pytest.param([(REMOVE, REFUSED), DONE[1]], id="who asked was refused"),
        pytest.param([(api.RemoveMember(2, 0), UNKNOWN), DONE[1]], id="another was meant"),
        pytest.param([DONE[0], (api.AddMember(3, "sim:9004", 5), UNKNOWN)], id="another place"),
        pytest.param([DONE[0], (api.AddMember(3, "sim:9003", 0), UNKNOWN)], id="older members"),
        pytest.param([DONE[0], (api.AddMember(3, "sim:9003", 7), UNKNOWN)], id="newer members"),
    ],
)
def test_a_change_that_was_not_asked_for_is_found(told) -> None:
    assert any("unasked" in finding for finding in judged(*told))


def test_a_change_that_is_made_more_often_than_it_was_asked_for_is_found() -> None:
    log = (*LOG, (11, WITHOUT))
    assert any(
        "entry 11" in one for one in judged((api.RemoveMember(3), UNKNOWN), DONE[1], log=log)
    )


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (REMOVE, api.ChangeResult(4)),
        (REMOVE, api.ChangeResult(7)),
        (ADD, api.ChangeResult(5)),
        (api.AddMember(3, "sim:9004", 5), api.ChangeResult(7)),
        (api.PromoteMember(3, 5), api.ChangeResult(7)),
        (api.Members(), members(5, FOUNDERS)),
        (api.Members(), members(4, WITHOUT)),
    ],
)
def test_an_answer_that_the_log_does_not_bear_out_is_found(request_, result) -> None:
    assert len(judged(*DONE, (request_, result))) == 1


def test_members_that_are_not_settled_may_be_others_in_the_end() -> None:
    assert judged(*DONE, (api.Members(), members(5, FOUNDERS, settled=False))) == []
