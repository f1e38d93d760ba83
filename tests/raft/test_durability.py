"""Persist, then speak: nothing counts, and no promise leaves, before the disk has it."""

from __future__ import annotations

import pytest

from kvstore.raft.core import Raft
from kvstore.raft.messages import AppendEntries, AppendEntriesReply, RequestVote
from kvstore.raft.types import DurableUpdate, HardState, Role

from .disk import entry
from .harness import UNBOUNDED, World, bench, leader_bench
from .messages import accepted, append, pre_vote_reply, rejected, request_vote, vote_reply


def pending(world: World, *inputs) -> object:
    """Take these inputs and the effects, but do not write yet."""
    for act in inputs:
        world.act(1, act)
    return world.take(1)


def stepping(message):
    return lambda raft: raft.step(message)


def until_candidate(raft: Raft) -> None:
    """A majority would vote for it: it stands."""
    for now_ms in range(50, 2000, 50):
        raft.tick(now_ms)
        if raft.role is not Role.FOLLOWER:
            break
    if raft.role is Role.PRE_CANDIDATE:
        raft.take_effects()
        raft.step(pre_vote_reply(3, raft.current_term))
    assert raft.role is Role.CANDIDATE


def test_the_own_vote_counts_only_once_it_is_durable() -> None:
    """Raft §5.2: a single node that forgets its vote could lead one term twice."""
    world = bench([], 1, members=1)
    effects = pending(world, until_candidate)
    assert effects.update.hard_state == HardState(2, 1)
    assert world.raft().role is Role.CANDIDATE
    world.write(1, effects)
    assert world.raft().role is Role.LEADER


def test_the_own_vote_is_not_one_of_a_majority_before_it_is_durable() -> None:
    """Raft §5.2: with it outstanding, one grant out of three is no majority."""
    world = bench([], 1)
    effects = pending(world, until_candidate)
    world.act(1, stepping(vote_reply(2, 2)))
    assert world.raft().role is Role.CANDIDATE
    world.write(1, effects)
    assert world.raft().role is Role.LEADER


def test_the_own_entries_count_only_once_they_are_durable() -> None:
    """Raft thesis §10.2.1: the leader counts its disk, not its memory (etcd#14370)."""
    world = leader_bench([], term=2, members=5)
    world.hand(*(accepted(peer, 2, match=1) for peer in (2, 3, 4, 5)))
    effects = pending(world, lambda raft: raft.propose(b"x"))
    world.act(1, stepping(accepted(2, 2, match=2)))
    world.act(1, stepping(accepted(3, 2, match=2)))
    assert world.raft().match_index[1] == 1
    assert world.raft().commit_index == 1
    world.write(1, effects)
    assert world.raft().match_index[1] == 2
    assert world.raft().commit_index == 2


def test_a_single_node_commits_only_what_is_durable() -> None:
    """Raft Figure 2, leaders 4, for a majority of one."""
    world = World(1)
    world.elect(1)
    effects = pending(world, lambda raft: raft.propose(b"x"))
    assert world.raft().commit_index == 1
    world.write(1, effects)
    assert world.raft().commit_index == 2


def test_a_leader_commits_without_its_own_disk_but_applies_only_what_it_holds() -> None:
    """Raft thesis §10.2.1: a majority of the others is a majority too."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    effects = pending(world, lambda raft: raft.propose(b"x"))
    world.act(1, stepping(accepted(2, 2, match=2)))
    world.act(1, stepping(accepted(3, 2, match=2)))
    assert world.raft().commit_index == 2
    assert world.raft().committed_entries(1, UNBOUNDED, 1000) == []
    world.write(1, effects)
    assert [one.data for one in world.raft().committed_entries(1, UNBOUNDED, 1000)] == [b"x"]


def test_early_messages_are_only_appends_of_a_leader() -> None:
    """Raft thesis §10.2.1: they promise nothing about this node's disk."""
    world = leader_bench([], term=2)
    effects = pending(world, lambda raft: raft.propose(b"x"), stepping(request_vote(2, 1)))
    assert effects.early_messages == []
    world.write(1, effects)
    assert world.said() == [vote_reply(1, 2, granted=False, to=2)]
    effects = pending(
        world,
        stepping(accepted(2, 2, match=1)),
        stepping(request_vote(3, 2, last=(9, 1))),
    )
    assert [type(m) for m in effects.early_messages] == [AppendEntries]
    assert world.said() == [vote_reply(1, 2, granted=False, to=3)]


