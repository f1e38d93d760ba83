"""Who is to be told that there is something to take, and when.

Law: whoever takes little at a time is told soon, and not for every change: 100 who watch what
changes 1,000 times a second would cost a processor else. Who has much is told at once.

It must not know what there is to take.
"""

from __future__ import annotations

import math

from kvstore.server.watching.subscriber import Subscriber


class News:
    """Subscribers with something that they were not told of.

    * `_ready` are told with this turn; `_later` at the time that stands there, oldest first.
    """

    def __init__(self, pause_ms: float, much_bytes: int) -> None:
        """Between two times there are `pause_ms`, unless there are `much_bytes` to take."""
        self._pause_ms = pause_ms
        self._much_bytes = much_bytes
        self._ready: dict[Subscriber, None] = {}
        self._later: dict[Subscriber, float] = {}

    def note(self, subscriber: Subscriber, now_ms: float) -> None:
        """It has something."""
        if subscriber in self._ready:
            return
        if subscriber.queued_bytes >= self._much_bytes:
            self._later.pop(subscriber, None)
        elif subscriber in self._later:
            return
        elif now_ms < subscriber.left_ms + self._pause_ms:
            self._later[subscriber] = now_ms + self._pause_ms
            return
        self._ready[subscriber] = None

    def take(self, now_ms: float) -> list[Subscriber]:
        """Those who are told now."""
        while self._later:
            subscriber, due_ms = next(iter(self._later.items()))
            if due_ms > now_ms:
                break
            del self._later[subscriber]
            self._ready[subscriber] = None
        if not self._ready:
            return []
        told, self._ready = [*self._ready], {}
        return told

    def forget(self, subscriber: Subscriber) -> None:
        """It is gone."""
        self._ready.pop(subscriber, None)
        self._later.pop(subscriber, None)

    @property
    def is_ready(self) -> bool:
        """Whether somebody is to be told with this turn."""
        return bool(self._ready)

    @property
    def due_ms(self) -> float:
        """When the next one is to be told."""
        return next(iter(self._later.values())) if self._later else math.inf
