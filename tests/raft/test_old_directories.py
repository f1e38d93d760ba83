"""A directory of a node that another one has replaced: whoever has that in its log, committed or
not, neither helps it nor counts its help.
"""

from __future__ import annotations

import msgspec
import pytest
from founding import founders

from kvstore.raft.changes import demoted, promoted
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.configurations import MEMBERS_BELIEVED_MAX, Configurations, configuration_data
from kvstore.raft.messages import AppendEntries, FetchEntriesReply, Message
from kvstore.raft.types import Entry, EntryKind, HardState, Role

from .disk import THREE, Disk, admission, configured, entries_of_terms
from .harness import World
from .messages import (
    CLUSTER,
    accepted,
    append,
    fetched,
    of_directory,
    pre_vote,
    pre_vote_reply,
    request_vote,
    timeout_now,
    vote_reply,
)

NAME = "d" * 32


def with_admissions(
    *entries: Entry, term: int = 3, admitted_at: int = 0, directory: str = ""
) -> World:
    """Node 1 of three, alone on a bench, with a log of one no-op and these."""
    log = [*entries_of_terms([1]), *entries]
    disk = Disk(HardState(term, None, admitted_at), log, directory=directory)
    disk.configuration = THREE
    return World(3, running=[1], disks={1: disk})


def stand(world: World) -> None:
    """Node 3 would vote for node 1, which then asks for votes."""
    world.fall_silent(1)
    world.hand(pre_vote_reply(3, world.raft().current_term))
    assert world.raft().role is Role.CANDIDATE


def carrying(message: Message, *entries: Entry) -> Message:
    return msgspec.structs.replace(message, entries=entries)


# --- Whose help counts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("admitted_at", "name", "role"),
    [
        (0, "", Role.CANDIDATE),
        (1, "b" * 32, Role.CANDIDATE),
        (2, "a" * 32, Role.LEADER),
        (NOT_ADMITTED, "a" * 32, Role.LEADER),
        (NOT_ADMITTED, "c" * 32, Role.CANDIDATE),
        (7, "c" * 32, Role.CANDIDATE),
    ],
)
def test_only_the_vote_of_the_directory_that_the_log_admits_counts(
    admitted_at: int, name: str, role: Role
) -> None:
    """Whether that knows of it yet, or not. 7 is of an admission that this log does not reach."""
    world = with_admissions(admission(2, 3))
    stand(world)
    world.hand(of_directory(vote_reply(2, 4), admitted_at, name))
    assert world.raft().role is role


def test_the_pre_vote_of_a_replaced_directory_does_not_count() -> None:
    world = with_admissions(admission(2, 3))
    world.fall_silent(1)
    world.hand(pre_vote_reply(2, 3))
    assert world.raft().role is Role.PRE_CANDIDATE
    world.hand(of_directory(pre_vote_reply(2, 3), 2))
    assert world.raft().role is Role.CANDIDATE


def test_what_a_replaced_directory_acknowledges_commits_nothing() -> None:
    world = with_admissions(admission(2, 3))
    stand(world)
    world.hand(vote_reply(3, 4), accepted(2, 4, 3))
    assert (world.raft().role, world.raft().commit_index) == (Role.LEADER, 0)
    world.hand(of_directory(accepted(2, 4, 3), 2))
    assert world.raft().commit_index == 3


def test_an_admission_binds_as_soon_as_it_is_appended() -> None:
    """Not only when it is known to be committed: who stands next may hold no more."""
    world = with_admissions()
    world.hand(carrying(append(3, 3, prev=(1, 1)), admission(2, 3)))
    assert world.raft().commit_index == 0
    stand(world)
    world.hand(vote_reply(2, 4))
    assert world.raft().role is Role.CANDIDATE


def test_whose_end_is_not_committed_is_heard_as_a_candidate() -> None:
    """It may be the only one that can win: a doomed entry here must not make a node deaf."""
    world = with_admissions(admission(2, 2))
    world.hand(request_vote(2, 4, last=(3, 3)))
    assert world.take_sent(to=2) == [vote_reply(1, 4, to=2)]


def test_an_admission_binds_after_a_restart() -> None:
    world = with_admissions()
    world.hand(carrying(append(3, 3, prev=(1, 1)), admission(2, 3)))
    world.crash(1)
    world.restart(1)
    stand(world)
    world.hand(vote_reply(2, 4))
    assert world.raft().role is Role.CANDIDATE


def test_an_admission_that_is_truncated_binds_no_more() -> None:
    """And the one before it binds again."""
    world = with_admissions(admission(2, 2, name="b" * 32), admission(3, 3))
    world.hand(carrying(append(3, 4, prev=(2, 2)), entries_of_terms([4], 3)[0]))
    stand(world)
    world.hand(vote_reply(2, 5))
    assert world.raft().role is Role.CANDIDATE
    world.hand(of_directory(vote_reply(2, 5), 2, "b" * 32))
    assert world.raft().role is Role.LEADER


