"""The hub against a list of all that happened: slow readers, tiny bounds, a floor that rises."""

from __future__ import annotations

import random

import pytest

from kvstore import api

from .past import Reader, World

KEYS = [b"a", b"ab", b"b", b"ba", b"c"]
SEEDS = 60
STEPS = 250


class Story:
    """A random story of one hub, from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = World(seed=seed)
        self.seen: set[str] = set()
        for _ in range(self.rng.randint(1, 4)):
            self.world.reader()

    def run(self) -> None:
        """Whatever happens, everything is as it says of itself after each step."""
        strikes = [self.write] * 5 + [self.take] * 3 + [self.turn] * 3
        strikes += [self.create, self.create, self.cancel, self.raise_floor, self.install, self.ask]
        for _ in range(STEPS):
            self.rng.choice(strikes)()
            self.world.hub.check()
            for reader in self.world.readers:
                self.note(reader)
        self.world.drain()
        for reader in self.world.readers:
            reader.check_all_told()
            assert not reader.subscriber.behind

    def note(self, reader: Reader) -> None:
        """What this story came to."""
        if reader.subscriber.behind:
            self.seen.add("behind")
        if any(one.code is api.FailureCode.COMPACTED for one in reader.ended.values()):
            self.seen.add("compacted")
        if reader.parts:
            self.seen.add("in parts")
        if reader.told:
            self.seen.add("told")

    def write(self) -> None:
        """Some keys at once; now and then more than a queue holds."""
        size = self.rng.choice([1, 1, 1, 2, 5])
        keys = self.rng.sample(KEYS, size)
        longest = self.rng.choice([10, 10, 300, 900])
        self.world.write(
            *((key, self.rng.choice([None, bytes(self.rng.randint(0, longest))])) for key in keys)
        )

    def take(self) -> None:
        """Somebody takes a little, or all."""
        self.rng.choice(self.world.readers).take(self.rng.choice([1, 700, 10_000]))

    def turn(self) -> None:
        """A turn of the node."""
        self.world.turn()

    def create(self) -> None:
        """Somewhere, from now, from the past or from the future."""
        rng, past = self.rng, self.world.past
        start = rng.choice([0, 0, past.floor, max(1, past.revision - 5), past.revision + 3])
        end = rng.choice([None, api.FROM_KEY, b"b", b"c", b"z"])
        key = rng.choice(KEYS)
        if end not in (None, api.FROM_KEY) and end <= key:
            end = key + b"\xff"
        request = api.CreateWatch(
            *(rng.randint(0, 5), key, end, start),
            with_previous=rng.random() < 0.5,
            puts=rng.random() < 0.8,
            deletes=rng.random() < 0.8,
        )
        result = rng.choice(self.world.readers).create(request)
        if isinstance(result, api.Failure) and result.code is api.FailureCode.COMPACTED:
            assert 0 < start < past.floor == result.compacted

    def cancel(self) -> None:
        """Somebody has had enough."""
        self.rng.choice(self.world.readers).cancel(self.rng.randint(0, 5))

    def raise_floor(self) -> None:
        """History is cut at its front, but never beyond the newest."""
        past = self.world.past
        past.floor = max(past.floor, self.rng.randint(1, past.revision))

    def install(self) -> None:
        """A snapshot brings some revisions at once, of which the hub was told nothing."""
        for _ in range(self.rng.randint(0, 3)):
            self.world.past.write([(self.rng.choice(KEYS), b"installed")])
        self.world.hub.restart()

    def ask(self) -> None:
        """Progress is what all watches were told, and no more."""
        reader = self.rng.choice(self.world.readers)
        revision = self.world.hub.progress(reader.subscriber).revision
        assert revision <= self.world.past.revision
        for number, following in reader.next.items():
            for untold in range(following, revision + 1):
                assert not reader.expected(number, untold)
        if not reader.subscriber.queue and not reader.subscriber.behind:
            assert revision == self.world.past.revision


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_every_watch_is_told_of_everything_once_or_that_it_cannot_be(first: int) -> None:
    seen: set[str] = set()
    for seed in range(first, first + 20):
        story = Story(seed)
        story.run()
        seen |= story.seen
    assert seen == {"behind", "compacted", "in parts", "told"}
