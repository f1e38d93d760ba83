"""A directory of a node that another one has replaced: whoever has that in its log, committed or
not, neither helps it nor counts its help.
"""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.directories import Admissions
from kvstore.raft.messages import AppendEntries, AppendEntriesReply, FetchEntriesReply, Message
from kvstore.raft.types import NOT_ADMITTED, Entry, EntryKind, HardState, Role

from .disk import Disk, entries_of_terms
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


def admission(index: int, term: int, node_id: int = 2, name: str = "a" * 32) -> Entry:
    return Entry(index, term, EntryKind.ADMIT, f"{node_id} {name}".encode())


def with_admissions(*entries: Entry, term: int = 3, admitted_at: int = 0) -> World:
    """Node 1 of three, alone on a bench, with a log of one no-op and these."""
    disk = Disk(HardState(term, None, admitted_at), [*entries_of_terms([1]), *entries])
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
    ("admitted_at", "role"),
    [(0, Role.CANDIDATE), (1, Role.CANDIDATE), (2, Role.LEADER), (7, Role.LEADER)],
)
def test_only_the_vote_of_the_directory_that_the_log_admits_counts(
    admitted_at: int, role: Role
) -> None:
    """7 is of an admission that this log does not reach yet."""
    world = with_admissions(admission(2, 3))
    stand(world)
    world.hand(of_directory(vote_reply(2, 4), admitted_at))
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
    world.hand_in_one_turn(
        1, carrying(append(3, 3, prev=(1, 1)), admission(2, 3)), request_vote(2, 9, last=(9, 8))
    )
    assert (world.raft().current_term, world.raft().commit_index) == (3, 0)
    stand(world)
    world.hand(vote_reply(2, 4))
    assert world.raft().role is Role.CANDIDATE


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
    world.hand(of_directory(vote_reply(2, 5), 2))
    assert world.raft().role is Role.LEADER


def test_who_leads_is_followed_whatever_an_admission_says() -> None:
    """Were it committed, the directory could not lead; as it does, it truncates the entry."""
    world = with_admissions(admission(2, 3))
    world.hand(append(2, 4, prev=(1, 1), terms=[4]))
    assert world.terms() == [1, 4]
    world.take_sent()
    world.hand(request_vote(2, 5, last=(2, 4)))
    assert world.take_sent(to=2) == [vote_reply(1, 5, to=2)]


def test_a_candidate_of_a_replaced_directory_gets_no_vote_and_moves_no_term() -> None:
    """Though its log looks complete."""
    world = with_admissions(admission(2, 3))
    world.hand(pre_vote(2, 5, last=(9, 5)), request_vote(2, 6, last=(9, 5)))
    assert world.take_sent(to=2) == []
    assert world.raft().current_term == 3
    assert "log entry 2 admits another directory of node 2" in world.lines()[0]


def test_a_damaged_admission_binds_again_once_it_is_fetched() -> None:
    """Until then this node cannot stand, and grants a candidate's log no more than any other."""
    world = with_admissions(admission(2, 3))
    world.crash(1)
    world.disk().damaged = {2}
    world.restart(1)
    world.hand(request_vote(2, 4, last=(1, 1)))
    assert vote_reply(1, 4, granted=False, to=2) in world.take_sent(to=2)
    world.hand(fetched(3, 4, admission(2, 3)))
    world.hand(request_vote(2, 5, last=(9, 4)))
    assert world.raft().current_term == 4


# --- A directory that finds that it was replaced -----------------------------------------------


def test_a_replaced_directory_neither_votes_nor_stands() -> None:
    world = with_admissions(admission(2, 3, node_id=1))
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
        admission(2, 2, node_id=1, name="b" * 32), admission(3, 3, node_id=1), admitted_at=3
    )
    stand(world)


def test_a_copy_that_still_waited_is_not_admitted_by_its_old_admission() -> None:
    """It asks under a new name: what became of the original, it does not know."""
    world = with_admissions(admitted_at=NOT_ADMITTED)
    world.hand(append(3, 3))
    names = set()
    for _ in range(2):
        [reply] = [one for one in world.take_sent(to=3) if isinstance(one, AppendEntriesReply)]
        names.add(reply.rejoining)
        world.crash(1)
        world.restart(1)
        entry = admission(2, 3, node_id=1, name=reply.rejoining)
        world.hand(carrying(append(3, 3, prev=(1, 1), commit=2), entry))
    assert len(names) == 2
    assert not world.raft().is_voter


# --- What is proposed --------------------------------------------------------------------------


def waiting(match: int, name: str) -> Message:
    reply = accepted(2, 4, match)
    return msgspec.structs.replace(reply, rejoining=name, admitted_at=NOT_ADMITTED)


def test_a_name_is_admitted_once_and_one_at_a_time() -> None:
    world = with_admissions()
    stand(world)
    world.hand(vote_reply(3, 4), accepted(3, 4, 2))
    first, second = "b" * 32, "c" * 32
    for name in (first, first, second, second):
        world.hand(waiting(2, name), waiting(2, name))
        world.tick(1, 2_000) if name is second else None
    assert [entry.data for entry in world.log() if entry.kind is EntryKind.ADMIT] == [
        f"2 {first}".encode()
    ]


def test_a_new_name_is_admitted_after_the_one_before_is_committed() -> None:
    world = with_admissions()
    stand(world)
    world.hand(vote_reply(3, 4), accepted(3, 4, 2))
    first, second = "b" * 32, "c" * 32
    world.hand(waiting(2, first), waiting(2, first), accepted(3, 4, 3))
    world.hand(waiting(3, second), waiting(3, second), accepted(3, 4, 4))
    assert world.raft().commit_index == 4
    world.hand(waiting(4, first), waiting(4, first))
    assert [entry.data for entry in world.log() if entry.kind is EntryKind.ADMIT] == [
        f"2 {first}".encode(),
        f"2 {second}".encode(),
    ]


def test_an_entry_that_admits_nobody_is_refused_before_it_reaches_the_core() -> None:
    for data in (b"", b"2", b"2 xyz", b"two " + b"a" * 32, b"2 " + b"a" * 33, b"2  " + b"a" * 32):
        route = {"cluster_id": CLUSTER, "sender": 3, "recipient": 1, "term": 3}
        entries = (Entry(1, 3, EntryKind.ADMIT, data),)
        with pytest.raises(ValueError, match="admits nobody"):
            FetchEntriesReply(**route, entries=entries, until=1)
        with pytest.raises(ValueError, match="admits nobody"):
            AppendEntries(
                **route, prev_log_index=0, prev_log_term=0, entries=entries, leader_commit=0
            )


def test_admissions_are_found_by_node_and_index() -> None:
    found = Admissions([admission(2, 1), admission(5, 1, name="b" * 32), admission(4, 1, 3)])
    assert [found.replaced_at(2, at) for at in (NOT_ADMITTED, 0, 2, 3, 5, 9)] == [
        None,
        2,
        5,
        5,
        None,
        None,
    ]
    assert [found.replaced_at(3, 0), found.replaced_at(1, 0)] == [4, None]
    assert [found.replaced_at(2, 2, last) for last in (4, 5)] == [None, 5]
