"""Updates that become durable later: what rests on them waits, whatever comes meanwhile."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from kvstore.raft.core import Raft
from kvstore.raft.effects import Effects
from kvstore.raft.messages import AppendEntriesReply, RequestVote
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import HardState, Role

from .disk import admission, entry
from .harness import UNBOUNDED, World, bench, leader_bench
from .messages import (
    accepted,
    append,
    fetched,
    pre_vote,
    request_vote,
    timeout_now,
    vote_reply,
)
from .test_durability import stepping, until_candidate


def begin(world: World, *inputs) -> Effects:
    """A turn with these inputs; its update is under way."""
    for act in inputs:
        world.act(1, act)
    return world.take(1)


def let_pass(world: World, from_ms: float, until_ms: float) -> float:
    """Turns in which nothing arrives, and of which the disk does nothing; when it is then."""
    while from_ms < until_ms:
        from_ms += 50
        world.act(1, partial(Raft.tick, now_ms=from_ms))
        assert not world.take(1).update.hard_state
    return from_ms


def test_each_acknowledgement_waits_for_its_own_update() -> None:
    """Raft Figure 2: a success promises what is on the disk, and not what is on its way there."""
    world = bench([1], 1)
    first = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1])))
    second = begin(world, stepping(append(2, 1, prev=(2, 1), terms=[1, 1])))
    assert (first.update.number, second.update.number) == (1, 2)
    assert second.update.entries == [entry(3, 1), entry(4, 1)]
    assert world.said() == []
    world.write(1, first)
    assert [(m.match_index, world.raft().log.durable_index) for m in world.said()] == [(2, 2)]
    world.write(1, second)
    assert [(m.match_index, world.raft().log.durable_index) for m in world.said()] == [(4, 4)]


def test_what_brings_nothing_new_waits_for_what_it_rests_on() -> None:
    """The same request again, while the entries of the first one are under way."""
    world = bench([1], 1)
    request = append(2, 1, prev=(1, 1), terms=[1])
    first = begin(world, stepping(request))
    assert not begin(world, stepping(request)).update
    assert world.said() == []
    world.write(1, first)
    assert [m.match_index for m in world.said()] == [2, 2]


def test_what_is_said_in_a_term_waits_until_that_is_durable() -> None:
    """Raft Figure 2: also where the turn that brought the term had nothing to say."""
    world = bench([1], 1)
    first = begin(world, stepping(vote_reply(3, 2)))
    assert not begin(world, stepping(append(2, 2, prev=(1, 1)))).update
    assert world.said() == []
    world.write(1, first)
    assert [m.match_index for m in world.said()] == [1]


def test_what_was_truncated_while_it_was_written_does_not_count() -> None:
    """Raft §5.3: another leader's entries take its place; the disk hears of them in order."""
    world = bench([1], 1)
    first = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1, 1, 1])))
    second = begin(world, stepping(append(3, 2, prev=(2, 1), terms=[2])))
    assert second.update.truncate_from == 3
    world.write(1, first)
    assert world.raft().log.durable_index == 2
    assert world.raft().committed_entries(1, UNBOUNDED, UNBOUNDED) == []
    assert world.said() == []
    world.write(1, second)
    assert world.raft().log.durable_index == 3
    assert [m.match_index for m in world.said()] == [3]
    assert world.disk().log == world.log() == [entry(1, 1), entry(2, 1), entry(3, 2)]


def test_what_was_truncated_whole_while_it_was_written_does_not_count() -> None:
    """Also where the new log ends before the old one does."""
    world = bench([1], 1)
    first = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1, 1, 1])))
    second = begin(world, stepping(append(3, 2, prev=(1, 1), terms=[2])))
    third = begin(world, stepping(append(3, 2, prev=(2, 2), terms=[2])))
    assert (second.update.truncate_from, third.update.truncate_from) == (2, None)
    for effects, durable_index in ((first, 1), (second, 2), (third, 3)):
        world.write(1, effects)
        assert world.raft().log.durable_index == durable_index
    assert world.disk().log == world.log()


def test_a_truncation_is_handed_to_the_disk_once() -> None:
    """What comes after it must not remove what took the place."""
    world = bench([1, 1, 1], 1)
    first = begin(world, stepping(append(2, 2, prev=(1, 1))), lambda raft: raft.log.truncate(2))
    second = begin(world, stepping(append(2, 2, prev=(1, 1), terms=[2])))
    assert (first.update.truncate_from, second.update.truncate_from) == (2, None)
    assert second.update.entries == [entry(2, 2)]
    world.write(1, first)
    world.write(1, second)
    assert world.disk().log == world.log() == [entry(1, 1), entry(2, 2)]


