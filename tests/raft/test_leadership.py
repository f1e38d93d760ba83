"""Who may lead, and for how long: pre-votes (thesis §9.6), a majority that answers (§6.2),
and standstills.
"""

from __future__ import annotations

import pytest

from kvstore.raft.messages import PreVoteReply
from kvstore.raft.types import HardState, Role

from .disk import Disk, entries_of_terms
from .harness import World, bench, leader_bench
from .messages import (
    accepted,
    append,
    pre_vote,
    pre_vote_reply,
    rejected,
    vote_reply,
)

# --- Pre-votes: asking -------------------------------------------------------------------------


def test_a_pre_candidate_moves_no_term_and_spends_no_vote() -> None:
    """Thesis §9.6."""
    world = bench([1, 1], 3)
    world.fall_silent(1)
    assert world.disk().hard_state == HardState(3, None)
    assert world.take_sent() == [pre_vote(1, 3, last=(2, 1), to=peer) for peer in (2, 3)]
    assert world.lines() == ["became pre-candidate"]


@pytest.mark.parametrize(("members", "needed"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)])
def test_a_majority_of_pre_votes_starts_the_election(members: int, needed: int) -> None:
    """Thesis §9.6: its own included."""
    world = bench([1], 3, members=members)
    world.fall_silent(1)
    for voter in range(2, needed + 2):
        assert world.raft().role is Role.PRE_CANDIDATE
        world.hand(pre_vote_reply(voter, 3))
    assert world.raft().current_term == 4
    assert world.disk().hard_state == HardState(4, 1)


def test_refused_and_repeated_pre_votes_do_not_count() -> None:
    """Thesis §9.6: a majority of nodes that would."""
    world = bench([1], 3, members=5)
    world.fall_silent(1)
    world.hand(*[pre_vote_reply(2, 3)] * 3, pre_vote_reply(3, 3, granted=False))
    assert world.raft().role is Role.PRE_CANDIDATE
    assert world.raft().current_term == 3


def test_a_node_cut_off_for_an_hour_keeps_its_term_and_leaves_the_leader_alone() -> None:
    """Thesis §9.6 (hashicorp/raft#411)."""
    world = World(3)
    world.elect(1)
    world.isolate(3)
    for _ in range(3600):
        world.tick(3, 1000)
        world.heartbeat(1)
    assert (world.raft(3).role, world.raft(3).current_term) == (Role.PRE_CANDIDATE, 1)
    world.lines(3)
    world.heal()
    world.tick(3, 900)
    for _ in range(20):
        world.heartbeat(1)
    assert world.leaders == [1]
    assert {world.raft(node).current_term for node in (1, 2, 3)} == {1}
    assert world.raft(3).leader_id == 1


def test_an_isolated_node_tells_its_operator_once() -> None:
    """It asks again and again, and says so once."""
    world = bench([1], 1)
    world.tick(1, 20_000)
    assert world.lines() == ["became pre-candidate"]


def test_a_candidate_that_fails_asks_before_it_stands_again() -> None:
    """Thesis §9.6: so a node that is cut off in an election raises its term once."""
    world = bench([1], 1)
    world.time_out(1)
    world.tick(1, 60_000)
    assert world.raft().current_term == 2
    assert world.raft().role is Role.PRE_CANDIDATE


