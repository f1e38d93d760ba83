"""The rule of terms (Raft §5.1), in every handler: higher is adopted, lower is refused or
dropped, equal is processed.
"""

from __future__ import annotations

import pytest

from kvstore.raft.messages import AppendEntriesReply, Message
from kvstore.raft.types import HardState, Role

from .harness import World, bench, leader_bench
from .messages import (
    accepted,
    append,
    compare,
    compared,
    fetch,
    fetch_piece,
    fetched,
    install,
    piece,
    pre_vote,
    pre_vote_reply,
    read_index,
    read_index_reply,
    rejected,
    request_vote,
    shown,
    vote_reply,
)

OWN = 3
"""The term of the node under test."""


def of_each_kind(term: int) -> list[Message]:
    """One message of every kind, from node 2, that would have an effect in its own term."""
    return [
        request_vote(2, term, last=(9, min(term - 1, OWN))),
        vote_reply(2, term),
        vote_reply(2, term, granted=False),
        append(2, term),
        accepted(2, term, match=1),
        rejected(2, term, prev=1, conflict=(1, 0)),
        pre_vote(2, term, last=(9, min(term, OWN))),
        pre_vote_reply(2, term),
        read_index(2, term, read_id=1),
        fetch(2, term, (1, 1, 1)),
        fetched(2, term),
        read_index_reply(2, term, read_id=1, index=1),
        install(2, term, last=(9, 1)),
        fetch_piece(2, term),
        piece(2, term, b"x"),
        compare(2, term, 1),
        compared(2, term, 1),
    ]


def in_role(role: Role) -> World:
    """Node 1 in term 3 with its own vote or none, in this role."""
    if role is Role.LEADER:
        return leader_bench([1, 2], term=OWN)
    if role is Role.FOLLOWER:
        world = bench([1, 2], OWN, voted_for=3)
        world.tick(1, 50)
        return world
    if role is Role.PRE_CANDIDATE:
        world = bench([1, 2], OWN, voted_for=3)
        world.fall_silent(1)
        world.take_sent()
        world.lines()
        return world
    world = bench([1, 2], OWN - 1)
    world.time_out(1)
    world.take_sent()
    world.lines()
    return world


def kind(message: Message) -> str:
    return shown(message).split(" ", 1)[1]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("message", of_each_kind(OWN + 4), ids=kind)
def test_every_role_adopts_a_higher_term_from_every_message(role: Role, message: Message) -> None:
    """Raft Figure 2, all servers 2: a request or reply of a higher term makes a follower of it."""
    world = in_role(role)
    world.hand(message)
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().current_term == OWN + 4
    assert world.disk().hard_state.current_term == OWN + 4
    assert world.lines()[:2] == ["stepping down: saw term 7 > my term 3", "became follower"]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("message", of_each_kind(OWN + 1)[1:], ids=kind)
def test_a_higher_term_clears_the_vote(role: Role, message: Message) -> None:
    """Raft Figure 2, state: `voted_for` is the vote of the current term, and a new one has none."""
    world = in_role(role)
    assert world.raft().voted_for is not None
    world.hand(message)
    assert world.raft().voted_for is None
    assert world.disk().hard_state == HardState(OWN + 1, None)


def test_a_vote_request_of_a_higher_term_is_refused_with_the_vote_cleared() -> None:
    """Raft §5.1, §5.4.1: the term is adopted even where the vote is refused."""
    world = bench([1, 2], OWN, voted_for=3)
    world.hand(request_vote(2, OWN + 1, last=(1, 1)))
    assert world.disk().hard_state == HardState(OWN + 1, None)
    assert world.take_sent() == [vote_reply(1, OWN + 1, granted=False, to=2)]


@pytest.mark.parametrize("role", Role)
def test_every_role_refuses_a_vote_request_of_a_lower_term(role: Role) -> None:
    """Raft Figure 2, RequestVote receiver 1: false, with the newer term."""
    world = in_role(role)
    before = world.disk().hard_state
    world.hand(request_vote(2, OWN - 1, last=(9, OWN - 2)))
    assert world.take_sent() == [vote_reply(1, OWN, granted=False, to=2)]
    assert world.raft().role is role
    assert world.disk().hard_state == before


def test_a_free_vote_is_not_given_to_a_candidate_of_a_lower_term() -> None:
    """Raft Figure 2, RequestVote receiver 1: however complete the candidate's log may be."""
    world = bench([1, 1], OWN)
    world.hand(request_vote(2, OWN - 1, last=(9, 1)))
    assert world.take_sent() == [vote_reply(1, OWN, granted=False, to=2)]
    assert world.raft().voted_for is None
    assert world.lines() == []


