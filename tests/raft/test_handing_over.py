"""How a leader hands over to another node (thesis §3.10)."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.messages import RequestVote, TimeoutNow
from kvstore.raft.types import HardState, Role

from .harness import World, bench, leader_bench
from .messages import (
    accepted,
    append,
    request_vote,
    timeout_now,
    vote_reply,
)


def test_leadership_moves_without_an_election_timeout_and_loses_nothing() -> None:
    """Thesis §3.10."""
    world = World(3)
    world.elect(1)
    world.propose(1, "kept")
    world.turn(1, lambda raft: raft.hand_over(2))
    world.settle()
    assert world.leaders == [2]
    assert world.raft(1).leader_id == 2
    world.heartbeat(2)
    assert all(b"kept" in [one.data for one in node.applied] for node in world.nodes.values())


def test_an_heir_that_lags_gets_its_entries_first() -> None:
    """Thesis §3.10: with less it might lose the election, and the cluster its time."""
    world = leader_bench([1, 1], term=2)
    world.turn(1, lambda raft: raft.hand_over(3))
    world.tick(1, 100)
    assert not any(isinstance(m, TimeoutNow) for m in world.take_sent())
    world.hand(accepted(3, 2, match=3))
    assert timeout_now(1, 2, to=3) in world.take_sent()


def test_a_leader_that_hands_over_takes_no_commands() -> None:
    """Thesis §3.10: or the heir would never catch up."""
    world = leader_bench([], term=2)
    assert world.raft().takes_commands
    world.turn(1, lambda raft: raft.hand_over(2))
    assert not world.raft().takes_commands


def test_a_leader_whose_heir_does_not_stand_leads_on() -> None:
    """Thesis §3.10: after an election timeout, so that no write waits longer."""
    world = leader_bench([], term=2)
    world.turn(1, lambda raft: raft.hand_over(3))
    for _ in range(10):
        world.tick(1, 100)
        world.hand(accepted(2, 2, match=1))
    assert world.raft().takes_commands
    assert world.lines() == [
        "handing leadership to node 3",
        "node 3 did not take over; leading on",
    ]


def test_the_heir_is_told_again_when_the_word_is_lost() -> None:
    """Raft §5.5: with the next heartbeat."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.turn(1, lambda raft: raft.hand_over(2))
    world.take_sent()
    world.tick(1, 100)
    assert timeout_now(1, 2, to=2) in world.take_sent()


def test_the_closest_follower_is_chosen_where_none_is_named() -> None:
    """Thesis §3.10: it needs least to catch up."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    assert world.turn(1, lambda raft: raft.hand_over()) == 3


@pytest.mark.parametrize("last", [2, 3])
def test_of_equally_close_followers_the_one_that_answered_last_is_chosen(last: int) -> None:
    """Thesis §3.10: the other one may be gone."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.tick(1, 50)
    world.hand(accepted(last, 2, match=1))
    assert world.turn(1, lambda raft: raft.hand_over()) == last


def test_nobody_who_was_silent_for_an_election_timeout_is_chosen() -> None:
    """It would not stand, and nobody would lead until the leader gives up on it."""
    world = leader_bench([], term=2)
    world.propose(1, "lacking at node 2")
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=2))
    for _ in range(6):
        world.tick(1, 100)
        world.hand(accepted(2, 2, match=1))
    assert world.turn(1, lambda raft: raft.hand_over(3)) is None
    assert world.turn(1, lambda raft: raft.hand_over()) == 2


def test_nobody_without_a_link_is_chosen() -> None:
    """Its process has ended, however shortly ago it answered."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.unreachable = {3}
    world.tick(1, 50)
    assert world.turn(1, lambda raft: raft.hand_over(3)) is None
    assert world.turn(1, lambda raft: raft.hand_over()) == 2


def test_with_nobody_there_the_leader_leads_on() -> None:
    """What nobody can take over is not given up."""
    world = leader_bench([], term=2)
    world.unreachable = {2, 3}
    world.tick(1, 50)
    assert world.turn(1, lambda raft: raft.hand_over()) is None
    assert world.raft().takes_commands
    assert world.lines() == []


def test_an_heir_that_no_majority_could_elect_is_not_chosen() -> None:
    """Raft §5.2: of five, itself, its leader and one more must vote."""
    world = leader_bench([], term=2, members=5)
    world.unreachable = {3, 4, 5}
    world.tick(1, 50)
    assert world.turn(1, lambda raft: raft.hand_over(2)) is None
    world.unreachable = {4, 5}
    world.tick(1, 50)
    assert world.turn(1, lambda raft: raft.hand_over(2)) == 2


def test_an_heir_that_has_no_room_for_what_it_lacks_is_not_chosen() -> None:
    """Thesis §3.10: it would be waited for in vain."""
    world = leader_bench([], term=2)
    world.propose(1, "left out by node 3")
    left_out = msgspec.structs.replace(accepted(3, 2, match=1), has_room=False)
    world.hand(accepted(2, 2, match=1), left_out)
    assert world.turn(1, lambda raft: raft.hand_over(3)) is None
    assert world.turn(1, lambda raft: raft.hand_over()) == 2


def test_an_heir_without_room_that_lacks_nothing_is_chosen() -> None:
    """A leader that is to exit leaves no sound cluster without one because its disks are full."""
    world = leader_bench([], term=2)
    world.propose(1, "taken by node 3, the last that it could")
    last_index = world.raft().log.last_index
    took_all = msgspec.structs.replace(accepted(3, 2, match=last_index), has_room=False)
    world.hand(accepted(2, 2, match=1), took_all)
    assert world.turn(1, lambda raft: raft.hand_over()) == 3


def test_an_heir_whose_link_breaks_is_not_waited_for() -> None:
    """It was told to stop as well, as all are when a cluster is ended."""
    world = leader_bench([], term=2)
    world.turn(1, lambda raft: raft.hand_over(3))
    world.unreachable = {3}
    world.tick(1, 50)
    assert world.raft().takes_commands
    assert world.lines() == [
        "handing leadership to node 3",
        "node 3 did not take over; leading on",
    ]
    assert world.turn(1, lambda raft: raft.hand_over()) == 2


def test_a_lone_node_has_no_heir() -> None:
    """There is nobody."""
    world = leader_bench([], term=2, members=1)
    assert world.turn(1, lambda raft: raft.hand_over()) is None
    assert world.raft().takes_commands


def test_who_is_told_to_stand_asks_nobody_first() -> None:
    """Thesis §3.10: the others still hear their leader, and would refuse a pre-vote."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.take_sent()
    world.hand(timeout_now(2, 1))
    assert world.disk().hard_state == HardState(2, 1)
    assert [type(m) for m in world.take_sent()] == [RequestVote, RequestVote]


def test_a_late_word_to_stand_is_refused() -> None:
    """Raft §5.1: its sender leads no more."""
    world = bench([1], 5)
    world.hand(timeout_now(2, 4))
    assert world.raft().current_term == 5
    assert world.raft().role is Role.FOLLOWER


def test_a_leader_told_to_stand_leads_on() -> None:
    """It cannot come from the leader of its term."""
    world = leader_bench([], term=2)
    world.hand(timeout_now(2, 2))
    assert (world.raft().role, world.raft().current_term) == (Role.LEADER, 2)


def test_votes_of_the_election_that_was_handed_over_count() -> None:
    """The whole way, message by message."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.turn(1, lambda raft: raft.hand_over(2))
    world.take_sent()
    world.hand(request_vote(2, 3, last=(1, 2)))
    assert world.take_sent() == [vote_reply(1, 3, to=2)]
    assert world.raft().role is Role.FOLLOWER