def test_a_pre_candidate_that_hears_the_leader_of_its_term_follows_it() -> None:
    """Raft Figure 2, candidates 3; the leader it knew is the only one it accepts."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.fall_silent(1)
    assert world.raft().leader_id is None
    world.hand(append(2, 1, prev=(1, 1)))
    assert (world.raft().role, world.raft().leader_id) == (Role.FOLLOWER, 2)


def test_pre_votes_that_come_after_the_leader_are_not_counted() -> None:
    """Thesis §9.6: they say how things looked."""
    world = bench([1], 1)
    world.fall_silent(1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.hand(pre_vote_reply(2, 1), pre_vote_reply(3, 1))
    assert (world.raft().role, world.raft().current_term) == (Role.FOLLOWER, 1)


# --- Pre-votes: answering ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "granted"),
    [((2, 2), True), ((3, 2), True), ((1, 2), False), ((9, 1), False), ((0, 0), False)],
    ids=["equal", "longer", "shorter", "longer but older", "empty"],
)
def test_a_pre_vote_needs_a_log_at_least_as_up_to_date(
    last: tuple[int, int], granted: bool
) -> None:
    """Raft §5.4.1, as the vote itself would; and nothing changes here."""
    world = bench([1, 2], 3)
    before = world.disk().hard_state
    world.hand(pre_vote(2, 3, last=last))
    assert world.take_sent() == [pre_vote_reply(1, 3, granted=granted, to=2)]
    assert world.disk().hard_state == before
    assert world.raft().voted_for is None


def test_a_spent_vote_is_no_reason_to_refuse_a_pre_vote() -> None:
    """Thesis §9.6: it is about the next term."""
    world = bench([1], 3, voted_for=3)
    world.hand(pre_vote(2, 3, last=(1, 1)))
    assert world.take_sent() == [pre_vote_reply(1, 3, to=2)]


def test_who_hears_a_leader_refuses_and_who_lost_it_grants() -> None:
    """Thesis §9.6: for the shortest election timeout after its last word."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.take_sent()
    world.tick(1, 450)
    world.hand(pre_vote(3, 1, last=(1, 1)))
    assert world.take_sent() == [pre_vote_reply(1, 1, granted=False, to=3)]
    world.tick(1, 50)
    world.hand(pre_vote(3, 1, last=(1, 1)))
    assert world.take_sent(to=3)[-1] == pre_vote_reply(1, 1, to=3)


def test_every_word_of_the_leader_counts_and_not_only_its_first() -> None:
    """Thesis §9.6: else a leader known for long would be given up for one that is cut off."""
    world = bench([1], 1)
    for _ in range(3):
        world.hand(append(2, 1, prev=(1, 1)))
        world.tick(1, 450)
        world.take_sent()
        world.hand(pre_vote(3, 1, last=(1, 1)))
        assert world.take_sent(to=3) == [pre_vote_reply(1, 1, granted=False, to=3)]


def test_a_leader_refuses_pre_votes() -> None:
    """Thesis §9.6: it steps down when no majority answers, and not for being asked."""
    world = leader_bench([1], term=2)
    world.hand(pre_vote(3, 2, last=(9, 2)))
    assert world.take_sent() == [pre_vote_reply(1, 2, granted=False, to=3)]
    assert world.raft().role is Role.LEADER


def test_a_pre_vote_of_a_lower_term_is_refused_with_the_newer_one() -> None:
    """Raft §5.1: or the longer log would never be elected (etcd#8501)."""
    world = bench([1], 5)
    world.hand(pre_vote(2, 4, last=(9, 4)))
    assert world.take_sent() == [pre_vote_reply(1, 5, granted=False, to=2)]


def test_no_deadlock_with_a_short_log_at_the_highest_term() -> None:
    """The longer log learns the term from the refusal, asks again, and wins (etcd#8501)."""
    disks = {
        1: Disk(HardState(2), entries_of_terms([1, 2, 2])),
        3: Disk(HardState(9), entries_of_terms([1])),
    }
    world = World(3, running=[1, 3], disks=disks)
    for _ in range(80):
        world.tick_all(50)
        world.settle()
    assert world.leaders == [1]
    assert world.raft(1).current_term == 10
    assert world.terms(3) == world.terms(1)


@pytest.mark.parametrize("seed", range(10))
def test_a_bridge_keeps_one_leader_and_its_term(seed: int) -> None:
    """1 and 3 cannot see each other, 2 sees both: two of three make progress, for ever."""
    world = World(3, seed=seed)
    world.elect(1)
    world.cut = {(1, 3), (3, 1)}
    for _ in range(200):
        world.tick_all(50)
        world.settle()
    assert len(world.leaders) == 1
    assert world.raft(2).current_term <= 2
    (leader,) = world.leaders
    index = world.propose(leader, "x")
    world.settle()
    assert world.raft(leader).commit_index == index


