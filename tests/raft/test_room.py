"""Disks without room: entries stay out, all else goes on."""

from __future__ import annotations

import math

import msgspec

from kvstore.raft.core import Raft
from kvstore.raft.messages import AppendEntries, AppendEntriesReply, FetchEntries
from kvstore.raft.room import SHORT_BYTES
from kvstore.raft.types import Entry, EntryKind, HardState, Role

from .disk import Disk, entries_of_terms, entry
from .harness import World, bench, leader_bench
from .messages import (
    accepted,
    append,
    pre_vote,
    pre_vote_reply,
    rejected,
    request_vote,
    vote_reply,
)


def fill(raft: Raft) -> None:
    """Its disk has no room for commands, but some for no-ops."""
    raft.log.room.offer(0, math.inf, has_headroom=False)


def follower_without_room(log: list[int], term: int) -> World:
    """Node 1 alone on a bench, its disk full."""
    world = bench(log, term)
    fill(world.raft())
    return world


def replies(world: World) -> list[AppendEntriesReply]:
    return [m for m in world.take_sent() if isinstance(m, AppendEntriesReply)]


def test_a_follower_without_room_leaves_entries_out_and_says_so() -> None:
    """Raft §5.3: it vouches for what it holds, no further."""
    world = follower_without_room([1, 1], 2)
    world.hand(append(2, 2, prev=(2, 1), terms=[2, 2], commit=4))
    (reply,) = replies(world)
    assert (reply.success, reply.match_index, reply.has_room) == (True, 2, False)
    assert world.terms() == [1, 1]
    assert world.raft().commit_index == 2


def test_it_vouches_for_those_entries_that_it_holds_already() -> None:
    world = follower_without_room([1, 1, 2], 2)
    world.hand(append(2, 2, prev=(1, 1), terms=[1, 2, 2], commit=4))
    (reply,) = replies(world)
    assert (reply.success, reply.match_index) == (True, 3)
    assert world.raft().commit_index == 3


def test_it_keeps_its_own_entries_where_it_cannot_take_the_leader_s() -> None:
    """Nothing is truncated for what does not come."""
    world = follower_without_room([1, 1, 1], 2)
    world.hand(append(2, 2, prev=(2, 1), terms=[2]))
    (reply,) = replies(world)
    assert (reply.success, reply.match_index) == (True, 2)
    assert world.terms() == [1, 1, 1]


def test_it_takes_no_ops_as_long_as_no_command_is_before_them() -> None:
    """Raft §8: without them no leader could tell what is committed."""
    world = follower_without_room([1], 3)
    noop = Entry(2, 3, EntryKind.NOOP, b"2")
    opening = append(2, 3, prev=(1, 1), commit=2)
    world.hand(msgspec.structs.replace(opening, entries=(noop, entry(3, 3))))
    (reply,) = replies(world)
    assert (reply.match_index, reply.has_room) == (2, False)
    assert world.log() == [entry(1, 1), noop]
    assert world.raft().commit_index == 2


def test_it_votes_all_the_same() -> None:
    """Raft §5.2: terms and votes are small, and have a reserve."""
    world = follower_without_room([1], 1)
    world.hand(pre_vote(2, 1, last=(1, 1)), request_vote(2, 2, last=(1, 1)))
    assert world.take_sent() == [
        pre_vote_reply(1, 1, granted=True, to=2),
        vote_reply(1, 2, to=2),
    ]
    assert world.disk().hard_state == HardState(2, 2)


def test_it_takes_the_entries_that_fit_and_waits_for_room_for_the_next() -> None:
    """An entry's size counts, and entries that are not on the disk yet do, too."""
    world = bench([1], 2)
    room = world.raft().log.room
    large = Entry(3, 2, EntryKind.COMMAND, bytes(60))
    small = [Entry(2, 2, EntryKind.COMMAND, bytes(50)), Entry(4, 2, EntryKind.COMMAND, b"")]
    request = append(2, 2, prev=(1, 1), terms=[2, 2, 2])
    request = msgspec.structs.replace(request, entries=(small[0], large, small[1]))
    room.offer(100, 100, has_headroom=True)
    world.hand(request)
    (reply,) = replies(world)
    assert (reply.match_index, reply.has_room) == (2, False)
    assert world.terms() == [1, 2]
    for left, has_room in ((60, False), (61, True)):
        room.offer(left, 100, has_headroom=True)
        world.hand(append(2, 2, prev=(2, 2)))
        (reply,) = replies(world)
        assert reply.has_room is has_room


