"""Leader election: Raft §5.2, the restriction of §5.4.1, and the no-op of §8."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kvstore.raft.messages import AppendEntries, PreVote, RequestVote
from kvstore.raft.types import Entry, EntryKind, HardState, RaftSettings, Role

from .harness import World, bench, leader_bench
from .messages import accepted, append, pre_vote_reply, rejected, request_vote, vote_reply

# --- State -------------------------------------------------------------------------------------


def test_a_new_node_starts_in_term_0_as_a_follower_without_a_vote() -> None:
    """Raft Figure 2, state: `current_term` is 0 on first boot, `voted_for` none, the log empty."""
    world = World(3)
    raft = world.raft()
    assert (raft.role, raft.current_term, raft.voted_for) == (Role.FOLLOWER, 0, None)
    assert (raft.log.last_index, raft.commit_index, raft.leader_id) == (0, 0, None)


def test_a_term_has_at_most_one_vote_of_a_node() -> None:
    """Raft §5.2: first come, first served, within a term."""
    world = bench([], 1)
    world.hand(request_vote(2, 2), request_vote(3, 2))
    assert world.take_sent() == [vote_reply(1, 2, to=2), vote_reply(1, 2, granted=False, to=3)]
    assert world.disk().hard_state == HardState(2, 2)


# --- RequestVote -------------------------------------------------------------------------------


def test_a_node_that_voted_for_the_candidate_grants_again() -> None:
    """Raft Figure 2, RequestVote receiver 2: a vote for this candidate already is granted again."""
    world = bench([], 2, voted_for=2)
    world.hand(request_vote(2, 2))
    assert world.take_sent() == [vote_reply(1, 2, to=2)]
    assert world.lines() == []


def test_a_node_that_voted_for_another_refuses() -> None:
    """Raft Figure 2, RequestVote receiver 2."""
    world = bench([], 2, voted_for=3)
    world.hand(request_vote(2, 2, last=(9, 1)))
    assert world.take_sent() == [vote_reply(1, 2, granted=False, to=2)]
    assert world.lines() == ["refused vote to node 2: this term's vote went to node 3"]


@pytest.mark.parametrize(
    ("last", "granted"),
    [
        ((3, 2), True),
        ((4, 2), True),
        ((1, 3), True),
        ((2, 2), False),
        ((9, 1), False),
        ((0, 0), False),
    ],
    ids=["equal", "longer", "newer but shorter", "shorter", "longer but older", "empty"],
)
def test_a_vote_needs_a_log_at_least_as_up_to_date(last: tuple[int, int], granted: bool) -> None:
    """Raft §5.4.1: the later last term wins; between equal terms the longer log."""
    world = bench([1, 2, 2], 4)
    world.hand(request_vote(2, 4, last=last))
    assert world.take_sent() == [vote_reply(1, 4, granted=granted, to=2)]
    assert world.disk().hard_state == HardState(4, 2 if granted else None)


def test_a_refused_candidate_is_told_why() -> None:
    """Raft §5.4.1."""
    world = bench([1, 2, 2], 4)
    world.hand(request_vote(2, 4, last=(2, 2)))
    assert world.lines() == ["refused vote to node 2: its log is behind this one"]


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.LEADER])
def test_a_candidate_and_a_leader_refuse_a_rival_of_their_term(role: Role) -> None:
    """Raft §5.2: they have voted for themselves."""
    world = leader_bench([1], term=3) if role is Role.LEADER else bench([1], 2)
    if role is Role.CANDIDATE:
        world.time_out(1)
        world.take_sent()
    world.hand(request_vote(2, 3, last=(9, 2)))
    assert world.take_sent() == [vote_reply(1, 3, granted=False, to=2)]
    assert world.raft().role is role


# --- Followers ---------------------------------------------------------------------------------


def test_a_follower_without_a_leader_asks_whether_it_may_stand() -> None:
    """Raft Figure 2, followers 2; thesis §9.6: silence for an election timeout."""
    world = bench([1, 1], 1)
    world.tick(1, 500)
    assert world.raft().role is Role.FOLLOWER
    world.tick(1, 600)
    assert world.raft().role is Role.PRE_CANDIDATE


def test_a_follower_answers_but_starts_nothing_of_its_own() -> None:
    """Raft Figure 2, followers 1: it responds to candidates and leaders."""
    world = bench([1, 1], 1)
    world.tick(1, 450)
    assert world.take_sent() == []
    world.hand(append(2, 1), request_vote(3, 2, last=(2, 1)))
    assert [(m.sender, m.recipient) for m in world.take_sent()] == [(1, 2), (1, 3)]


def test_an_append_of_the_leader_restarts_the_election_timer() -> None:
    """Raft Figure 2, followers 2: word from the current leader keeps a follower."""
    world = bench([1], 1)
    for _ in range(20):
        world.tick(1, 450)
        world.hand(append(2, 1, prev=(1, 1)))
    assert world.raft().role is Role.FOLLOWER
    world.tick(1, 1100)
    assert world.raft().role is Role.PRE_CANDIDATE


def test_an_append_that_does_not_fit_restarts_the_election_timer_too() -> None:
    """Raft Figure 2, followers 2: a follower that lags still hears its leader."""
    world = bench([1], 1)
    for _ in range(20):
        world.tick(1, 450)
        world.hand(append(2, 1, prev=(7, 1)))
    assert world.raft().role is Role.FOLLOWER


def test_a_granted_vote_restarts_the_election_timer() -> None:
    """Raft Figure 2, followers 2: the candidate gets its time."""
    world = bench([1], 1)
    for term in range(2, 12):
        world.tick(1, 450)
        world.hand(request_vote(2, term, last=(1, 1)))
    assert world.raft().role is Role.FOLLOWER


def test_a_refused_vote_does_not_restart_the_election_timer() -> None:
    """Raft Figure 2, followers 2: only granting a vote does, and not a rival that must lose."""
    world = bench([1, 1], 2, voted_for=3)
    for _ in range(3):
        world.tick(1, 400)
        world.hand(request_vote(2, 2, last=(2, 1)))
    assert world.raft().role is Role.PRE_CANDIDATE


def test_a_higher_term_alone_does_not_restart_the_election_timer() -> None:
    """Raft Figure 2, followers 2: a node whose log is behind may not keep the others waiting."""
    world = bench([1, 2], 2)
    for term in range(3, 6):
        world.tick(1, 400)
        world.hand(request_vote(2, term, last=(1, 1)))
    assert "became pre-candidate" in world.lines()


def test_an_append_of_an_old_term_does_not_restart_the_election_timer() -> None:
    """Raft Figure 2, followers 2: only the current leader counts."""
    world = bench([1, 2], 2)
    for _ in range(3):
        world.tick(1, 400)
        world.hand(append(2, 1, prev=(1, 1)))
    assert world.raft().role is Role.PRE_CANDIDATE


def test_a_node_that_stood_still_itself_gives_the_leader_new_time() -> None:
    """Raft §5.2: silence counts only while this node could have heard something."""
    world = bench([1], 1)
    world.tick(1, 50)
    world.nodes[1].now_ms += 60_000
    world.tick(1, 450)
    assert world.raft().role is Role.FOLLOWER
    world.tick(1, 700)
    assert world.raft().role is Role.PRE_CANDIDATE


# --- Candidates --------------------------------------------------------------------------------


def test_a_candidate_votes_for_itself_in_a_new_term_and_asks_everyone() -> None:
    """Raft Figure 2, candidates 1: next term, own vote, timer, RequestVote to all others."""
    world = bench([1, 1, 2], 5, members=5)
    world.time_out(1)
    assert world.disk().hard_state == HardState(6, 1)
    assert world.take_sent() == [request_vote(1, 6, last=(3, 2), to=peer) for peer in (2, 3, 4, 5)]
    assert world.lines() == ["became pre-candidate", "became candidate"]


def test_a_candidate_forgets_the_leader_of_the_old_term() -> None:
    """Raft §5.2: nobody is pointed to a leader that this node no longer believes in."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    assert world.raft().leader_id == 2
    world.time_out(1)
    assert world.raft().leader_id is None