def test_who_leads_is_followed_whatever_a_configuration_says() -> None:
    """Were it committed, the directory could not lead; as it does, it truncates the entry."""
    world = with_admissions(admission(2, 3))
    world.hand(append(2, 4, prev=(1, 1), terms=[4]))
    assert world.terms() == [1, 4]
    world.take_sent()
    world.hand(request_vote(2, 5, last=(2, 4)))
    assert world.take_sent(to=2) == [vote_reply(1, 5, to=2)]


def test_a_leader_that_is_removed_is_followed_until_it_has_handed_over() -> None:
    """Thesis §4.2.2: its heir may lack entries."""
    world = with_admissions(configured(2, 3, THREE.without(3)))
    world.hand(append(3, 3, prev=(2, 3), commit=2), append(3, 3, prev=(2, 3), terms=[3]))
    assert world.terms() == [1, 3, 3]


def test_a_candidate_of_a_replaced_directory_gets_no_vote_and_moves_no_term() -> None:
    """Though its log looks complete."""
    world = with_admissions(admission(2, 3))
    world.hand(append(3, 3, prev=(2, 3), commit=2))
    world.take_sent()
    world.hand(pre_vote(2, 5, last=(9, 5)), request_vote(2, 6, last=(9, 5)))
    assert world.take_sent(to=2) == []
    assert world.raft().current_term == 3
    assert any(
        "by log entry 2 this directory of node 2 votes no more" in line for line in world.lines()
    )


def test_a_damaged_admission_binds_again_once_it_is_fetched() -> None:
    """Until then this node cannot stand, and grants a candidate's log no more than any other."""
    world = with_admissions(admission(2, 3))
    world.crash(1)
    world.disk().damaged = {2}
    world.restart(1)
    world.hand(request_vote(2, 4, last=(1, 1)))
    assert vote_reply(1, 4, granted=False, to=2) in world.take_sent(to=2)
    world.hand(fetched(3, 4, admission(2, 3)))
    stand(world)
    world.hand(vote_reply(2, 5))
    assert world.raft().role is Role.CANDIDATE


# --- A directory that finds that it was replaced -----------------------------------------------


def test_a_replaced_directory_neither_votes_nor_stands_once_that_is_committed() -> None:
    world = with_admissions(admission(2, 3, node_id=1))
    world.hand(append(3, 3, prev=(2, 3), commit=2))
    world.tick(1, 20_000)
    world.hand(timeout_now(3, 3))
    assert (world.raft().role, world.raft().current_term) == (Role.FOLLOWER, 3)
    world.take_sent()
    world.hand(pre_vote(3, 3, last=(9, 3)), request_vote(3, 4, last=(9, 3)))
    assert world.take_sent(to=3) == [
        pre_vote_reply(1, 3, granted=False, to=3),
        vote_reply(1, 4, granted=False, to=3),
    ]


def test_it_counts_again_if_that_is_truncated() -> None:
    """Then nobody counts in its place."""
    world = with_admissions(admission(2, 3, node_id=1))
    world.hand(append(3, 4, prev=(1, 1), terms=[4]))
    world.take_sent()
    world.hand(request_vote(3, 5, last=(2, 4)))
    assert world.take_sent(to=3) == [vote_reply(1, 5, to=3)]


def test_earlier_admissions_of_its_node_do_not_end_it() -> None:
    world = with_admissions(
        admission(2, 2, node_id=1, name="b" * 32),
        admission(3, 3, node_id=1),
        admitted_at=3,
        directory="a" * 32,
    )
    stand(world)


def test_it_does_not_stand_while_another_directory_votes_for_its_node() -> None:
    """Committed or not: its own vote would count as that one's."""
    world = with_admissions(admission(2, 3, node_id=1))
    world.tick(1, 20_000)
    assert (world.raft().role, world.raft().current_term) == (Role.FOLLOWER, 3)


def test_who_was_made_a_learner_or_removed_may_stand_until_that_is_committed() -> None:
    """Thesis §4.2.2: it may be the only one with the longest log, and then nobody else can lead."""
    for configuration in (demoted(THREE, 1), THREE.without(1)):
        world = with_admissions(configured(2, 3, configuration))
        world.fall_silent(1)
        world.hand(pre_vote_reply(2, 3), pre_vote_reply(3, 3))
        assert world.raft().role is Role.CANDIDATE
        world.hand(vote_reply(2, 4))
        assert world.raft().role is Role.CANDIDATE, "its own vote is none of two"
        world.hand(vote_reply(3, 4))
        assert world.raft().role is Role.LEADER