@pytest.mark.parametrize("deaf", [True, False], ids=["hears nothing", "is not heard"])
@pytest.mark.parametrize("node", [1, 3], ids=["leader", "follower"])
def test_one_way_links_cost_at_most_two_terms(node: int, deaf: bool) -> None:
    """The others make progress, whichever direction fails (old-raft-rs#27)."""
    world = World(3)
    world.elect(1)
    others = [other for other in (1, 2, 3) if other != node]
    world.cut = {(other, node) if deaf else (node, other) for other in others}
    for _ in range(200):
        world.tick_all(50)
        world.settle()
    assert max(world.raft(other).current_term for other in others) <= 3
    (leader,) = [one for one in world.leaders if one in others]
    index = world.propose(leader, "x")
    world.settle()
    assert world.raft(leader).commit_index == index
    if deaf or node != 1:
        assert world.leaders == [leader]


# --- A majority that answers -------------------------------------------------------------------


def test_a_leader_that_no_majority_answers_steps_down_within_an_election_timeout() -> None:
    """Thesis §6.2; its term and vote stay."""
    world = leader_bench([], term=2, members=5)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.lines()
    for _ in range(9):
        world.tick(1, 100)
        world.hand(accepted(2, 2, match=1))
    assert world.raft().role is Role.LEADER
    world.tick(1, 100)
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().leader_id is None
    assert world.disk().hard_state == HardState(2, 1)
    assert world.lines() == [
        "stepping down: no majority answered for 1000 ms",
        "became follower",
    ]
    world.take_sent()
    world.tick(1, 400)
    assert world.take_sent() == [], "it still sends heartbeats"


@pytest.mark.parametrize("members", [1, 2, 3, 5])
def test_a_leader_that_a_majority_answers_leads_on(members: int) -> None:
    """Thesis §6.2: rejections are answers too."""
    world = leader_bench([], term=2, members=members)
    for _ in range(50):
        world.tick(1, 100)
        for peer in range(2, members // 2 + 2):
            world.hand(rejected(peer, 2, prev=5, conflict=(1, 0)))
    assert world.raft().role is Role.LEADER


def test_answers_of_another_term_do_not_keep_a_leader() -> None:
    """Thesis §6.2: they were given to an earlier leadership."""
    world = leader_bench([], term=3)
    for _ in range(10):
        world.tick(1, 100)
        world.hand(accepted(2, 2, match=1))
    assert world.raft().role is Role.FOLLOWER


def test_a_leader_that_was_replaced_takes_no_rival_in_its_old_term() -> None:
    """Raft §5.2: it led the term itself."""
    world = leader_bench([], term=2)
    world.tick(1, 1000)
    assert world.raft().role is Role.FOLLOWER
    with pytest.raises(Exception, match="two leaders in one term"):
        world.hand(append(2, 2))


# --- Standstills -------------------------------------------------------------------------------


def test_a_leader_that_stood_still_leads_no_more_before_it_hears_anything() -> None:
    """What waits in its sockets must not make it count as followed (etcd#15247)."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.propose(1, "queued")
    world.take_sent()
    world.lines()
    world.act(1, lambda raft: raft.wake(60_000))
    world.act(1, lambda raft: raft.step(accepted(2, 2, match=2)))
    world.turn(1)
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().commit_index == 1
    assert world.lines()[0].startswith("stepping down: stood still for ")
    assert world.take_sent() == []


def test_a_short_standstill_costs_a_leader_nothing() -> None:
    """No follower has timed out for certain."""
    world = leader_bench([], term=2)
    world.tick(1, 50)
    world.turn(1, lambda raft: raft.wake(world.nodes[1].now_ms + 900))
    assert world.raft().role is Role.LEADER


def test_who_comes_to_lead_in_a_turn_takes_back_the_prospects_of_votes_that_it_gave_in_it() -> None:
    """Thesis §9.6: its answer would help another to unseat it."""
    world = bench([1], 3)
    world.time_out(1)
    world.take_sent()
    world.hand_in_one_turn(1, pre_vote(3, 4, last=(9, 3)), vote_reply(2, 4))
    assert world.raft().role is Role.LEADER
    replies = [m for m in world.take_sent(to=3) if isinstance(m, PreVoteReply)]
    assert not any(reply.vote_granted for reply in replies)
