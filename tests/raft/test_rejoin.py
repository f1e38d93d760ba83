"""A node that comes back with a new directory: it counts for nothing until it is admitted."""

from __future__ import annotations

import math

import msgspec
import pytest

from kvstore.raft.changes import demoted, promoted
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.configurations import configuration_of
from kvstore.raft.core import Raft
from kvstore.raft.messages import AppendEntriesReply
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import EntryKind, HardState, Role

from .disk import THREE, Disk, admission
from .harness import World, bench, leader_bench
from .messages import (
    accepted,
    append,
    of_directory,
    pre_vote,
    pre_vote_reply,
    request_vote,
    timeout_now,
    vote_reply,
)

NAME = "a" * 32


def new_directory(name: str = NAME) -> Disk:
    return Disk(HardState(admitted_at=NOT_ADMITTED), directory=name)


def rejoining(terms: list[int] = [], term: int = 3) -> World:  # noqa: B006 - read only
    """Node 1 alone on a bench, with a directory that was not admitted."""
    return bench(terms, term, directory=NAME)


# --- What it must not do -----------------------------------------------------------------------


def test_its_votes_say_of_which_directory_they_are() -> None:
    """Thesis §4.1: whether it counts, the candidate's configuration tells."""
    world = rejoining()
    world.hand(pre_vote(2, 3), request_vote(2, 4))
    assert world.take_sent(to=2) == [
        of_directory(pre_vote_reply(1, 3, to=2), NOT_ADMITTED, NAME),
        of_directory(vote_reply(1, 4, to=2), NOT_ADMITTED, NAME),
    ]
    assert world.disk().hard_state == HardState(4, 2, NOT_ADMITTED)


def test_it_never_stands_not_even_when_told_to() -> None:
    world = rejoining()
    world.tick(1, 20_000)
    world.hand(timeout_now(2, 3))
    assert (world.raft().role, world.raft().current_term) == (Role.FOLLOWER, 3)
    assert world.take_sent() == []


def test_its_replies_name_the_directory_that_does_not_count() -> None:
    world = rejoining()
    world.hand(append(2, 3, terms=[1, 3]), append(2, 3, prev=(9, 3)))
    replies = [m for m in world.take_sent(to=2) if isinstance(m, AppendEntriesReply)]
    assert [reply.admitted_at for reply in replies] == [NOT_ADMITTED] * 2
    assert [reply.rejoining for reply in replies] == [NAME] * 2
    assert replies[0].match_index == 2


# --- What a leader makes of it -----------------------------------------------------------------


def led_by_one(size: int = 3) -> World:
    world = World(size)
    world.elect(1)
    world.settle()
    return world


def replace_directory(world: World, node_id: int) -> None:
    world.crash(node_id)
    world.nodes[node_id].disk = new_directory()
    world.restart(node_id)


def test_what_it_holds_does_not_commit_anything() -> None:
    """A majority of directories that count must hold an entry."""
    world = led_by_one()
    world.crash(3)
    replace_directory(world, 2)
    world.propose(1, "x")
    for _ in range(4):
        world.tick(1, 50)
        world.settle()
    assert world.terms(2) == world.terms(1), "it catches up all the same"
    assert world.raft(1).commit_index == 1


def test_it_begins_anew_whatever_its_old_directory_held() -> None:
    """The leader remembers how far the old one had come."""
    world = led_by_one()
    for _ in range(5):
        world.propose(1, "x")
        world.settle()
    assert world.raft(1).match_index[2] == 6
    replace_directory(world, 2)
    for _ in range(6):
        world.tick_all(50)
        world.settle()
    assert world.terms(2) == world.terms(1)


def test_what_it_holds_commits_nothing_while_its_node_still_votes_by_the_lost_one() -> None:
    world = leader_bench([], term=2)
    world.hand(caught_up(world))
    assert world.raft().log.configuration == THREE
    assert world.raft().commit_index == 0


