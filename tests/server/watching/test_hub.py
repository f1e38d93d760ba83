"""What a hub promises, one by one: who is told when, and what becomes of who does not listen."""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.server.watching.piece import Ended

from .past import SMALL, World

ALL = api.CreateWatch(1, b"", api.FROM_KEY)


def test_little_is_told_at_most_every_ten_milliseconds_and_much_at_once() -> None:
    world = World(Limits())
    reader = world.reader()
    reader.create(ALL)
    hub, now_ms = world.hub, 1_000.0

    def news() -> int:
        return len(hub.take_news())

    hub.tick(now_ms, has_leader=True)
    world.write((b"k", b"v"))
    assert hub.is_busy
    assert news() == 1, "whoever was told nothing for long is told at once"
    assert reader.take(1 << 20) == 1
    hub.tick(now_ms + 1, has_leader=True)
    world.write((b"k", b"v"))
    assert news() == 0
    assert not hub.is_busy
    assert hub.due_ms == now_ms + 11
    hub.tick(now_ms + 10.5, has_leader=True)
    assert news() == 0
    hub.tick(now_ms + 11, has_leader=True)
    assert news() == 1
    reader.take(1 << 20)
    world.write((b"k", bytes(70_000)))
    assert news() == 1


def test_of_all_that_is_held_that_goes_which_was_held_longest() -> None:
    """One that takes what it is told keeps being told; one that does not reads it again later."""
    limits = msgspec.structs.replace(SMALL, watch_queue_bytes_max=100_000, watch_bytes_max=10_000)
    world = World(limits)
    idle, keen = world.reader(), world.reader()
    idle.create(api.CreateWatch(1, b"idle"))
    keen.create(api.CreateWatch(1, b"keen"))
    for _ in range(20):
        world.write((b"idle", bytes(900)))
        world.write((b"keen", bytes(900)))
        world.hub.check()
        keen.take(1 << 20)
    assert keen.told == 20
    assert not keen.subscriber.behind
    assert idle.subscriber.behind
    world.drain()
    assert idle.told == 20


def test_a_change_that_exceeds_every_bound_is_told_yet() -> None:
    """It would be dropped for ever otherwise: live, and from history."""
    world = World()
    reader, other = world.reader(), world.reader()
    reader.create(ALL)
    other.create(ALL)
    for _ in range(2):
        world.write((b"k", bytes(3 * SMALL.watch_bytes_max)))
        world.hub.check()
    world.drain()
    assert (reader.told, other.told) == (2, 2)


def test_who_takes_something_goes_last_of_those_who_hold() -> None:
    """It had something queued before the other one, and all the time."""
    limits = msgspec.structs.replace(SMALL, watch_queue_bytes_max=100_000, watch_bytes_max=10_000)
    world = World(limits)
    slow, idle = world.reader(), world.reader()
    slow.create(api.CreateWatch(1, b"slow"))
    idle.create(api.CreateWatch(1, b"idle"))
    for _ in range(3):
        world.write((b"slow", bytes(900)))
    for _ in range(10):
        world.write((b"idle", bytes(900)))
        world.write((b"slow", bytes(900)))
        slow.take(1)
    assert idle.subscriber.behind
    assert not slow.subscriber.behind


def test_nothing_is_read_of_history_for_whom_nobody_takes_it() -> None:
    world = World()
    reader = world.reader()
    reader.create(ALL)
    for _ in range(20):
        world.write((b"k", bytes(900)))
    assert reader.subscriber.behind
    for _ in range(100):
        world.turn()
    assert not world.hub.is_busy
    assert not world.past.slices
    world.drain()
    assert reader.told == 20


def test_each_watch_goes_on_from_what_it_was_not_told() -> None:
    """What one of a connection's watches has taken is not read again because of another one."""
    world = World()
    reader = world.reader()
    reader.create(api.CreateWatch(1, b"a"))
    reader.create(api.CreateWatch(2, b"b"))
    world.write((b"a", b"1"))
    for _ in range(10):
        world.write((b"b", bytes(300)))
    behind = {watch.number: watch.position for watch in reader.subscriber.behind}
    assert behind[1] == (2, 0)
    assert behind[2] is not None
    assert behind[2][0] > 2
    world.drain()


def test_who_needs_a_leader_is_told_that_there_is_none() -> None:
    world = World()
    reader = world.reader()
    reader.create(msgspec.structs.replace(ALL, needs_leader=True))
    reader.create(msgspec.structs.replace(ALL, watch=2))
    world.write((b"k", b"v"))
    world.turn()
    world.turn(has_leader=False)
    reader.take(1 << 20)
    assert reader.told == 2, "what was queued comes first"
    assert [(number, one.code) for number, one in reader.ended.items()] == [
        (1, api.FailureCode.NO_LEADER)
    ]
    world.write((b"k", b"v"))
    world.drain()
    assert reader.told == 3


def test_the_floor_itself_can_be_watched_and_nothing_below() -> None:
    world = World()
    for _ in range(5):
        world.write((b"k", b"v"))
    world.past.floor = 4
    reader = world.reader()
    assert reader.create(msgspec.structs.replace(ALL, start_revision=4)) == api.WatchCreated(1, 4)
    refusal = reader.create(msgspec.structs.replace(ALL, watch=2, start_revision=3))
    assert isinstance(refusal, api.Failure)
    assert (refusal.code, refusal.compacted) == (api.FailureCode.COMPACTED, 4)
    world.drain()
    assert reader.told == 3


def test_who_falls_behind_what_is_kept_is_told_all_it_had_and_then_that() -> None:
    world = World()
    reader = world.reader()
    reader.create(ALL)
    world.write((b"k", b"v"))
    reader.take(1 << 20)
    for _ in range(20):
        world.write((b"k", bytes(900)))
    world.past.floor = world.past.revision
    world.drain()
    assert reader.told == 1
    assert reader.ended[1].compacted == world.past.floor


def test_a_watch_that_has_ended_keeps_its_number_until_that_is_known() -> None:
    world = World()
    reader = world.reader()
    reader.create(ALL)
    world.hub.end_all(api.Failure(api.FailureCode.INVALID, "in doubt"))
    assert isinstance(world.hub.create(reader.subscriber, ALL), api.Failure)
    [ended] = world.hub.take(reader.subscriber, 1)
    assert isinstance(ended, Ended)
    assert isinstance(world.hub.create(reader.subscriber, ALL), api.WatchCreated)


def test_a_snapshot_is_read_as_history_where_history_has_it() -> None:
    world = World()
    reader = world.reader()
    reader.create(ALL)
    world.write((b"k", b"v"))
    world.past.write([(b"k", b"of a snapshot")])
    world.hub.restart()
    world.drain()
    reader.check_all_told()
    assert reader.told == 2


def test_a_watch_from_the_future_waits_for_it() -> None:
    world = World()
    reader = world.reader()
    reader.create(msgspec.structs.replace(ALL, start_revision=4))
    for _ in range(4):
        world.write((b"k", b"v"))
    world.drain()
    assert reader.told == 2
    assert reader.next[1] == 6
