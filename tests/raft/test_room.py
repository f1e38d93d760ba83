"""Disks without room: entries stay out, all else goes on."""

from __future__ import annotations

import msgspec

from kvstore.raft.messages import AppendEntries, AppendEntriesReply
from kvstore.raft.types import Entry, EntryKind, HardState, Role

from .disk import entry
from .harness import World, bench
from .messages import append, pre_vote, pre_vote_reply, request_vote, vote_reply


def follower_without_room(log: list[int], term: int) -> World:
    """Node 1 alone on a bench, its disk full."""
    world = bench(log, term)
    world.raft().has_room = False
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


def led_by_one() -> World:
    world = World(3)
    world.elect(1)
    world.settle()
    return world


def test_a_leader_sends_no_entries_to_a_follower_without_room_but_heartbeats() -> None:
    world = led_by_one()
    world.raft(2).has_room = False
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
    world.raft(2).has_room = False
    for _ in range(10):
        world.propose(1, *("x" * 20))
        world.settle()
    world.raft(2).has_room = True
    for _ in range(6):
        world.tick_all(50)
        world.settle()
    assert world.raft(2).commit_index == world.raft(1).commit_index == 201


def test_a_leader_without_room_may_lead_if_nobody_has_any() -> None:
    """Reads need no room."""
    world = World(3)
    for node in (1, 2, 3):
        world.raft(node).has_room = False
    world.elect(1)
    assert world.raft(1).role is Role.LEADER
    assert world.raft(1).roomier_follower(0) is None


def test_who_takes_over_has_room_and_was_heard_lately() -> None:
    world = led_by_one()
    world.propose(1, "x")
    world.settle()
    world.raft(2).has_room = False
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
