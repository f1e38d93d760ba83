"""Every recovery of the core, three times in a row: nothing of the first time is left behind.

A recovery is a function of a world of three that node 1 leads; when it returns, the world must
be as useful as before, and what node 1 says first must be the same each time.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from until import until

from kvstore.raft.messages import TERM_LEAP_MAX
from kvstore.raft.types import Role

from .harness import World
from .messages import request_vote

TIMES = 3
CALM_ROUNDS = 80


def calm(world: World, *, leads: int | None = None) -> None:
    """Let time pass without faults; then let `leads` lead."""
    for _ in range(CALM_ROUNDS):
        world.tick_all(50)
        world.settle()
    if leads is not None and world.leaders != [leads]:
        (leader,) = world.leaders
        world.turn(leader, lambda raft: raft.hand_over(leads))
        world.settle()
    for node_id in world.alive:
        world.lines(node_id)


def losing_the_majority(world: World) -> None:
    world.isolate(1)
    world.tick(1, 2_000)
    assert world.raft().role is not Role.LEADER
    world.heal()


def standing_still(world: World) -> None:
    node = world.nodes[1]
    node.now_ms += 60_000
    world.turn(1, lambda raft: raft.wake(node.now_ms))
    assert world.raft().role is Role.FOLLOWER


def handing_over_to_one_that_is_cut_off(world: World) -> None:
    world.cut = {(1, 2), (2, 1)}
    world.turn(1, lambda raft: raft.hand_over(2))
    for _ in range(9):
        assert not world.raft().takes_commands, "it gave its heir no time"
        world.tick(1, 100)
        world.settle()
    world.tick(1, 200)
    assert world.raft().role is Role.LEADER
    assert world.raft().takes_commands
    world.heal()


def a_forged_term(world: World) -> None:
    """Raft §5.2, thesis §9.6: one that is beyond belief lets a node stand unasked, once."""
    world.isolate(1)
    world.tick(1, 2_000)
    term = world.raft().current_term
    world.hand(request_vote(2, term + TERM_LEAP_MAX + 1, to=1))
    until(lambda: world.raft().current_term > term, lambda: world.tick(1, 50), "it stands")
    assert world.raft().current_term == term + 1, "it did not stand"
    world.tick(1, 10_000)
    assert world.raft().current_term == term + 1, "it stood again, and asked nobody"
    world.heal()


def a_crash_of_the_leader(world: World) -> None:
    world.crash(1)
    for _ in range(CALM_ROUNDS):
        world.tick_all(50)
        world.settle()
    world.restart(1)


def an_entry_that_its_disk_lost(world: World) -> None:
    world.crash(1)
    world.disk(1).damaged = {1, len(world.disk(1).log)}
    world.restart(1)
    assert not world.raft().log.vouched_index
    for _ in range(CALM_ROUNDS):
        world.tick_all(50)
        world.settle()
    assert not world.raft().log.damaged
    assert not world.disk(1).damaged


def a_follower_cut_off_while_entries_are_sent(world: World) -> None:
    world.isolate(2)
    for _ in range(3):
        world.propose(1, "x")
    world.settle()
    world.heal()


RECOVERIES = (
    losing_the_majority,
    standing_still,
    handing_over_to_one_that_is_cut_off,
    a_forged_term,
    a_crash_of_the_leader,
    an_entry_that_its_disk_lost,
    a_follower_cut_off_while_entries_are_sent,
)


@pytest.mark.parametrize("recover", RECOVERIES, ids=lambda one: one.__name__)
def test_a_recovery_is_the_same_each_time(recover: Callable[[World], None]) -> None:
    world = World(3)
    world.elect(1)
    told: list[list[list[str]]] = []
    for _ in range(TIMES):
        calm(world, leads=1)
        recover(world)
        told.append([line.split()[:2] for line in world.lines(1)[:1]])
        calm(world, leads=1)
        index = world.propose(1, "after")
        world.settle()
        calm(world)
        assert {world.raft(node).commit_index for node in world.alive} == {index}
        assert world.leaders == [1]
    assert told == [told[0]] * TIMES, "it did not begin each time as the first time"