def test_a_vote_for_an_earlier_term_wins_no_later_one() -> None:
    """Raft §5.2: what has become durable is a vote, but not of the term in which it stands."""
    world = bench([], 1)
    first = begin(world, until_candidate)
    second = begin(world, stepping(append(2, 2)), stepping(timeout_now(2, 2)))
    world.act(1, stepping(vote_reply(3, 3)))
    world.write(1, first)
    assert world.raft().role is Role.CANDIDATE
    assert world.raft().durable_hard_state == HardState(2, 1)
    world.write(1, second)
    assert world.raft().role is Role.LEADER


def test_who_stands_waits_for_its_own_vote_and_then_for_those_of_others() -> None:
    """Else a disk that takes as long as an election keeps a cluster without leader for ever."""
    world = bench([], 1)
    first = begin(world, until_candidate)
    now_ms = let_pass(world, 2_000, 9_000)
    assert (world.raft().role, world.raft().current_term) == (Role.CANDIDATE, 2)
    world.write(1, first)
    assert [type(m) for m in world.said()] == [RequestVote, RequestVote]
    let_pass(world, now_ms, now_ms + 450)
    world.act(1, stepping(vote_reply(3, 2)))
    assert world.raft().role is Role.LEADER


def test_a_leader_whose_disk_hangs_for_longer_than_elections_take_steps_down() -> None:
    """Others may commit without it (thesis §10.2.1), and yet nobody gets an answer from it."""
    world = leader_bench([], term=2)
    now_ms = world.nodes[1].now_ms
    effects = begin(world, lambda raft: raft.propose(b"x"))
    while now_ms < world.nodes[1].now_ms + 1_000:
        for peer in (2, 3):
            world.act(1, stepping(accepted(peer, 2, match=2)))
        now_ms += 50
        world.act(1, lambda raft, now_ms=now_ms: raft.tick(now_ms))
    assert (world.raft().role, world.raft().commit_index) == (Role.LEADER, 2)
    world.act(1, lambda raft: raft.tick(now_ms + 50))
    assert world.raft().role is Role.FOLLOWER
    events = [str(event) for event in world.take(1).events]
    assert "stepping down: stood still for 1050 ms" in events
    now_ms = let_pass(world, now_ms, now_ms + 5_000)
    assert world.raft().role is Role.FOLLOWER, "it does not stand while its disk hangs"
    world.write(1, effects)
    world.act(1, lambda raft: until_it_stands(raft, now_ms))


def until_it_stands(raft: Raft, now_ms: float) -> None:
    while raft.role is Role.FOLLOWER:
        now_ms += 50
        raft.tick(now_ms)


def test_several_updates_become_durable_at_once() -> None:
    """A writer may have written what waited together."""
    world = bench([1], 1)
    first = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1])))
    second = begin(world, stepping(append(2, 1, prev=(2, 1), terms=[1])))
    for effects in (first, second):
        world.disk().write(effects.update)
    world.act(1, lambda raft: raft.persisted(2))
    assert world.raft().log.durable_index == 3
    assert [m.match_index for m in world.said()] == [2, 3]


def test_nothing_is_durable_that_was_never_handed_over() -> None:
    """A driver that counts wrongly is found out before anything rests on it."""
    world = bench([1], 1)
    with pytest.raises(SafetyViolationError):
        world.raft().persisted(1)


def test_what_is_said_for_a_disk_that_hangs_is_bounded() -> None:
    """A leader goes on asking; of what it would be told the newest leaves."""
    world = bench([1], 1)
    first = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1])))
    for read_round in range(5_000):
        begin(world, stepping(append(2, 1, prev=(2, 1), read_round=read_round)))
    world.write(1, first)
    said = world.said()
    assert len(said) == 1_024
    assert said[-1].read_round == 4_999


def test_a_vote_speaks_for_the_directory_that_its_update_admits() -> None:
    """Or who heard it could not tell it from one of the directory before."""
    world = bench([1], 1, directory="a" * 32)
    entry_of_it = admission(2, 1, node_id=1)
    first = begin(
        world, stepping(msgspec.structs.replace(append(2, 1, (1, 1)), entries=(entry_of_it,)))
    )
    world.write(1, first)
    second = begin(world, stepping(request_vote(3, 2, last=(9, 1))))
    assert second.update.hard_state == HardState(2, 3, 2)
    world.said()
    world.write(1, second)
    [vote] = world.said()
    assert (vote.vote_granted, vote.admitted_at) == (True, 2)


