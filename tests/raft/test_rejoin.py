"""A node that comes back with a new directory: it counts for nothing until it is admitted."""

from __future__ import annotations

import math

import msgspec
import pytest

from kvstore.raft.core import Raft
from kvstore.raft.messages import AppendEntriesReply
from kvstore.raft.types import NOT_ADMITTED, Entry, EntryKind, HardState, Role

from .disk import Disk
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


def new_directory() -> Disk:
    return Disk(HardState(admitted_at=NOT_ADMITTED))


def rejoining(terms: list[int] = [], term: int = 3) -> World:  # noqa: B006 - read only
    """Node 1 alone on a bench, with a directory that was not admitted."""
    return bench(terms, term, admitted_at=NOT_ADMITTED)


def name_of(world: World, node_id: int = 1) -> str:
    """Under which its directory asks to be admitted, as its replies say."""
    world.act(node_id, lambda raft: raft.step(append(2, raft.current_term, prev=(99, 1))))
    world.take(node_id)
    [reply] = [one for one in world.said(node_id) if isinstance(one, AppendEntriesReply)]
    return reply.rejoining


def admission(index: int, term: int, name: str, node_id: int = 1) -> Entry:
    return Entry(index, term, EntryKind.ADMIT, f"{node_id} {name}".encode())


# --- What it must not do -----------------------------------------------------------------------


def test_it_grants_no_vote_and_no_pre_vote() -> None:
    """Its old directory may have voted for another."""
    world = rejoining()
    world.hand(pre_vote(2, 3), request_vote(2, 4))
    assert world.take_sent(to=2) == [
        of_directory(pre_vote_reply(1, 3, granted=False, to=2), NOT_ADMITTED),
        of_directory(vote_reply(1, 4, granted=False, to=2), NOT_ADMITTED),
    ]
    assert world.disk().hard_state == HardState(4, None, NOT_ADMITTED)


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
    assert replies[0].rejoining == replies[1].rejoining != ""
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


def test_it_is_admitted_once_it_has_caught_up_and_then_votes() -> None:
    world = led_by_one()
    world.propose(1, *"abc")
    world.settle()
    replace_directory(world, 2)
    calm(world)
    kinds = [entry.kind for entry in world.log(1)]
    assert kinds.count(EntryKind.ADMIT) == 1
    index = kinds.index(EntryKind.ADMIT) + 1
    assert world.disk(2).hard_state == HardState(1, 1, index)
    assert f"admitted by log entry {index}: this node votes again" in world.lines(2)
    world.crash(1)
    calm(world, 60)
    assert len(world.leaders) == 1, "2 and 3 are a majority"


def caught_up(world: World) -> AppendEntriesReply:
    """Node 2 waits on a bench to be admitted, and has all that the leader has."""
    reply = accepted(2, world.raft().current_term, match=world.raft().log.last_index)
    return msgspec.structs.replace(reply, rejoining="a" * 32, admitted_at=NOT_ADMITTED)


def admissions(world: World) -> int:
    return [entry.kind for entry in world.log()].count(EntryKind.ADMIT)


def test_a_leader_without_room_proposes_no_admission() -> None:
    """What is left is for votes and truncations."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    for left, proposed in ((0, 0), (math.inf, 1)):
        world.raft().log.room.offer(left, left, has_headroom=True)
        world.hand(caught_up(world))
        assert admissions(world) == proposed


def test_no_admission_is_proposed_while_leadership_moves() -> None:
    """Thesis §3.10: the heir would lack an entry again."""
    world = leader_bench([], term=2)
    world.hand(accepted(3, 2, match=1))
    world.turn(1, lambda raft: raft.hand_over(3))
    world.hand(caught_up(world))
    assert admissions(world) == 0
    for _ in range(11):
        world.tick(1, 100)
        world.hand(accepted(3, 2, match=1))
    assert world.raft().takes_commands, "the heir had its time"
    world.hand(caught_up(world))
    assert admissions(world) == 1


def test_its_vote_in_the_term_of_its_admission_is_spent() -> None:
    """Raft §5.2: in that term its old directory may have voted."""
    world = rejoining()
    entry = admission(1, 3, name_of(world))
    world.hand(msgspec.structs.replace(append(2, 3, commit=1), entries=(entry,)))
    assert world.disk().hard_state == HardState(3, 2, 1)
    world.hand(request_vote(3, 3, last=(9, 2)))
    assert world.take_sent(to=3) == [of_directory(vote_reply(1, 3, granted=False, to=3), 1)]
    world.hand(request_vote(3, 4, last=(9, 3)))
    assert world.take_sent(to=3) == [of_directory(vote_reply(1, 4, to=3), 1)]


def test_its_vote_is_spent_in_the_term_of_whoever_committed_its_admission() -> None:
    """Raft §5.2: an entry of an earlier term is committed in that of a later leader."""
    world = rejoining()
    entry = admission(1, 3, name_of(world))
    world.hand(msgspec.structs.replace(append(2, 4, commit=1), entries=(entry,)))
    assert world.disk().hard_state == HardState(4, 2, 1)
    world.hand(request_vote(3, 4, last=(9, 3)))
    assert world.take_sent(to=3) == [of_directory(vote_reply(1, 4, granted=False, to=3), 1)]


def test_an_admission_that_is_not_committed_admits_nobody() -> None:
    world = rejoining()
    entry = admission(1, 3, name_of(world))
    world.hand(msgspec.structs.replace(append(2, 3), entries=(entry,)))
    assert not world.raft().is_voter


def test_the_admission_of_an_earlier_directory_admits_no_later_one() -> None:
    """A node may be replaced twice."""
    world = rejoining()
    stranger = admission(1, 3, "e" * 32)
    world.hand(msgspec.structs.replace(append(2, 3, commit=1), entries=(stranger,)))
    assert world.raft().commit_index == 1
    assert not world.raft().is_voter


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