def test_it_confirms_no_reads_while_its_node_still_votes_by_the_lost_one() -> None:
    """Raft §8: a leader without room for the change has to do without it."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    world.raft().log.room.offer(0, 0, has_headroom=True)
    world.read(1, 7)
    world.hand(msgspec.structs.replace(caught_up(world), read_round=1))
    assert world.raft().log.configuration == THREE
    assert world.answered(1) == []
    world.hand(accepted(3, 2, match=1, read_round=1))
    assert [read.read_id for read in world.answered(1)] == [7]


def test_it_confirms_no_reads_and_keeps_no_leader() -> None:
    """Raft §8: its word is none of a majority."""
    world = led_by_one()
    world.crash(3)
    replace_directory(world, 2)
    world.take_sent()
    world.read(1, 7)
    for _ in range(10):
        world.tick(1, 50)
        world.settle()
    assert world.answered(1) == []
    for _ in range(20):
        world.tick(1, 50)
        world.settle()
    assert world.raft(1).role is Role.FOLLOWER


def test_it_is_nobody_s_heir() -> None:
    world = led_by_one()
    world.crash(3)
    replace_directory(world, 2)
    for _ in range(4):
        world.tick(1, 50)
        world.settle()
    assert world.act(1, Raft.hand_over) == 3


# --- How it is admitted ------------------------------------------------------------------------


def calm(world: World, rounds: int = 10) -> None:
    for _ in range(rounds):
        world.tick_all(50)
        world.settle()


def test_it_is_made_a_learner_and_votes_once_it_has_caught_up() -> None:
    """Two changes, of one voter each: its old directory votes no more, then the new one does."""
    world = led_by_one()
    world.propose(1, *"abc")
    world.settle()
    replace_directory(world, 2)
    calm(world)
    entries = [entry for entry in world.log(1) if entry.kind is EntryKind.CONFIGURE]
    learner, voter = (configuration_of(entry) for entry in entries)
    assert learner == demoted(THREE, 2)
    assert voter == promoted(learner, 2, NAME, entries[1].index)
    assert world.disk(2).hard_state == HardState(1, None, entries[1].index)
    told = world.lines(2)
    assert f"admitted by log entry {entries[1].index}: this node votes from now on" in told
    warned = [one for one in world.lines(1) if "came with another directory" in one]
    assert len(warned) == 1
    assert "node 2 came with another directory: the one that voted votes no more" in warned[0]
    world.crash(1)
    calm(world, 60)
    assert len(world.leaders) == 1, "2 and 3 are a majority"


def caught_up(world: World) -> AppendEntriesReply:
    """Node 2 waits on a bench to be admitted, and has all that the leader has."""
    reply = accepted(2, world.raft().current_term, match=world.raft().log.last_index)
    return msgspec.structs.replace(reply, rejoining=NAME, admitted_at=NOT_ADMITTED)


def changes(world: World) -> int:
    return [entry.kind for entry in world.log()].count(EntryKind.CONFIGURE)


def test_a_leader_without_room_changes_nothing() -> None:
    """What is left is for votes and truncations."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    for left, proposed in ((0, 0), (math.inf, 1)):
        world.raft().log.room.offer(left, left, has_headroom=True)
        world.hand(caught_up(world))
        assert changes(world) == proposed


def test_nothing_is_changed_while_leadership_moves() -> None:
    """Thesis §3.10: the heir would lack an entry again."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    world.turn(1, lambda raft: raft.hand_over(3))
    world.hand(caught_up(world))
    assert changes(world) == 0
    for _ in range(11):
        world.tick(1, 100)
        world.hand(accepted(3, 2, match=1))
    assert world.raft().takes_commands, "the heir had its time"
    world.hand(caught_up(world))
    assert changes(world) == 1


def test_nothing_is_changed_before_an_entry_of_the_leader_s_term_is_committed() -> None:
    """Thesis §4.1 as corrected: or two leaders change a configuration each, apart."""
    world = leader_bench([1], term=2)
    world.hand(accepted(3, 2, match=1), caught_up(world))
    assert changes(world) == 0
    world.hand(accepted(3, 2, match=2))
    world.hand(caught_up(world))
    assert changes(world) == 1


def test_one_change_is_under_way_at_a_time() -> None:
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    for _ in range(3):
        world.hand(caught_up(world))
    assert changes(world) == 1
    with pytest.raises(SafetyViolationError, match="a change of members is under way"):
        world.act(1, lambda raft: raft.change(demoted(raft.log.configuration, 3)))
    world.hand(accepted(3, 2, match=2), caught_up(world))
    assert changes(world) == 2


def test_a_lost_directory_is_no_reason_to_leave_too_few_that_answer() -> None:
    """Of three, 3 is silent: without node 2 as a voter, the leader would be one of two."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    world.tick(1, 600)
    world.hand(caught_up(world))
    assert world.raft().role is Role.LEADER
    assert changes(world) == 0
    world.hand(accepted(3, 2, match=1), caught_up(world))
    assert changes(world) == 1


def test_who_was_only_asked_by_a_new_leader_does_not_answer_yet() -> None:
    """Members change by who answers now; that an election was won says nothing of who is up."""
    world = leader_bench([], term=2)
    leadership = world.raft().leadership
    assert leadership is not None
    assert leadership.answering == {1}
    world.hand(accepted(3, 2, match=1))
    assert leadership.answering == {1, 3}


