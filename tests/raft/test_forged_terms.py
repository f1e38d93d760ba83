"""Terms that no honest peer can have reached: not believed, and not the end of elections."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.messages import INDEX_MAX, TERM_LEAP_MAX, Message
from kvstore.raft.types import HardState, Role

from .harness import World, bench
from .messages import accepted, append, rejected, request_vote, vote_reply

OWN = 7
"""The term of the node that gets a forged one."""


@pytest.mark.parametrize("term", [OWN + TERM_LEAP_MAX + 1, 1 << 62, INDEX_MAX - 1, INDEX_MAX])
@pytest.mark.parametrize(
    "make",
    [
        request_vote,
        vote_reply,
        append,
        lambda sender, term: accepted(sender, term, match=1),
        lambda sender, term: rejected(sender, term, prev=1, conflict=(1, 0)),
    ],
    ids=["RequestVote", "RequestVoteReply", "AppendEntries", "success", "rejection"],
)
def test_a_term_that_no_peer_can_have_reached_is_not_adopted(make, term: int) -> None:
    """One damaged or forged message must not end elections for good (hashicorp/raft#524)."""
    world = bench([], OWN)
    world.hand(make(2, term))
    assert world.raft().current_term == OWN
    assert world.disk().hard_state == HardState(OWN, None)
    assert world.take_sent() == []
    assert world.lines() == [f"ignored message: term {term} is too far above 7 to be true"]


@pytest.mark.parametrize(
    "stranger",
    [
        msgspec.structs.replace(request_vote(2, 1 << 62), cluster_id="another"),
        request_vote(9, 1 << 62),
        request_vote(2, 1 << 62, to=3),
    ],
    ids=["another cluster", "no member", "for another node"],
)
def test_a_stranger_s_term_is_no_reason_to_stand_without_asking(stranger) -> None:
    """Only a peer's term beyond belief may be true."""
    world = bench([], OWN)
    world.act(1, lambda raft: raft.step(stranger))
    world.tick(1, 2_000)
    assert world.raft().current_term == OWN
    assert world.raft().role is Role.PRE_CANDIDATE


def test_no_forged_term_that_is_adopted_ends_elections() -> None:
    """Raft §5.2: the term after it is believed as well, by nodes that never saw the forged one."""
    world = World(3)
    world.elect(1)
    world.hand(request_vote(2, 1 + TERM_LEAP_MAX, to=3))
    assert world.raft(3).current_term == 1 + TERM_LEAP_MAX
    for _ in range(100):
        world.tick_all(50)
        world.settle()
    (leader,) = world.leaders
    assert {world.raft(node_id).current_term for node_id in world.alive} == {
        world.raft(leader).current_term
    }
    assert world.raft(leader).has_committed_in_term


def test_a_node_that_slept_through_a_forged_term_finds_back() -> None:
    """Raft §5.2: the others are beyond belief, until its own elections have raised its term."""
    world = World(3)
    world.elect(1)
    world.crash(3)
    world.hand(request_vote(2, 1 + TERM_LEAP_MAX, to=1))
    for _ in range(100):
        world.tick_all(50)
        world.settle()
    (leader,) = world.leaders
    term = world.raft(leader).current_term
    world.restart(3)
    assert term > world.raft(3).current_term + TERM_LEAP_MAX
    for _ in range(200):
        world.tick_all(50)
        world.settle()
    assert world.raft(3).leader_id in world.leaders
    assert world.raft(3).commit_index == world.raft(leader).commit_index


@pytest.mark.parametrize("leaps", [1, 2, 5])
def test_a_directory_that_waits_is_admitted_whatever_term_the_others_have_come_to(
    leaps: int,
) -> None:
    """It stands in no election; so the first word of each timeout moves it by a leap."""
    term = leaps * TERM_LEAP_MAX + 5
    world = bench([], 0, directory="a" * 32)
    for _ in range(leaps + 1):
        world.hand(append(2, term))
        world.tick(1, 2_000)
    world.hand(append(2, term))
    assert world.raft().current_term == term
    assert world.raft().leader_id == 2


@pytest.mark.parametrize(
    "believable",
    [(), (append(3, 4),), (request_vote(3, 4),)],
    ids=["from no leader", "a leader after it", "a candidate after it"],
)
def test_a_directory_that_waits_leaps_for_the_last_word_of_a_leader_alone(
    believable: tuple[Message, ...],
) -> None:
    """Once it is above the others by more than they believe, nothing brings it back."""
    world = bench([], 0, directory="a" * 32)
    beyond_belief = append if believable else request_vote
    world.hand(beyond_belief(2, 5 * TERM_LEAP_MAX))
    for message in believable:
        world.hand(message)
    world.tick(1, 2_000)
    assert world.raft().current_term == (4 if believable else 0)