def test_long_entries_wait_where_short_ones_have_room() -> None:
    """They need pages in a row, which a file may not have inside."""
    world = bench([1], 2)
    room = world.raft().log.room
    room.offer(100_000, 100_000, has_headroom=True, long_bytes=1_500)
    short = Entry(2, 2, EntryKind.COMMAND, bytes(SHORT_BYTES))
    long = Entry(3, 2, EntryKind.COMMAND, bytes(SHORT_BYTES + 1))
    request = append(2, 2, prev=(1, 1), terms=[2, 2])
    world.hand(msgspec.structs.replace(request, entries=(short, long)))
    (reply,) = replies(world)
    assert (reply.match_index, reply.has_room) == (2, False)
    for long_bytes, has_room in ((SHORT_BYTES + 1, False), (SHORT_BYTES + 2, True)):
        room.offer(100_000, 100_000, has_headroom=True, long_bytes=long_bytes)
        world.hand(append(2, 2, prev=(2, 2)))
        (reply,) = replies(world)
        assert reply.has_room is has_room


def test_what_one_leader_could_not_give_is_no_reason_to_refuse_another() -> None:
    world = bench([1], 2)
    world.raft().log.room.offer(10, 100, has_headroom=True)
    request = append(2, 2, prev=(1, 1), terms=[2])
    large = Entry(2, 2, EntryKind.COMMAND, bytes(60))
    world.hand(msgspec.structs.replace(request, entries=(large,)))
    assert [reply.has_room for reply in replies(world)] == [False]
    world.hand(append(3, 3, prev=(1, 1)))
    assert [reply.has_room for reply in replies(world)] == [True]


def test_repairs_wait_until_they_fit() -> None:
    """Entries that come back take room like any others; nobody is asked for them meanwhile."""
    disk = Disk(HardState(1), entries_of_terms([1, 1]))
    disk.damaged = {2}
    world = World(3, running=[1], disks={1: disk})
    world.tick(1, 50)
    world.take_sent()
    room = world.raft().log.room
    room.offer(2, 100, has_headroom=False)
    world.hand(append(2, 1, prev=(1, 1), terms=[1]))
    (reply,) = replies(world)
    assert reply.match_index == 1
    assert disk.damaged == {2}
    for _ in range(8):
        world.tick(1, 50)
    assert not [message for message in world.take_sent() if isinstance(message, FetchEntries)]
    room.offer(100, 100, has_headroom=True)
    world.hand(append(2, 1, prev=(1, 1), terms=[1]))
    assert disk.damaged == set()


def test_who_could_not_open_a_term_does_not_stand() -> None:
    """Raft §8: a leader needs its no-op; whoever has room for one stands instead."""
    world = World(3)
    world.raft(1).log.room.offer(0, 0, has_headroom=False)
    for _ in range(60):
        world.tick_all(50)
        world.settle()
        assert world.raft(1).role is Role.FOLLOWER
    assert Role.LEADER in {world.raft(node).role for node in (2, 3)}
    assert world.raft(1).log.last_index == 0, "and takes none"


def led_by_one() -> World:
    world = World(3)
    world.elect(1)
    world.settle()
    return world


def test_a_leader_sends_no_entries_to_a_follower_without_room_but_heartbeats() -> None:
    world = led_by_one()
    fill(world.raft(2))
    world.propose(1, "x")
    world.settle()
    assert world.raft(1).commit_index == 2, "1 and 3 are a majority"
    world.propose(1, *"yyyyy")
    for _ in range(8):
        world.tick_all(50)
        for message in world.sent(to=2):
            assert not isinstance(message, AppendEntries) or not message.entries
        world.settle()
    assert world.raft(1).role is Role.LEADER
    assert world.raft(2).log.last_index == 1


def test_a_follower_that_has_room_again_catches_up() -> None:
    world = led_by_one()
    fill(world.raft(2))
    for _ in range(10):
        world.propose(1, *("x" * 20))
        world.settle()
    world.raft(2).log.room.offer(math.inf, math.inf, has_headroom=True)
    for _ in range(6):
        world.tick_all(50)
        world.settle()
    assert world.raft(2).commit_index == world.raft(1).commit_index == 201


def test_a_leader_without_room_may_lead_if_nobody_has_any() -> None:
    """Reads need no room."""
    world = World(3)
    for node in (1, 2, 3):
        fill(world.raft(node))
    world.elect(1)
    assert world.raft(1).role is Role.LEADER
    assert world.raft(1).roomier_follower(0) is None


def test_who_takes_over_has_room_and_was_heard_lately() -> None:
    world = led_by_one()
    world.propose(1, "x")
    world.settle()
    fill(world.raft(2))
    for _ in range(3):
        world.tick_all(50)
        world.settle()
    now_ms = world.nodes[1].now_ms
    assert world.raft(1).roomier_follower(now_ms - 200) == 3
    world.crash(3)
    for _ in range(12):
        world.tick_all(50)
        world.settle()
    assert world.raft(1).role is Role.LEADER
    assert world.raft(1).roomier_follower(now_ms) is None


def test_who_only_rejected_has_said_nothing_of_its_room() -> None:
    """It was heard, but a rejection does not tell."""
    world = leader_bench([1, 1], term=2)
    world.tick(1, 50)
    world.hand(rejected(2, 2, prev=2, conflict=(1, 0)))
    assert world.raft().roomier_follower(0) is None
    world.hand(accepted(2, 2, match=3))
    assert world.raft().roomier_follower(0) == 2
