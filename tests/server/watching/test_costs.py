"""What watches cost: memory for each, and work for each change, whoever else watches."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections import Counter
from types import FrameType

import msgspec

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.server.watching.piece import Piece
from kvstore.server.watching.ranges import _Node

from ..cluster import Claim, Cluster
from .past import World

COUNT = 10_000


def key_of(number: int) -> bytes:
    return b"service/%05d/" % number


def end_of(number: int) -> bytes:
    return b"service/%05d0" % number


def test_ten_thousand_watches_take_less_than_100_mb() -> None:
    """Each of a connection and a prefix of its own, which is the most that one takes."""
    world = World(Limits())
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(COUNT):
        result = world.hub.create(
            world.hub.subscribe(world),  # type: ignore[arg-type]
            api.CreateWatch(1, key_of(number), end_of(number), with_previous=True),
        )
        assert isinstance(result, api.WatchCreated)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30 << 20
    assert world.hub.held_bytes * 0.8 < after - before < world.hub.held_bytes * 1.2
    assert world.hub.is_wanted
    world.hub.check()


class Calls:
    """Counts calls of functions while it is on."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            self.counts[frame.f_code.co_qualname] += 1

    def __enter__(self) -> Counter[str]:
        sys.setprofile(self)
        return self.counts

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


def test_a_change_costs_as_much_as_there_are_who_watch_it() -> None:
    """Of 10,000 watches ten are told, and no function is called for any of the others."""
    world = World(Limits())
    reader = world.reader()
    rng = random.Random(3)
    for number in rng.sample(range(COUNT), COUNT):
        reader.create(api.CreateWatch(number, key_of(number), end_of(number)))
    another = world.reader()
    for number in range(9):
        another.create(api.CreateWatch(number, key_of(77), end_of(77), puts=number % 2 == 0))
    with Calls() as counts:
        world.write((key_of(77) + b"x", b"up"))
    assert counts["Watches._tell"] == 1 + 5
    assert sum(counts.values()) < 100
    world.turn()
    with Calls() as counts:
        world.write((b"elsewhere", b"up"))
    assert sum(counts.values()) < 20


def test_who_watch_the_same_hold_it_once() -> None:
    """A hundred who watch a prefix hold a megabyte once, and places in queues."""
    world = World(Limits())
    for _ in range(100):
        world.reader().create(api.CreateWatch(1, b"", api.FROM_KEY))
    world.write((b"k", bytes(1 << 20)))
    assert world.hub._queues.held_bytes < (1 << 20) + (64 << 10)
    world.drain()
    assert [reader.told for reader in world.readers] == [1] * 100


def test_a_write_that_nobody_watches_costs_nothing() -> None:
    """Nothing of a hub is called while nobody watches, and then no more again."""
    cluster = Cluster(1)
    node = cluster.elect()
    subscriber = node.watches.subscribe(Claim())  # type: ignore[arg-type]
    node.watches.create(subscriber, api.CreateWatch(1, b"a"))
    node.watches.leave(subscriber)
    with Calls() as counts:
        node.submit_command(api.Put(b"a", b"v"), Claim())
        node.prepare()
        node.complete()
    assert node.machine.revision > 0
    called = {name for name in counts if name.startswith(("Watches.", "Ranges.", "Queues."))}
    assert called == {"Watches.take_news"}, "once for a half of a turn, whatever it did"


def test_many_far_behind_are_served_by_one_reading() -> None:
    """A hundred from the first revision on, where a slice is three changes: not a hundred times."""
    world = World(msgspec.structs.replace(Limits(), watch_steps_per_turn_max=3))
    for _ in range(300):
        world.write((b"k", b"v"))
    for _ in range(100):
        world.reader().create(api.CreateWatch(1, b"k", start_revision=1))
    while world.hub.is_busy:
        world.turn()
        for reader in world.readers:
            reader.take(1 << 20)
    assert [reader.told for reader in world.readers] == [300] * 100
    assert world.past.slices <= 100 + 10


def test_what_is_told_is_measured() -> None:
    """Nodes of a treap and pieces have no dictionary each."""
    for kind in (_Node, Piece):
        assert "__dict__" not in dir(kind)