# --- What a waiting directory may say -----------------------------------------------------------


def test_a_learner_with_the_newest_log_may_be_the_only_one_that_can_win() -> None:
    """Thesis §4.2.2: by its own log it does not vote, and it leads until one that does is level."""
    joined = THREE.with_member(Member(4, "h:4", NOT_ADMITTED))
    disks = {node: Disk(HardState(1), [*entries_of_terms([1])]) for node in (1, 2, 3)}
    disks[3] = Disk(HardState(2), entries_of_terms([1]))
    disks[4] = Disk(HardState(2, None, NOT_ADMITTED), entries_of_terms([1, 2]), directory=NAME)
    promotion = promoted(joined, 4, NAME, at=2)
    disks[1].log.append(configured(2, 1, promotion))
    for disk in disks.values():
        disk.configuration = joined
    world = World(4, running=[1, 3, 4], disks=disks)
    for _ in range(60):
        world.tick_all(50)
        world.settle()
    assert len(world.leaders) == 1
    assert world.terms(1)[:2] == [1, 2], "the doomed promotion is gone"
    assert world.raft(world.leaders[0]).is_voter, "and a voter leads in the end"


def test_a_stranger_may_know_a_newer_configuration() -> None:
    """Thesis §4.1: a server votes for whoever asks, by whatever configuration that one has."""
    world = with_admissions()
    world.hand(of_directory(request_vote(4, 9, last=(9, 8)), 7))
    assert world.take_sent(to=4) == [vote_reply(1, 9, to=4)]


def test_entries_that_a_configuration_malformed_is_refused_before_it_reaches_the_core() -> None:
    good = configuration_data(THREE)
    twice = configuration_data(Configuration((*THREE.members, *THREE.members)))
    later = configuration_data(demoted(THREE, 2).with_member(Member(2, "h:1", 9, "a" * 32)))
    odd = configuration_data(THREE.with_member(Member(2, "h:1", 1, "xyz")))
    many = configuration_data(founders(range(1, MEMBERS_BELIEVED_MAX + 2)))
    for data in (b"", b"2", good[:-1], twice, later, odd, many):
        route = {"cluster_id": CLUSTER, "sender": 3, "recipient": 1, "term": 3}
        entries = (Entry(1, 3, EntryKind.CONFIGURE, data),)
        with pytest.raises(ValueError, match=r"holds .*configuration"):
            FetchEntriesReply(**route, entries=entries, until=1)
        with pytest.raises(ValueError, match=r"holds .*configuration"):
            AppendEntries(
                **route, prev_log_index=0, prev_log_term=0, entries=entries, leader_commit=0
            )


def test_the_end_of_a_directory_is_found_by_node_and_index() -> None:
    entries = [admission(2, 1), admission(5, 1, name="b" * 32), admission(7, 1, name="b" * 32)]
    found = Configurations(0, THREE, entries[:2])
    assert [found.ended_at(2, at) for at in (NOT_ADMITTED, 0, 2, 3, 5, 9)] == [
        *(None, 2, 5, 5),
        *(None, None),
    ]
    assert found.ended_at(3, 0) is None
    assert [found.ended_at(2, 2, last) for last in (4, 5)] == [None, 5]
    assert found.ended_at(9, 0) == 2, "who is no member votes no more"


def test_what_ends_a_directory_is_looked_for_once_and_anew_when_the_log_changes() -> None:
    """Every message asks, and a log may hold hundreds of configurations."""
    found = Configurations(0, THREE, [admission(2, 1)])
    assert found.ended_at(2, 0) == 2
    found.truncate(2)
    assert found.ended_at(2, 0) is None
    found.add(admission(4, 1))
    assert found.ended_at(2, 0) == 4
    found.begin_after(9, 9, demoted(THREE, 2))
    assert found.ended_at(2, 0) == 9
    held, found._held = found._held, []
    assert found.ended_at(2, 0) == 9
    found._held = held
    for made_up in range(1_000):
        found.ended_at(2, made_up)
    assert len(found._ends) <= 256


def test_the_base_of_a_log_counts_as_of_its_start() -> None:
    """What was before is known by it alone."""
    base = demoted(THREE, 2).with_member(Member(3, "h:3", 70, "c" * 32))
    found = Configurations(100, base, [])
    assert [found.ended_at(2, 0), found.ended_at(3, 0), found.ended_at(3, 70)] == [100, 100, None]
    assert found.admission_of(3, "c" * 32, NOT_ADMITTED) == 70
    assert found.admission_of(2, "", 0) == 0, "what it was is not taken back"
    assert found.as_of(100) is found.as_of(500) is base
