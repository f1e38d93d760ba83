"""A watch as its user sees it: an iterator, with a connection of its own.

Law: here it waits, and nowhere else. What it does next decides `following.py`.

It must not know what a node says.
"""

from __future__ import annotations

import os
import random
import threading
import time
from types import TracebackType
from typing import Self

from kvstore.client.attempt import NotSent, Rest, Setback
from kvstore.client.following import Dial, Follower, Following, Listen, Say, Step, WatchBatch
from kvstore.client.link import Link
from kvstore.errors import RefusedError
from kvstore.lookup import Lookup
from kvstore.wire import typed


class Watch:
    """What happens in a range, one `WatchBatch` a revision, for as long as one goes on asking.

    * It reconnects by itself, and misses nothing; what cannot be had any more is a CompactedError.
    * One thread takes what comes; any may `close` it, which ends that one's loop.
    * It belongs to one process: in a forked child there is a new one to be made.
    """

    def __init__(self, follower: Follower) -> None:
        self._link: Link | None = None
        self._follower = follower
        self._way: Following = follower.follow()
        self._closed = threading.Event()
        self._process = os.getpid()

    @property
    def next_revision(self) -> int:
        """Everything before was handed on: where to begin another watch, to go on from here."""
        return self._follower.next_revision

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WatchBatch:
        if os.getpid() != self._process:
            what = "this watch is that of the process which was forked"
            raise RefusedError(f"{what}: make a new one here", "FORKED")
        try:
            step = None if self._closed.is_set() else next(self._way, None)
            while not (step is None or isinstance(step, WatchBatch)):
                step = self._do(step)
        except BaseException:
            self.close()
            self._hang_up()
            raise
        if step is None:
            self._hang_up()
            raise StopIteration
        return step

    def _do(self, step: Step) -> Step | None:
        """Do what is wanted; what is wanted next, None if this is closed by now."""
        answer = None
        try:
            match step:
                case Dial(node, until):
                    self._hang_up()
                    self._link = Link(Lookup(node), until)
                case Say(call, until):
                    self._connected().send(typed.encode_call(call), until)
                case Listen(until):
                    answer = self._connected().receive(until)
                case Rest():
                    # Drawn, so that those who lost the same node do not come all at once.
                    pause_s = random.uniform(step.shortest_s, step.longest_s)  # noqa: S311
                    self._closed.wait(max(0.0, min(pause_s, step.until - time.monotonic())))
        except Setback as setback:
            return None if self._closed.is_set() else self._way.throw(setback)
        return None if self._closed.is_set() else self._way.send(answer)

    def _connected(self) -> Link:
        if self._link is None:
            raise NotSent("there is no connection")
        return self._link

    def close(self) -> None:
        """Take no more; whoever waits for the next one gets no more."""
        self._closed.set()
        if (link := self._link) is not None:
            link.interrupt()

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def __del__(self) -> None:
        self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        self._hang_up()