@pytest.mark.parametrize("role", Role)
def test_every_role_rejects_an_append_of_a_lower_term(role: Role) -> None:
    """Raft Figure 2, AppendEntries receiver 1: false, with the newer term, and nothing taken."""
    world = in_role(role)
    log, leader = world.log(), world.raft().leader_id
    world.hand(append(2, OWN - 1, prev=(1, 1), terms=[2, 2, 2], commit=4))
    (reply,) = world.take_sent()
    assert isinstance(reply, AppendEntriesReply)
    assert (reply.term, reply.success, reply.match_index) == (OWN, False, 0)
    assert world.raft().role is role
    assert world.log() == log
    assert world.raft().commit_index == 0
    assert world.raft().leader_id == leader


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "message", [m for m in of_each_kind(OWN - 1) if kind(m).count("Reply")], ids=kind
)
def test_every_role_drops_a_reply_of_a_lower_term(role: Role, message: Message) -> None:
    """Raft §5.1: what answered an earlier term says nothing about this one."""
    world = in_role(role)
    before = world.disk().hard_state
    world.hand(message)
    world.hand(message)
    assert world.take_sent() == []
    assert world.lines() == []
    assert world.raft().role is role
    assert world.disk().hard_state == before


def test_a_late_grant_of_an_old_term_elects_nobody() -> None:
    """Raft §5.2: a candidate needs votes of its own term (little-raft#44)."""
    world = in_role(Role.CANDIDATE)
    world.hand(vote_reply(2, OWN - 1), vote_reply(3, OWN - 1))
    assert world.raft().role is Role.CANDIDATE
    world.hand(vote_reply(3, OWN))
    assert world.raft().role is Role.LEADER


def test_a_success_of_an_old_term_moves_nothing() -> None:
    """Raft §5.1, §5.3: a success counts for the leadership that it answers (copycat#29)."""
    world = leader_bench([1, 2], term=OWN)
    world.hand(accepted(2, OWN - 1, match=3), accepted(3, OWN - 1, match=3))
    assert world.raft().match_index == {1: 3, 2: 0, 3: 0}
    assert world.raft().commit_index == 0


def test_a_vote_request_of_the_same_term_is_processed() -> None:
    """Raft Figure 2, RequestVote receiver 2."""
    world = bench([1, 2], OWN)
    world.hand(request_vote(2, OWN, last=(2, 2)))
    assert world.take_sent() == [vote_reply(1, OWN, to=2)]
    assert world.lines() == ["granted vote to node 2"]


def test_an_append_of_the_same_term_is_processed() -> None:
    """Raft Figure 2, AppendEntries receiver 2 to 5."""
    world = bench([1, 2], OWN)
    world.hand(append(2, OWN, prev=(2, 2), terms=[3], commit=3))
    assert world.take_sent() == [accepted_by_1(OWN, prev=2, match=3)]
    assert world.terms() == [1, 2, 3]
    assert world.raft().commit_index == 3


def test_a_vote_reply_of_the_same_term_is_processed() -> None:
    """Raft §5.2."""
    world = in_role(Role.CANDIDATE)
    world.hand(vote_reply(2, OWN))
    assert world.raft().role is Role.LEADER


def test_an_append_reply_of_the_same_term_is_processed() -> None:
    """Raft §5.3."""
    world = leader_bench([1, 2], term=OWN)
    world.hand(accepted(2, OWN, match=3))
    assert world.raft().match_index == {1: 3, 2: 3, 3: 0}


def test_a_leader_steps_down_on_a_higher_term_in_an_append_reply() -> None:
    """Raft Figure 2, all servers 2: the first reply of a newer term fences a stale leader."""
    world = leader_bench(term=1)
    world.tick(1, 100)
    world.take_sent()
    world.hand(rejected(2, 2, prev=1, conflict=(1, 0)))
    assert world.lines() == ["stepping down: saw term 2 > my term 1", "became follower"]
    world.tick(1, 400)
    assert world.take_sent() == [], "a fenced leader sends heartbeats"
    assert world.raft().leader_id is None
    assert world.raft().match_index == {}