def test_a_vote_waits_for_the_update_with_that_vote() -> None:
    """Raft Figure 2: and one of an earlier term, which is durable by then, is not sent any more."""
    world = bench([], 1)
    first = begin(world, stepping(request_vote(2, 2)))
    second = begin(world, stepping(request_vote(3, 3)))
    world.write(1, first)
    assert world.said() == []
    world.write(1, second)
    assert world.said() == [vote_reply(1, 3, to=3)]


def test_the_prospect_of_a_vote_is_over_when_a_leader_is_heard() -> None:
    """Thesis §9.6: what waited for the disk until then helps nobody to unseat that one."""
    world = bench([1], 1)
    first = begin(world, stepping(append(3, 1, prev=(1, 1), terms=[1])), lambda raft: None)
    world.act(1, lambda raft: raft.wake(400))
    world.act(1, lambda raft: raft.wake(800))
    assert not begin(world, stepping(pre_vote(2, 1, last=(2, 1)))).update
    assert not begin(world, stepping(append(3, 1, prev=(2, 1)))).update
    world.write(1, first)
    assert [type(m) for m in world.said()] == [AppendEntriesReply, AppendEntriesReply]


def test_a_vote_that_is_under_way_is_not_handed_over_again() -> None:
    """One fsync for what changed."""
    world = bench([], 1)
    begin(world, stepping(request_vote(2, 2)))
    assert not begin(world, stepping(request_vote(2, 2))).update


def test_a_leader_counts_of_its_own_disk_what_is_durable() -> None:
    """Raft thesis §10.2.1."""
    world = leader_bench([], term=2, members=5)
    world.hand(*(accepted(peer, 2, match=1) for peer in (2, 3, 4, 5)))
    first = begin(world, lambda raft: raft.propose(b"x"))
    second = begin(world, lambda raft: raft.propose(b"y"))
    for peer in (2, 3):
        world.act(1, stepping(accepted(peer, 2, match=3)))
    assert world.raft().commit_index == 1
    world.write(1, first)
    assert (world.raft().match_index[1], world.raft().commit_index) == (2, 2)
    world.write(1, second)
    assert (world.raft().match_index[1], world.raft().commit_index) == (3, 3)


def test_nothing_is_applied_that_is_only_under_way() -> None:
    """Whoever committed it: an answer about it would rest on this disk."""
    world = bench([1], 1)
    effects = begin(world, stepping(append(2, 1, prev=(1, 1), terms=[1, 1], commit=3)))
    assert world.raft().commit_index == 3
    assert world.raft().committed_entries(1, UNBOUNDED, UNBOUNDED) == []
    world.write(1, effects)
    taken = world.raft().committed_entries(1, UNBOUNDED, UNBOUNDED)
    assert [one.index for one in taken] == [2, 3]


def test_a_repair_is_handed_over_once_and_counts_when_it_is_durable() -> None:
    """Damage is not absence; and what is under way is neither."""
    world = lost(2)
    first = begin(world, stepping(fetched(2, 1, entry(2, 1), until=2)))
    second = begin(world, stepping(append(2, 1, prev=(3, 1), terms=[1])))
    assert (first.update.repairs, second.update.repairs) == ((entry(2, 1),), ())
    assert [*world.raft().log.damaged] == [2]
    world.write(1, first)
    assert [*world.raft().log.damaged] == []
    world.write(1, second)
    assert world.disk().damaged == set()


def test_a_repair_that_was_truncated_while_it_was_written_brings_nothing_back() -> None:
    """Raft §5.3: the entry in its place is neither damaged nor repaired."""
    world = lost(2)
    first = begin(world, stepping(fetched(2, 1, entry(2, 1), until=2)))
    second = begin(world, stepping(append(3, 2, prev=(1, 1), terms=[2])))
    for effects in (first, second):
        world.write(1, effects)
        assert [*world.raft().log.damaged] == []
        assert not world.raft().log.is_repairing
    assert world.disk().log == world.log() == [entry(1, 1), entry(2, 2)]


def lost(*indexes: int) -> World:
    """Node 1 on the bench with three entries, of which it cannot read these."""
    world = bench([1, 1, 1], 1)
    world.crash(1)
    world.disk().damaged = {*indexes}
    world.restart(1)
    return world
