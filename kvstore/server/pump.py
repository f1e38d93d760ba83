"""What the watches of one connection are told, as bytes for its socket.

Law: what a revision did is written once, for however many connections. Nothing is taken before
there is room for it: until then it waits where it counts for all together.

It must not know sockets, nor a language but by its `write`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import msgspec

from kvstore import api
from kvstore.server.watching.hub import Watches
from kvstore.server.watching.piece import Ended, Notice, Piece
from kvstore.server.watching.subscriber import Subscriber
from kvstore.wire import typed

_NOTICE_STEPS: Final = 6
_BYTES_PER_STEP: Final = 1 << 10


class Pump:
    """One connection's. `steps`: what it was to write what was taken so far."""

    def __init__(
        self, watches: Watches, subscriber: Subscriber, write: Callable[[api.Result], bytes]
    ) -> None:
        """`write` makes a frame of a result."""
        self._watches = watches
        self._subscriber = subscriber
        self._write = write
        self.steps = 0

    def next(self, bytes_max: int) -> bytes:
        """The next frames, up to one that reaches `bytes_max`; none if there is nothing to tell."""
        notices = self._watches.take(self._subscriber, bytes_max)
        frames = b"".join([self._write(_result_of(notice)) for notice in notices])
        self.steps += _NOTICE_STEPS * len(notices) + len(frames) // _BYTES_PER_STEP
        return frames


def _result_of(notice: Notice) -> api.Result:
    if isinstance(notice, Ended):
        return api.WatchCanceled(notice.watch, notice.failure)
    piece = notice.piece
    return api.WatchEvents(tuple(notice.watches), piece.revision, _events_of(piece), piece.more)


def _events_of(piece: Piece) -> tuple[api.Event, ...]:
    """As they are written, which is all that becomes of them here."""
    if piece.written is None:
        piece.written = typed.encode_events(piece.events())
    return cast(tuple[api.Event, ...], msgspec.Raw(piece.written))
