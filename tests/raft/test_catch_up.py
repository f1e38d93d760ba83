"""Followers that are behind: a turn of the leader does a bounded work for all of them together."""

from __future__ import annotations

from collections import Counter

import pytest

from kvstore.raft.messages import AppendEntries
from kvstore.raft.types import RaftSettings

from .disk import Disk
from .harness import World, leader_bench
from .messages import accepted, rejected

TERM = 2
OLD = 5_000
"""Entries that the leader has only on its disk."""
SETTINGS = RaftSettings(append_entries_max=10, catch_up_work_max=60_000)
"""Some forty small entries from the disk a turn, ten in a message."""


def with_laggards(*laggards: int, settings: RaftSettings = SETTINGS, members: int = 3) -> World:
    """A leader of many entries; these followers have none, and the others have all."""
    world = leader_bench([1] * OLD, TERM, members, settings=settings)
    for peer in range(2, members + 1):
        if peer in laggards:
            world.act(1, lambda raft, peer=peer: raft.step(rejected(peer, TERM, OLD, (1, 0))))
            world.act(1, lambda raft, peer=peer: raft.step(accepted(peer, TERM, 0)))
        else:
            world.act(1, lambda raft, peer=peer: raft.step(accepted(peer, TERM, OLD + 1)))
    return world


def one_turn(world: World, crowded: frozenset[int] = frozenset()) -> list[AppendEntries]:
    """What a single turn of the leader sends, in order."""
    effects = world.act(1, lambda raft: raft.take_effects(crowded))
    world.write(1, effects)
    return [one for one in effects.early_messages if isinstance(one, AppendEntries)]


def let_heartbeat_be_due(world: World) -> None:
    node = world.nodes[1]
    node.now_ms += 100
    world.act(1, lambda raft: raft.tick(node.now_ms))


def entries_in(messages: list[AppendEntries]) -> Counter[int]:
    """How many entries each follower was sent."""
    sent = Counter[int]()
    for message in messages:
        sent[message.recipient] += len(message.entries)
    return sent


class CountingDisk(Disk):
    """A disk that knows how many entries were read."""

    entries_read = 0

    def entries(self, start: int, stop: int, bytes_max: int):
        found = super().entries(start, stop, bytes_max)
        self.entries_read += len(found)
        return found


def test_a_turn_reads_a_bounded_number_of_entries_for_who_is_far_behind() -> None:
    """A leader that stands still is replaced (Raft §5.2), whatever it does meanwhile."""
    settings = RaftSettings()
    world = with_laggards(2, 3, settings=settings)
    world.disk().__class__ = CountingDisk
    one_turn(world)
    disk = world.disk()
    assert isinstance(disk, CountingDisk)
    most = settings.catch_up_work_max // 1_400 + settings.append_entries_max
    assert settings.append_entries_max <= disk.entries_read <= most


def test_what_a_turn_left_is_the_next_one_s() -> None:
    """The driver sleeps only when nothing is left to do."""
    world = with_laggards(2)
    turns, reached = 0, 0
    while turns == 0 or world.raft().has_effects:
        for message in one_turn(world):
            assert message.prev_log_index == reached
            reached = message.last_entry_index
            world.act(1, lambda raft, at=reached: raft.step(accepted(2, TERM, at)))
        turns += 1
    assert reached == OLD + 1
    assert turns == pytest.approx(OLD / 40, rel=0.05)


def test_followers_that_are_behind_share_a_turn_s_work() -> None:
    """None waits until another has everything."""
    world = with_laggards(2, 3, 5, members=5)
    sent = Counter[int]()
    for _ in range(6):
        messages = one_turn(world)
        assert len(messages) == 4
        sent += entries_in(messages)
    assert set(sent) == {2, 3, 5}
    assert max(sent.values()) - min(sent.values()) <= SETTINGS.append_entries_max


def test_new_entries_and_heartbeats_come_before_old_entries() -> None:
    """Who is level must not wait for who is not."""
    world = with_laggards(2, 4, members=5)
    one_turn(world)
    let_heartbeat_be_due(world)
    sent = one_turn(world)
    assert [message.recipient for message in sent[:2]] == [3, 5]
    assert {message.recipient for message in sent[2:]} == {2, 4}
    world.act(1, lambda raft: [raft.propose(b"new") for _ in range(25)])
    sent = one_turn(world)
    assert [message.recipient for message in sent[:6]] == [3] * 3 + [5] * 3
    assert {message.recipient for message in sent[6:]} == {2, 4}


def test_new_entries_are_sent_whole_however_little_a_turn_does_for_others() -> None:
    """They are what clients wait for, and the turn that took them bounds them."""
    world = with_laggards(2)
    world.act(1, lambda raft: [raft.propose(b"new") for _ in range(500)])
    assert entries_in(one_turn(world))[3] == 500


def test_of_what_is_new_a_turn_sends_no_more_than_a_link_can_hold() -> None:
    """What is more would wait in memory, for each follower once, and leave no sooner."""
    world = with_laggards(2, settings=RaftSettings())
    for _ in range(10):
        world.act(1, lambda raft: raft.propose(bytes(1 << 20)))
    assert entries_in(one_turn(world, crowded=frozenset({2})))[3] == 8
    assert world.raft().has_effects, "the next turn goes on"
    assert entries_in(one_turn(world, crowded=frozenset({2})))[3] == 2
    assert not world.raft().has_effects


def test_load_does_not_leave_a_follower_behind_for_ever() -> None:
    """What is new comes on top of a turn's work."""
    world = with_laggards(2, settings=RaftSettings(append_entries_max=10, catch_up_work_max=1))
    world.act(1, lambda raft: [raft.propose(b"new") for _ in range(500)])
    assert entries_in(one_turn(world))[2] >= 40


def test_a_crowded_follower_gets_heartbeats_and_costs_no_read() -> None:
    """What its link does not take would be read and encoded only to be lost."""
    world = with_laggards(2)
    world.act(1, lambda raft: raft.propose(b"new"))
    reads = world.disk().reads
    assert entries_in(one_turn(world, crowded=frozenset({2}))) == {3: 1}
    assert world.disk().reads == reads
    assert not world.raft().has_effects, "it waits for the link"
    let_heartbeat_be_due(world)
    heartbeats = [m for m in one_turn(world, crowded=frozenset({2})) if m.recipient == 2]
    assert [len(message.entries) for message in heartbeats] == [0]
    assert entries_in(one_turn(world))[2] == 40, "nothing was taken for sent"


def test_an_entry_larger_than_a_turn_s_work_travels_all_the_same() -> None:
    """Each turn does something."""
    small = RaftSettings(append_bytes_max=4, catch_up_work_max=1)
    world = with_laggards(2, settings=small)
    assert entries_in(one_turn(world)) == {2: 1}
    assert world.raft().has_effects