@pytest.mark.parametrize(("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_a_candidate_with_a_majority_of_votes_becomes_leader(members: int, needed: int) -> None:
    """Raft Figure 2, candidates 2: a majority of all members, its own vote included."""
    world = bench([], 1, members=members)
    world.time_out(1)
    for voter in range(2, needed + 1):
        assert world.raft().role is Role.CANDIDATE, f"{voter - 1} of {members} votes are too few"
        world.hand(vote_reply(voter, 2))
    assert world.raft().role is Role.LEADER
    assert "became leader" in world.lines()
    assert world.raft().leader_id == 1


def test_a_candidate_that_is_refused_stays_a_candidate() -> None:
    """Raft §5.2."""
    world = bench([], 1, members=5)
    world.time_out(1)
    world.hand(*(vote_reply(voter, 2, granted=False) for voter in (2, 3, 4, 5)))
    assert world.raft().role is Role.CANDIDATE


def test_a_candidate_that_hears_the_leader_of_its_term_follows_it() -> None:
    """Raft Figure 2, candidates 3: an AppendEntries of this term ends the election."""
    world = bench([1], 1)
    world.time_out(1)
    world.take_sent()
    world.lines()
    world.hand(append(3, 2, prev=(1, 1), terms=[2], commit=1))
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().leader_id == 3
    assert world.terms() == [1, 2]
    assert world.lines() == ["became follower", "following leader node 3"]
    world.hand(vote_reply(2, 2), vote_reply(3, 2))
    assert world.raft().role is Role.FOLLOWER, "votes for an election it gave up are counted"


def test_a_candidate_that_follows_gives_the_leader_a_full_timeout() -> None:
    """Raft §5.2: the timer of its own election is not the timer of the leader's silence."""
    world = bench([1], 1)
    world.time_out(1)
    world.tick(1, 450)
    world.hand(append(3, 2, prev=(1, 1)))
    world.tick(1, 500)
    assert world.raft().role is Role.FOLLOWER


def test_a_candidate_without_a_result_starts_another_election() -> None:
    """Raft Figure 2, candidates 4: the timeout runs out, the next term begins."""
    world = bench([1], 1, members=5)
    world.time_out(1)
    world.hand(vote_reply(2, 2))
    world.take_sent()
    world.time_out(1)
    assert world.disk().hard_state == HardState(3, 1)
    assert world.take_sent() == [request_vote(1, 3, last=(1, 1), to=peer) for peer in (2, 3, 4, 5)]
    world.hand(vote_reply(3, 3))
    assert world.raft().role is Role.CANDIDATE, "a vote of the last election is counted again"


def test_a_new_election_waits_for_a_whole_timeout() -> None:
    """Raft §5.2: the timer restarts with the election."""
    world = bench([1], 1)
    world.time_out(1)
    world.tick(1, 450)
    assert world.raft().current_term == 2


# --- Randomised timeouts -----------------------------------------------------------------------


def first_timeout(seed: int) -> float:
    world = World(3, running=[1], seed=seed)
    world.time_out(1)
    return world.nodes[1].now_ms


def test_election_timeouts_are_random_within_their_bounds() -> None:
    """Raft §5.2: drawn from an interval, so that split votes are rare."""
    drawn = {first_timeout(seed) for seed in range(60)}
    assert len(drawn) > 5
    assert min(drawn) <= 650
    assert max(drawn) >= 950
    assert all(500 <= timeout <= 1000 + 100 for timeout in drawn)


def test_every_election_draws_a_new_timeout() -> None:
    """Raft §5.2: those that split the vote once do not split it again in step."""
    world = bench()
    moments = []
    for _ in range(12):
        world.time_out(1)
        moments.append(world.nodes[1].now_ms)
    assert len({later - earlier for earlier, later in pairwise(moments)}) > 3


def test_a_split_vote_is_resolved() -> None:
    """Raft §5.2: everyone stands at once, nobody wins, and soon someone does."""
    world = World(4)
    for node_id in (1, 2, 3, 4):
        world.time_out(node_id)
    world.settle()
    assert world.leaders == []
    for _ in range(200):
        world.tick_all(50)
        world.settle()
    assert len(world.leaders) == 1


# --- Leaders -----------------------------------------------------------------------------------


def test_a_new_leader_tells_everyone_at_once() -> None:
    """Raft Figure 2, leaders 1: AppendEntries to each server upon election."""
    world = bench([1], 1)
    world.time_out(1)
    world.take_sent()
    world.hand(vote_reply(2, 2))
    assert [type(m) for m in world.sent()] == [AppendEntries, AppendEntries]
    assert [m.recipient for m in world.sent()] == [2, 3]


def test_a_new_leader_opens_its_term_with_a_no_op_that_names_it() -> None:
    """Raft §8: without an entry of its own term a leader cannot know what is committed."""
    world = leader_bench([1, 1], term=2)
    assert world.log()[2] == Entry(3, 2, EntryKind.NOOP, b"1")
    assert world.disk().log[2:] == world.log()[2:]


def test_a_leader_repeats_heartbeats_while_idle() -> None:
    """Raft Figure 2, leaders 1: in every interval, so that nobody stands against it."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.take_sent()
    for _ in range(5):
        world.tick(1, 100)
        assert world.take_sent() == [
            append(1, 2, prev=(1, 2), commit=1, to=2),
            append(1, 2, prev=(1, 2), commit=1, to=3),
        ]


def test_a_leader_sends_no_heartbeat_before_it_is_due() -> None:
    """Raft §5.2."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.take_sent()
    world.tick(1, 50)
    assert world.take_sent() == []


def test_a_leader_starts_no_election() -> None:
    """Raft §5.2: it has no election timer."""
    world = leader_bench([], term=2)
    for _ in range(10):
        world.tick(1, 500)
        world.hand(accepted(2, 2, match=1))
    assert world.raft().role is Role.LEADER
    assert not any(isinstance(m, PreVote | RequestVote) for m in world.take_sent())


def test_the_heartbeats_of_a_leader_keep_its_followers() -> None:
    """Raft §5.2."""
    world = World(3)
    world.elect(1)
    for _ in range(100):
        world.tick_all(50)
        world.settle()
    assert world.leaders == [1]
    assert world.raft(2).current_term == 1


def test_a_single_node_elects_itself() -> None:
    """Raft §5.2: one is a majority of one."""
    world = World(1)
    world.elect(1)
    assert world.propose(1, "x") == 2
    assert [one.data for one in world.nodes[1].applied] == [b"1", b"x"]


def test_a_node_that_follows_says_so_once() -> None:
    """Raft §5.2: clients are pointed to the leader that a follower knows."""
    world = bench([1], 2)
    world.hand(append(2, 2, prev=(1, 1)), append(2, 2, prev=(1, 1)))
    assert world.lines() == ["following leader node 2"]


def test_the_timeouts_are_settings() -> None:
    """Raft §5.6: broadcast time much below the election timeout is the operator's choice."""
    settings = RaftSettings(
        heartbeat_interval_ms=300, election_timeout_min_ms=2000, election_timeout_max_ms=2500
    )
    world = bench([], 1, settings=settings)
    world.tick(1, 2000)
    assert world.raft().role is Role.FOLLOWER
    world.tick(1, 600)
    assert world.raft().role is Role.PRE_CANDIDATE
    world.hand(pre_vote_reply(3, 1))
    world.hand(vote_reply(2, 2), accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.take_sent()
    world.tick(1, 250)
    assert world.take_sent() == []
    world.tick(1, 50)
    assert len(world.take_sent()) == 2


def test_a_deposed_leader_that_is_elected_again_starts_from_nothing() -> None:
    """Raft Figure 2, volatile state on leaders: reinitialised after election."""
    world = leader_bench([1, 1], term=2)
    world.hand(accepted(2, 2, match=3), accepted(3, 2, match=3))
    world.hand(rejected(2, 3, prev=3, conflict=(4, 0)))
    world.time_out(1)
    world.hand(vote_reply(2, 4))
    assert world.raft().role is Role.LEADER
    assert world.raft().match_index == {1: 4, 2: 0, 3: 0}
    assert world.raft().commit_index == 3