@pytest.mark.parametrize(
    "message",
    [request_vote(2, 3), append(2, 3, terms=[3]), append(2, 3, prev=(5, 2)), vote_reply(2, 3)],
    ids=["vote", "append", "rejected append", "reply"],
)
def test_what_a_follower_says_waits_for_its_disk(message) -> None:
    """Raft Figure 2: updated on stable storage before responding."""
    world = bench([], 2)
    effects = pending(world, stepping(message))
    assert effects.early_messages == []
    assert effects.update.hard_state is not None
    assert effects.update.hard_state.current_term == 3
    assert world.said() == []


def test_a_candidate_asks_only_once_its_own_vote_is_durable() -> None:
    """Raft §5.2: term and vote first, then RequestVote."""
    world = bench([], 1)
    effects = pending(world, until_candidate)
    assert world.sent() == world.said() == []
    world.write(1, effects)
    assert [type(m) for m in world.said()] == [RequestVote, RequestVote]


def test_an_acknowledgement_waits_for_exactly_its_entries() -> None:
    """Raft Figure 2, persistent state: a success promises entries that are on the disk."""
    world = bench([1, 1], 2)
    effects = pending(world, stepping(append(2, 2, prev=(1, 1), terms=[2, 2])))
    assert effects.update == DurableUpdate(None, 2, [entry(2, 2), entry(3, 2)], number=1)
    assert world.raft().log.durable_index == 1
    assert world.said() == []
    world.write(1, effects)
    assert world.raft().log.durable_index == 3
    (reply,) = world.said()
    assert isinstance(reply, AppendEntriesReply)
    assert reply.match_index == 3


def test_term_and_vote_are_one_write() -> None:
    """Raft Figure 2, persistent state: neither is on the disk without the other."""
    world = bench([], 1)
    effects = pending(world, stepping(request_vote(2, 5)))
    assert effects.update == DurableUpdate(HardState(5, 2), None, [], number=1)


def test_a_vote_whose_write_is_lost_in_a_crash_was_never_sent() -> None:
    """Raft §5.2: so another candidate of the term may have it (hashicorp/raft#661)."""
    world = bench([], 1)
    pending(world, stepping(request_vote(2, 2)))
    world.crash(1)
    assert world.sent() == []
    world.restart(1)
    world.hand(request_vote(3, 2))
    assert world.take_sent() == [vote_reply(1, 2, to=3)]


def test_an_append_whose_write_is_lost_in_a_crash_was_never_acknowledged() -> None:
    """Raft §5.3."""
    world = bench([1], 1)
    pending(world, stepping(append(2, 1, prev=(1, 1), terms=[1])))
    world.crash(1)
    assert world.sent() == []
    world.restart(1)
    assert world.terms() == [1]


def test_a_leader_that_crashes_after_its_appends_left_has_not_counted_itself() -> None:
    """Raft thesis §10.2.1: the entries live on only where they were written."""
    world = World(3)
    world.elect(1)
    world.act(1, lambda raft: raft.propose(b"early"))
    world.take(1)
    world.crash(1)
    world.settle()
    assert [len(world.disk(node_id).log) for node_id in (1, 2, 3)] == [1, 2, 2]
    world.restart(1)
    world.elect(2)
    world.heartbeat(2)
    assert [one.data for one in world.nodes[1].applied] == [b"1", b"early", b"2"]


def test_messages_of_an_old_term_never_leave() -> None:
    """Raft §5.1: in one turn, a vote and an acknowledgement are overtaken by a newer term."""
    world = bench([], 1)
    world.hand_in_one_turn(
        1, request_vote(2, 2), append(2, 3, terms=[3]), request_vote(3, 4, last=(1, 3))
    )
    assert world.take_sent() == [vote_reply(1, 4, to=3)]