def test_its_vote_counts_as_soon_as_a_leader_has_made_it_a_voter() -> None:
    """Thesis §4.1: in force from the append on, for who holds it; the voter may learn it later."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1), caught_up(world), accepted(3, 2, match=2))
    world.hand(caught_up(world))
    assert changes(world) == 2
    assert world.raft().commit_index == 2
    world.hand(caught_up(world))
    assert world.raft().commit_index == 3, "1 and 2 are a majority of 1, 2 and 3"


def test_an_admission_makes_it_a_voter_from_the_append_on_and_only_as_long_as_it_is_there() -> None:
    world = rejoining()
    world.hand(msgspec.structs.replace(append(2, 3), entries=(admission(1, 3, 1, NAME),)))
    assert world.raft().is_voter
    assert world.disk().hard_state == HardState(3, None, 1)
    world.hand(append(3, 4, terms=[4]))
    assert not world.raft().is_voter
    assert world.disk().hard_state == HardState(4, None, NOT_ADMITTED)


def test_nobody_hears_of_an_admission_that_was_taken_back_in_the_same_turn() -> None:
    """By the time that the answer leaves, the disk holds it no more."""
    world = rejoining()
    world.hand(msgspec.structs.replace(append(2, 3), entries=(admission(1, 3, 1, NAME),)))
    assert [reply.admitted_at for reply in world.take_sent(to=2)] == [NOT_ADMITTED]
    world.hand(append(2, 3, prev=(1, 3)))
    assert [reply.admitted_at for reply in world.take_sent(to=2)] == [1]
    world.hand(append(3, 4, terms=[4]), append(3, 4, prev=(1, 4)))
    assert [reply.admitted_at for reply in world.take_sent(to=3)] == [NOT_ADMITTED]


def test_the_admission_of_an_earlier_directory_admits_no_later_one() -> None:
    """A node may be replaced twice."""
    world = rejoining()
    stranger = admission(1, 3, 1, "e" * 32)
    world.hand(msgspec.structs.replace(append(2, 3, commit=1), entries=(stranger,)))
    assert world.raft().commit_index == 1
    assert not world.raft().is_voter
    assert world.disk().hard_state.admitted_at == NOT_ADMITTED


def test_a_new_leader_admits_it_if_the_old_one_could_not() -> None:
    """Raft §5.4.2: an admission may be lost with its leader."""
    world = led_by_one(5)
    replace_directory(world, 5)
    world.cut = {(5, 1)}
    calm(world, 4)
    assert not world.raft(5).is_voter
    world.crash(1)
    calm(world, 60)
    assert len(world.leaders) == 1
    assert world.raft(5).is_voter


def test_acknowledgements_count_again_once_the_admission_is_durable() -> None:
    """Persist, then speak."""
    world = led_by_one()
    world.crash(3)
    world.restart(3)
    replace_directory(world, 2)
    calm(world)
    world.crash(3)
    world.propose(1, "x")
    calm(world, 4)
    assert world.raft(1).commit_index == world.raft(1).log.last_index


# --- What was acknowledged before a directory was lost -----------------------------------------


def counted_and_lost(*lost: int) -> World:
    """Node 1 of five leads, and commits an entry by the word of 2, before it hears 3.

    4 and 5 never get it; then these nodes have lost their directories.
    """
    world = led_by_one(5)
    world.isolate(4, 5)
    world.cut |= {(1, 3), (3, 1)}
    world.propose(1, "x")
    world.settle()
    assert world.raft(1).match_index[2] == 2
    assert world.raft(1).commit_index == 1
    world.crash(2)
    world.nodes[2].disk = new_directory()
    world.cut -= {(1, 3), (3, 1)}
    for _ in range(3):
        world.heartbeat(1)
    assert world.raft(1).commit_index == 2, "its word counts, and what it held is lost"
    for node_id in lost:
        replace_directory(world, node_id)
    world.heal()
    return world


@pytest.mark.parametrize("lost", [(2,), (1, 2)], ids=["a follower's", "the leader's own as well"])
def test_what_a_directory_acknowledged_before_it_was_lost_stays(lost: tuple[int, ...]) -> None:
    """Raft §5.4.3, for directories: whoever may still elect holds it (docs/verification.md)."""
    world = counted_and_lost(*lost)
    if 1 not in lost:
        world.crash(1)
    world.time_out(4)
    world.settle()
    assert 4 not in world.leaders, "3 does not vote for it, and the new directories may not"
    calm(world, 80)
    assert world.leaders
    assert [entry.data for entry in world.log(world.leaders[0])][1] == b"x"
    assert all(world.raft(node_id).is_voter for node_id in world.alive)
