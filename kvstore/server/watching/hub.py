"""All watches of one node: who watches what, and what each is told.

Law: a watch is told of each revision once, whether as it is applied or from history: a number says
which comes next for it, and who is behind gets nothing of what is applied meanwhile. Only what is
applied is told, so it is committed, and durable here.

It must not know what reads it, nor how it travels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.effect import Change
from kvstore.server import refusals
from kvstore.server.watching.catch_up import CatchUp, Past
from kvstore.server.watching.news import News
from kvstore.server.watching.piece import Ended, Notice, Piece, Position, WatchSpec
from kvstore.server.watching.queues import Queues
from kvstore.server.watching.ranges import Ranges
from kvstore.server.watching.subscriber import Group, Listener, Subscriber, Watch

_PAUSE_MS: Final = 10.0
_MUCH_BYTES: Final = 64 << 10
_PARTS: Final = 8
"""Of what a queue holds."""
_WATCH_BYTES: Final = 1_100
_SUBSCRIBER_BYTES: Final = 1_300
_CHANGE_STEPS: Final = 4
"""To find who watches a key; to tell it to two of them takes a step."""


class Watches:
    """The watches of one node.

    * `is_wanted`: whether there is any, so whether `note` must be told of what is applied.
    """

    def __init__(self, past: Past, limits: Limits, rng: random.Random) -> None:
        self._past = past
        self._limits = limits
        self._ranges = Ranges[Group](rng)
        self._groups: dict[WatchSpec, Group] = {}
        self._subscribers: dict[Subscriber, None] = {}
        self._need_leader: dict[Watch, None] = {}
        self._queues = Queues(limits.watch_queue_bytes_max, limits.watch_bytes_max)
        self._news = News(_PAUSE_MS, _MUCH_BYTES)
        self._catch_up = CatchUp(past, self._ranges, self, limits.watch_queue_bytes_max // _PARTS)
        self._now_ms = 0.0
        self._noted = past.revision
        """The last revision that who is live was told of, or had nothing of."""
        self._count = 0
        self.is_wanted = False

    # --- Who watches ----------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Subscriber:
        """Somebody who has watches; `leave` is its end."""
        subscriber = Subscriber(listener)
        self._subscribers[subscriber] = None
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """It is gone, with all that it had."""
        for watch in [*subscriber.watches.values()]:
            self._remove(watch)
        self._queues.drop(subscriber)
        self._news.forget(subscriber)
        self._subscribers.pop(subscriber, None)

    def create(self, subscriber: Subscriber, request: api.CreateWatch) -> api.Result:
        """Begin a watch; what the client is told of that."""
        if request.watch in subscriber.watches or request.watch in subscriber.ended:
            return refusals.invalid(f"watch {request.watch} is there already: choose a free number")
        limits = self._limits
        if len(subscriber.watches) + len(subscriber.ended) >= limits.watches_of_client_max:
            return refusals.too_many_watches("this connection", limits.watches_of_client_max)
        if self._count >= limits.watches_max:
            return refusals.too_many_watches("this node", limits.watches_max)
        newest, floor = self._past.revision, self._past.floor
        since = request.start_revision or newest + 1
        if since < floor:
            return refusals.compacted(since, floor)
        self._add(subscriber, request, since)
        return api.WatchCreated(request.watch, since)

    def _add(self, subscriber: Subscriber, request: api.CreateWatch, since: int) -> None:
        spec = WatchSpec.of(request)
        group = self._groups.get(spec)
        if group is None:
            group = self._groups[spec] = Group(spec)
            self._ranges.add(spec.start, spec.end, group)
        group.count += 1
        needs_leader = request.needs_leader
        watch = Watch(request.watch, group, subscriber, since, needs_leader=needs_leader)
        subscriber.watches[watch.number] = watch
        self._count += 1
        if not self.is_wanted:
            self.is_wanted = True
            self._noted = self._past.revision
        if needs_leader:
            self._need_leader[watch] = None
        group.live[watch] = None
        if since <= self._past.revision:
            self._fall_behind(watch, (since, 0))

    def cancel(self, subscriber: Subscriber, number: int) -> api.Result:
        """End a watch, and forget what waits for it."""
        watch = subscriber.watches.get(number)
        if watch is not None:
            self._remove(watch)
        elif number not in subscriber.ended:
            return refusals.invalid(f"there is no watch {number} on this connection")
        self._queues.forget(subscriber, number)
        return api.WatchCanceled(number)

    def _remove(self, watch: Watch) -> None:
        group, subscriber = watch.group, watch.subscriber
        self._catch_up.leave(watch)
        group.live.pop(watch, None)
        subscriber.behind.pop(watch, None)
        self._need_leader.pop(watch, None)
        del subscriber.watches[watch.number]
        group.count -= 1
        if not group.count:
            del self._groups[group.spec]
            self._ranges.discard(group.spec.start, group.spec.end, group)
        self._count -= 1
        self.is_wanted = bool(self._count)

    def _end(self, watch: Watch, failure: api.Failure) -> None:
        """It is told nothing more, but what is queued and why."""
        subscriber = watch.subscriber
        revision = self._next_of(watch)
        self._remove(watch)
        subscriber.end(Ended(watch.number, failure), revision)
        self._news.note(subscriber, self._now_ms)

    def end_all(self, failure: api.Failure) -> None:
        """What this node has is not to be told to anybody."""
        for subscriber in self._subscribers:
            for watch in [*subscriber.watches.values()]:
                self._end(watch, failure)

    # --- What is told ---------------------------------------------------------------------

    def note(self, revision: int, changes: Sequence[Change]) -> int:
        """These changes are applied; how much work it was to tell them, in steps."""
        self._noted = revision
        found: dict[Group, list[Change]] = {}
        for change in changes:
            for group in self._ranges.at(change[0]):
                if group.live and group.spec.wants(change):
                    found.setdefault(group, []).append(change)
        told = 0
        for group, those in found.items():
            piece = Piece(group.spec, (revision, 0), those)
            told += len(group.live)
            for watch in [*group.live]:
                if revision >= watch.since and watch.position is None:
                    self._tell(watch, piece)
        return _CHANGE_STEPS * len(changes) + told // 2

    def _tell(self, watch: Watch, piece: Piece) -> None:
        """Queue it for a watch that is live; who has no room for it reads it again later."""
        subscriber, queues = watch.subscriber, self._queues
        if not queues.fits(piece):
            self._fall_behind(watch, piece.position)
        elif queues.has_room(subscriber, piece):
            self._queue(watch, piece)
        else:
            self._drop(subscriber)
            if watch.position is None:
                self._fall_behind(watch, piece.position)

    def serve(self, watch: Watch, piece: Piece) -> bool:
        """Queue it for a watch that is behind, if there is room, and somebody who takes it."""
        subscriber = watch.subscriber
        if not subscriber.asks or not self._queues.has_room(subscriber, piece):
            subscriber.asks = False
            return False
        self._queue(watch, piece)
        return True

    def _queue(self, watch: Watch, piece: Piece) -> None:
        subscriber = watch.subscriber
        self._queues.add(subscriber, piece, watch)
        self._news.note(subscriber, self._now_ms)
        # Whoever gets it keeps it, however long it is: else it would never be told.
        while (other := self._queues.longest_untaken()) not in (None, subscriber):
            self._drop(other)

    def _drop(self, subscriber: Subscriber) -> None:
        """What is queued is told again from history, when somebody asks for it."""
        subscriber.asks = False
        first_of: dict[int, Position] = {}
        for told in self._queues.drop(subscriber):
            for number in told.watches:
                first_of.setdefault(number, told.piece.position)
        for number, position in first_of.items():
            if number in subscriber.watches:
                self._fall_behind(subscriber.watches[number], position)
            else:  # It has ended: its client goes on elsewhere.
                subscriber.ended[number] = position[0]
        self._news.note(subscriber, self._now_ms)

    def _fall_behind(self, watch: Watch, position: Position) -> None:
        self._catch_up.leave(watch)
        watch.group.live.pop(watch, None)
        watch.subscriber.behind[watch] = None
        watch.position = position
        if watch.subscriber.asks:
            self._catch_up.arrive(watch)

    def go_live(self, watch: Watch) -> None:
        """It has all up to now."""
        watch.position = None
        watch.subscriber.behind.pop(watch)
        watch.group.live[watch] = None

    def is_compacted(self, watch: Watch) -> None:
        """What it needs next is not kept any more."""
        assert watch.position is not None
        self._end(watch, refusals.compacted(watch.position[0], self._past.floor))

    def restart(self) -> None:
        """Data from elsewhere took the place of what was applied: history says what they tell."""
        for subscriber in self._subscribers:
            for watch in subscriber.watches.values():
                if watch.position is None and watch.since <= self._past.revision:
                    self._fall_behind(watch, (max(self._noted + 1, watch.since), 0))
        self._noted = self._past.revision

    # --- Turns ----------------------------------------------------------------------------

    def tick(self, now_ms: float, *, has_leader: bool) -> None:
        """Read on in history for who is behind."""
        self._now_ms = now_ms
        if not has_leader and self._need_leader:
            for watch in [*self._need_leader]:
                self._end(watch, refusals.NO_LEADER_TO_WATCH)
        if self._catch_up.is_busy:
            self._catch_up.go_on(self._limits.watch_steps_per_turn_max)

    def take(self, subscriber: Subscriber, bytes_max: int) -> list[Notice]:
        """What is told next, up to what reaches `bytes_max`."""
        taken = self._queues.take(subscriber, bytes_max)
        if taken:
            subscriber.left_ms = self._now_ms
        if not subscriber.asks and not subscriber.queued_bytes:
            subscriber.asks = True
            for watch in subscriber.behind:
                self._catch_up.arrive(watch)
        return taken

    def progress(self, subscriber: Subscriber) -> api.WatchProgress:
        """Up to which revision all was taken that its watches are told."""
        revision = self._past.revision
        for told in subscriber.told():
            revision = min(revision, told.piece.revision - 1)
        nexts = [*subscriber.ended.values(), *map(self._next_of, subscriber.behind)]
        return api.WatchProgress(min([revision, *(following - 1 for following in nexts)]))

    def _next_of(self, watch: Watch) -> int:
        """The first revision that is not queued for it whole, or told."""
        return self._noted + 1 if watch.position is None else self._catch_up.reached(watch)[0]

    @property
    def held_bytes(self) -> int:
        """What all watches take, with what they have not been told yet."""
        own_bytes = self._count * _WATCH_BYTES + len(self._subscribers) * _SUBSCRIBER_BYTES
        return own_bytes + self._queues.held_bytes

    def take_news(self) -> list[Subscriber]:
        """Who is to be told now that there is something to take."""
        return self._news.take(self._now_ms)

    @property
    def is_busy(self) -> bool:
        """Whether another turn has work to do without any further input."""
        return self._catch_up.is_busy or self._news.is_ready

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin, whatever arrives."""
        return self._news.due_ms

    def check(self) -> None:
        """Raises `AssertionError` if it is not as it says of itself."""
        self._ranges.check()
        self._queues.check()
        self._catch_up.check()
        watches = [one for subscriber in self._subscribers for one in subscriber.watches.values()]
        assert len(watches) == self._count
        assert self.is_wanted == bool(watches)
        for subscriber in self._subscribers:
            subscriber.check()
        for watch in watches:
            assert (watch in watch.group.live) == (watch.position is None)