def test_a_deposed_leader_starts_its_election_timer() -> None:
    """Raft §5.2: it is a follower like any other, and may run again after a whole timeout."""
    world = leader_bench(term=1)
    for _ in range(10):
        world.tick(1, 500)
        world.hand(accepted(2, 1, match=0))
    world.hand(rejected(2, 2, prev=1, conflict=(1, 0)))
    world.tick(1, 500)
    assert world.raft().role is Role.FOLLOWER, "it stood again before the shortest timeout"
    world.tick(1, 600)
    assert world.raft().role is Role.PRE_CANDIDATE


def test_a_candidate_steps_down_on_a_higher_term_in_a_vote_reply() -> None:
    """Raft Figure 2, all servers 2."""
    world = in_role(Role.CANDIDATE)
    world.hand(vote_reply(2, OWN + 1, granted=False))
    assert world.raft().role is Role.FOLLOWER
    assert world.lines() == ["stepping down: saw term 4 > my term 3", "became follower"]
    world.hand(vote_reply(3, OWN), vote_reply(2, OWN))
    assert world.raft().role is Role.FOLLOWER


def test_a_grant_of_a_higher_term_is_not_counted() -> None:
    """Raft §5.2: it can only belong to an election that this node has not called."""
    world = in_role(Role.CANDIDATE)
    world.hand(vote_reply(2, OWN + 1), vote_reply(3, OWN + 1))
    assert world.raft().role is Role.FOLLOWER


def test_a_restarted_follower_with_an_old_term_is_fenced_by_its_first_message() -> None:
    """Raft §5.1: a node back with the term of its disk adopts the term it meets."""
    world = bench([1, 1], 1, voted_for=1)
    world.hand(append(2, 4, prev=(2, 1), terms=[4], commit=3))
    assert world.lines() == [
        "stepping down: saw term 4 > my term 1",
        "became follower",
        "following leader node 2",
    ]
    assert world.disk().hard_state == HardState(4, None)
    assert world.take_sent() == [accepted_by_1(4, prev=2, match=3)]


def test_a_restarted_leader_with_an_old_term_is_fenced_by_a_vote_request() -> None:
    """Raft §5.1."""
    world = bench([1, 1], 1, voted_for=1)
    world.hand(request_vote(2, 2, last=(2, 1)))
    assert world.lines() == [
        "stepping down: saw term 2 > my term 1",
        "became follower",
        "granted vote to node 2",
    ]
    assert world.disk().hard_state == HardState(2, 2)


def test_a_step_down_within_the_term_keeps_the_vote() -> None:
    """Raft Figure 2, candidates 3; a second vote in one term would elect two (camunda#5356)."""
    world = in_role(Role.CANDIDATE)
    world.hand(append(2, OWN))
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().voted_for == 1
    assert world.disk().hard_state == HardState(OWN, 1)
    assert world.lines() == ["became follower", "following leader node 2"]
    world.take_sent()
    world.hand(request_vote(3, OWN, last=(9, OWN - 1)))
    assert world.take_sent() == [vote_reply(1, OWN, granted=False, to=3)]


def test_an_append_of_a_higher_term_keeps_no_vote_of_the_old() -> None:
    """Raft Figure 2, all servers 2: in the new term this node has voted for nobody yet."""
    world = in_role(Role.CANDIDATE)
    world.hand(append(2, OWN + 1))
    assert world.disk().hard_state == HardState(OWN + 1, None)


def test_steps_through_several_terms_in_one_turn_tell_each() -> None:
    """Raft §5.1: each message is compared with the term as it is then."""
    world = bench([], OWN)
    messages = [request_vote(2, OWN + 1), request_vote(3, OWN + 2), append(2, OWN + 1)]
    world.hand_in_one_turn(1, *messages)
    assert world.lines() == [
        "stepping down: saw term 4 > my term 3",
        "became follower",
        "granted vote to node 2",
        "stepping down: saw term 5 > my term 4",
        "became follower",
        "granted vote to node 3",
    ]
    granted, refused = world.take_sent()
    assert granted == vote_reply(1, OWN + 2, to=3)
    assert isinstance(refused, AppendEntriesReply)
    assert (refused.recipient, refused.term, refused.success) == (2, OWN + 2, False)


def accepted_by_1(term: int, prev: int, match: int) -> AppendEntriesReply:
    """What node 1 answers to node 2 when it takes an append."""
    return AppendEntriesReply(
        cluster_id="test",
        sender=1,
        recipient=2,
        term=term,
        success=True,
        prev_log_index=prev,
        match_index=match,
    )
