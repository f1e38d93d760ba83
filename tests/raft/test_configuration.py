"""Who votes, counted in one place, by whatever configuration is in force (Raft §5.2, §5.3, §6)."""

from __future__ import annotations

import pytest
from founding import founders

from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import Configurations
from kvstore.raft.messages import AppendEntries, FetchEntries
from kvstore.raft.types import Role

from .disk import THREE
from .harness import World, bench, leader_bench
from .messages import accepted, pre_vote_reply


def voters(*ids: int) -> Configuration:
    return founders(ids)


FIVE = voters(1, 2, 3, 4, 5)


def come_into_force(world: World, configuration: Configuration) -> None:
    """As if an entry of the log had brought it."""
    log = world.raft().log
    log.configurations = Configurations(log.start.index, configuration, ())
    log.configuration = configuration


def spoken_to(world: World, kind: type) -> set[int]:
    """To whom such messages have left."""
    return {message.recipient for message in world.take_sent() if isinstance(message, kind)}


# --- Counting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_two_majorities_always_share_a_voter(members: int, needed: int) -> None:
    """Raft §5.4.3: the smallest group for which that holds."""
    assert voters(*range(members)).majority == needed
    assert 2 * needed > members >= 2 * (needed - 1)


def test_outsiders_are_no_part_of_a_majority() -> None:
    """Raft §5.2: only voters vote."""
    assert THREE.has_majority({1, 2})
    assert not THREE.has_majority({1, 8, 9})


@pytest.mark.parametrize(
    ("match", "index"),
    [([5], 5), ([5, 3], 3), ([9, 4, 1], 4), ([9, 8, 2, 1], 2), ([9, 8, 5, 2, 1], 5)],
)
def test_the_index_held_by_a_majority(match: list[int], index: int) -> None:
    """Raft Figure 2, leaders 4: a majority of match indexes is at or above it."""
    marks = dict(enumerate(match))
    assert voters(*marks).reached_by_majority(marks) == index


def test_marks_of_outsiders_lift_no_majority() -> None:
    """Raft Figure 2, leaders 4."""
    assert THREE.reached_by_majority({1: 7, 2: 3, 3: 3, 8: 9, 9: 9}) == 3


def test_a_voter_without_a_mark_is_not_left_out() -> None:
    """A majority of those who happen to be known would be a smaller one."""
    with pytest.raises(KeyError):
        THREE.reached_by_majority({1: 7, 2: 7})


# --- The configuration in force ----------------------------------------------------------------


def test_votes_are_counted_by_the_configuration_in_force() -> None:
    """Raft §6: a server uses the latest configuration in its log."""
    world = bench(term=3)
    world.fall_silent(1)
    come_into_force(world, FIVE)
    world.hand(pre_vote_reply(2, 3))
    assert world.raft().role is Role.PRE_CANDIDATE
    world.hand(pre_vote_reply(5, 3))
    assert world.raft().current_term == 4


def test_an_entry_needs_a_majority_of_the_voters_that_came_meanwhile() -> None:
    """Raft §6."""
    world = leader_bench([], term=2)
    come_into_force(world, FIVE)
    world.hand(accepted(2, 2, match=1))
    assert world.raft().commit_index == 0
    world.hand(accepted(5, 2, match=1))
    assert world.raft().commit_index == 1


def test_a_voter_that_came_meanwhile_is_sent_the_log() -> None:
    """Raft §6: from where the leader's log ends now, and back from there."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.take_sent()
    come_into_force(world, FIVE)
    world.tick(1, 100)
    assert spoken_to(world, AppendEntries) == {2, 3, 4, 5}


def test_a_voter_that_left_is_spoken_to_no_more_and_not_listened_to() -> None:
    """Raft §6."""
    world = leader_bench([], term=2)
    come_into_force(world, voters(1, 2))
    world.take_sent()
    world.tick(1, 100)
    assert spoken_to(world, AppendEntries) == {2}
    world.hand(accepted(3, 2, match=1))
    assert world.raft().commit_index == 0
    world.hand(accepted(2, 2, match=1))
    assert world.raft().commit_index == 1


def test_a_read_that_waits_is_confirmed_by_the_voters_that_came_meanwhile() -> None:
    """Raft §8: a majority of those who could elect another leader."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.read(1, 7)
    come_into_force(world, FIVE)
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert not world.nodes[1].reads
    world.hand(accepted(4, 2, match=1, read_round=1))
    assert [read.read_id for read in world.nodes[1].reads] == [7]


def test_a_leader_keeps_a_majority_of_the_configuration_in_force() -> None:
    """Thesis §6.2: who answers of those that left keeps nobody."""
    world = leader_bench([], term=2)
    come_into_force(world, FIVE)
    for _ in range(11):
        world.hand(accepted(2, 2, match=1))
        world.tick(1, 100)
    assert world.raft().role is Role.FOLLOWER


def test_an_heir_that_leaves_is_waited_for_no_longer() -> None:
    """Thesis §3.10: it could not be elected."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.propose(1, "x")
    world.turn(1, lambda raft: raft.hand_over(3))
    come_into_force(world, voters(1, 2))
    world.tick(1, 10)
    assert world.raft().takes_commands


def test_a_voter_that_came_meanwhile_is_asked_for_what_was_lost() -> None:
    """A node asks whoever may hold it."""
    world = bench([1, 1], 1)
    world.crash(1)
    world.disk().damaged = {2}
    world.restart(1)
    come_into_force(world, FIVE)
    world.tick(1, 100)
    assert spoken_to(world, FetchEntries) == {2, 3, 4, 5}
