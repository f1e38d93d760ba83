"""A history in memory, and a hub over it, for tests: everything that ever happened, and a floor.

Law: it is a list of all changes, which shares nothing with how a node keeps its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.effect import Change
from kvstore.kv.record import HEAD_BYTES, pack_head
from kvstore.server.watching.catch_up import Row, Slice
from kvstore.server.watching.hub import Watches
from kvstore.server.watching.piece import Ended, Position, Told
from kvstore.server.watching.subscriber import Subscriber

SMALL = msgspec.structs.replace(
    Limits(),
    watch_queue_bytes_max=2_000,
    watch_bytes_max=5_000,
    watch_steps_per_turn_max=3,
)


class ListedPast:
    """All changes by revision, of which those from `floor` on are kept."""

    def __init__(self) -> None:
        self.floor = 1
        self.revision = 1
        self.changes: dict[int, tuple[Change, ...]] = {}
        self.now: dict[bytes, bytes] = {}
        self.slices = 0

    def write(self, pairs: Sequence[tuple[bytes, bytes | None]]) -> tuple[Change, ...]:
        """One revision: of each key the value that it gets, None to delete it."""
        self.revision += 1
        changes: list[Change] = []
        for key, value in dict(pairs).items():
            old = self.now.pop(key, None)
            record = None if value is None else pack_head(1, self.revision, 1, 0, 0) + value
            if record is not None:
                self.now[key] = record
            changes.append((key, record, old))
        self.changes[self.revision] = tuple(changes)
        return self.changes[self.revision]

    def events(
        self, position: Position, steps_max: int, is_wanted: Callable[[bytes], bool]
    ) -> Slice:
        """A step a change."""
        assert position[0] >= self.floor, "nobody may rely on what is not kept"
        self.slices += 1
        rows: list[Row] = []
        for revision in range(position[0], self.revision + 1):
            for sub, change in enumerate(self.changes.get(revision, ())):
                if (revision, sub) < position:
                    continue
                if not steps_max:
                    return Slice(rows, (revision, sub))
                steps_max -= 1
                if is_wanted(change[0]):
                    rows.append(Row((revision, sub), change))
        return Slice(rows, (self.revision + 1, 0))


class Reader:
    """A subscriber's end: it puts parts together, and holds what it was told to its promises."""

    def __init__(self, hub: Watches, past: ListedPast) -> None:
        self._hub = hub
        self._past = past
        self.subscriber: Subscriber = hub.subscribe(self)
        self.news = 0
        self.requests: dict[int, api.CreateWatch] = {}
        self.next: dict[int, int] = {}
        """Of each watch, the revision up to which it may have been told nothing."""
        self.parts: dict[int, list[api.Event]] = {}
        self.ended: dict[int, api.Failure] = {}
        self.told = 0

    def has_news(self) -> None:
        """As a pump is told."""
        self.news += 1

    def create(self, request: api.CreateWatch) -> api.Result:
        """Begin a watch."""
        result = self._hub.create(self.subscriber, request)
        if isinstance(result, api.WatchCreated):
            self.requests[request.watch] = request
            self.next[request.watch] = result.start_revision
            self.parts.pop(request.watch, None)
        return result

    def cancel(self, number: int) -> api.Result:
        """End a watch."""
        result = self._hub.cancel(self.subscriber, number)
        if isinstance(result, api.WatchCanceled):
            del self.requests[number], self.next[number]
            self.parts.pop(number, None)
        return result

    def take(self, bytes_max: int) -> int:
        """Take what is there, and check it; how many notices that was."""
        notices = self._hub.take(self.subscriber, bytes_max)
        for notice in notices:
            if isinstance(notice, Told):
                for number in notice.watches:
                    self._hear(number, notice)
            else:
                self._end(notice)
        return len(notices)

    def _hear(self, number: int, told: Told) -> None:
        revision = told.piece.revision
        self.parts.setdefault(number, []).extend(told.piece.events())
        if told.piece.more:
            return
        events = tuple(self.parts.pop(number))
        for between in range(self.next[number], revision):
            assert not self.expected(number, between), f"watch {number} was not told of {between}"
        assert revision >= self.next[number], f"watch {number} was told of {revision} twice"
        assert events == self.expected(number, revision)
        self.next[number] = revision + 1
        self.told += 1

    def _end(self, ended: Ended) -> None:
        failure = self.ended[ended.watch] = ended.failure
        del self.requests[ended.watch]
        if failure.code is api.FailureCode.COMPACTED:
            assert self.next.pop(ended.watch) < failure.compacted <= self._past.floor
        else:
            del self.next[ended.watch]

    def expected(self, number: int, revision: int) -> tuple[api.Event, ...]:
        """What history has of it for a watch."""
        request = self.requests[number]
        end = request.range_end
        events = []
        for key, record, old in self._past.changes.get(revision, ()):
            if end is None:
                is_within = key == request.key
            else:
                is_within = key >= request.key and (end == api.FROM_KEY or key < end)
            if is_within and (request.puts if record is not None else request.deletes):
                had = old if request.with_previous else None
                events.append(api.Event(key, item_of(key, record), item_of(key, had)))
        return tuple(events)

    def check_all_told(self) -> None:
        """Every watch that goes on has all there is."""
        for number, following in self.next.items():
            for revision in range(following, self._past.revision + 1):
                assert not self.expected(number, revision), f"watch {number} lacks {revision}"


def item_of(key: bytes, record: bytes | None) -> api.KeyValue | None:
    """As clients see it."""
    if record is None:
        return None
    return api.KeyValue(
        key, record[HEAD_BYTES:], *(int.from_bytes(record[at : at + 8]) for at in (0, 8, 16))
    )


class World:
    """A hub, its past, and those who read: what a node does around them."""

    def __init__(self, limits: Limits = SMALL, seed: int = 0) -> None:
        self.past = ListedPast()
        self.hub = Watches(self.past, limits, random.Random(seed))
        self.readers: list[Reader] = []
        self.now_ms = 0.0

    def reader(self) -> Reader:
        """One more."""
        self.readers.append(Reader(self.hub, self.past))
        return self.readers[-1]

    def write(self, *pairs: tuple[bytes, bytes | None]) -> None:
        """A revision that the hub is told of, if it wants to be."""
        changes = self.past.write(pairs)
        if self.hub.is_wanted:
            self.hub.note(self.past.revision, changes)

    def turn(self, *, has_leader: bool = True) -> None:
        """Time passes, and who is to be told is told."""
        self.now_ms += 20.0
        self.hub.tick(self.now_ms, has_leader=has_leader)
        for subscriber in self.hub.take_news():
            subscriber.listener.has_news()

    def drain(self) -> None:
        """Everybody takes all there is."""
        for _ in range(10_000):
            self.turn()
            if not sum(reader.take(1 << 30) for reader in self.readers) and not self.hub.is_busy:
                return
        raise AssertionError("it does not come to an end")