def test_a_leader_deposed_in_the_turn_of_a_proposal_sends_none_of_it() -> None:
    """Raft §5.1: an append in the new term would claim to lead it."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.take_sent()
    effects = pending(
        world,
        lambda raft: raft.propose(b"x"),
        stepping(rejected(3, 3, prev=1, conflict=(1, 0))),
    )
    assert effects.update.hard_state == HardState(3, None)
    world.write(1, effects)
    assert effects.early_messages == world.said() == []


def test_a_candidate_overtaken_in_its_first_turn_asks_nobody() -> None:
    """Raft §5.1."""
    world = bench([], 1)
    effects = pending(world, until_candidate, stepping(request_vote(3, 7)))
    world.write(1, effects)
    assert world.said() == [vote_reply(1, 7, to=3)]


def test_effects_are_taken_once() -> None:
    """The driver sends what it takes; a second take finds only what is new."""
    world = bench([], 1)
    world.hand(request_vote(2, 2))
    effects = world.take(1)
    assert not effects.update
    assert (world.said(), effects.early_messages, effects.events) == ([], [], [])
    assert not world.raft().has_effects


def test_a_new_leader_of_one_has_its_no_op_to_say_right_after_the_write() -> None:
    """The driver need not wait for another input."""
    world = bench([], 1, members=1)
    effects = pending(world, until_candidate)
    world.write(1, effects)
    assert world.raft().has_effects
    world.write(1, world.take(1))
    assert not world.raft().has_effects


def test_an_entry_waits_to_be_taken_until_it_is_durable() -> None:
    """The driver asks whether something waits."""
    world = leader_bench([], term=2)
    assert not world.raft().has_effects
    world.act(1, lambda raft: raft.propose(b"x"))
    assert world.raft().has_effects
    world.write(1, world.take(1))
    assert not world.raft().has_effects


def test_an_answer_waits_to_be_taken_even_without_an_event() -> None:
    """The driver asks whether something waits."""
    world = bench([], 2, voted_for=2)
    assert not world.raft().has_effects
    world.act(1, stepping(request_vote(2, 2)))
    assert world.raft().has_effects


def test_an_unchanged_hard_state_is_not_written_again() -> None:
    """One fsync for what changed, none for what did not."""
    world = bench([], 2, voted_for=2)
    world.hand(request_vote(2, 2), append(2, 2))
    assert world.disk().writes == []


def test_conflicts_within_one_turn_reach_the_disk_as_one_truncation() -> None:
    """Raft §5.3: old entries give way twice before the disk hears of it."""
    world = bench([1, 1, 1, 1], 1)
    world.hand_in_one_turn(
        1,
        append(2, 2, prev=(2, 1), terms=[2, 2]),
        append(3, 3, prev=(1, 1), terms=[3]),
        append(3, 3, prev=(2, 3), terms=[3, 3]),
    )
    (update,) = world.disk().writes
    assert update.truncate_from == 2
    assert world.terms() == [1, 3, 3, 3]
    assert world.disk().log == world.log()


def test_entries_that_never_reached_the_disk_give_way_without_a_truncation() -> None:
    """Raft §5.3: there is nothing on the disk to remove."""
    world = bench([1], 1)
    world.hand_in_one_turn(
        1,
        append(2, 2, prev=(1, 1), terms=[2, 2]),
        append(3, 3, prev=(1, 1), terms=[3]),
    )
    (update,) = world.disk().writes
    assert update == DurableUpdate(HardState(3, None), None, [entry(2, 3)], number=1)
    assert world.disk().log == world.log()


def test_a_truncation_shows_in_the_durable_index_at_once() -> None:
    """The leader may not count, nor anyone apply, what is about to be removed."""
    world = bench([1, 1, 1, 1], 1)
    effects = pending(world, stepping(append(2, 2, prev=(2, 1), terms=[2])))
    assert world.raft().log.durable_index == 2
    world.write(1, effects)
    assert world.raft().log.durable_index == 3
    assert not world.raft().log.has_new
