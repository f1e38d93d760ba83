"""What all subscribers have not taken yet, within bounds for each and for all together.

Law: nothing is queued beyond a bound: a queue that is full is dropped whole, and where all are too
much, that of whoever took nothing for longest. A piece counts once, in however many queues it is.

It must not know what becomes of those whose queue was dropped.
"""

from __future__ import annotations

from kvstore.server.watching.piece import Notice, Piece, Told
from kvstore.server.watching.subscriber import Subscriber, Watch


class Queues:
    """The queues of all subscribers.

    * `held_bytes`: all pieces that are in a queue, each once, and all places in queues.
    * `_holding` are those with something queued; first who took nothing for longest.
    """

    def __init__(self, queue_bytes_max: int, bytes_max: int) -> None:
        self._queue_bytes_max = queue_bytes_max
        self._bytes_max = bytes_max
        self.held_bytes = 0
        self._holding: dict[Subscriber, None] = {}

    def fits(self, piece: Piece) -> bool:
        """Whether a queue may ever hold it: one change is a piece that cannot be less."""
        return len(piece.changes) <= 1 or piece.size_bytes <= self._queue_bytes_max

    def has_room(self, subscriber: Subscriber, piece: Piece) -> bool:
        """Whether it fits behind all that is queued there."""
        queued_bytes = subscriber.queued_bytes
        return not queued_bytes or queued_bytes + piece.size_bytes <= self._queue_bytes_max

    def add(self, subscriber: Subscriber, piece: Piece, watch: Watch) -> None:
        """Queue it for a watch."""
        before = subscriber.place_bytes
        if subscriber.add(piece, watch):
            self._hold(piece)
        self.held_bytes += subscriber.place_bytes - before
        self._holding.setdefault(subscriber)

    def take(self, subscriber: Subscriber, bytes_max: int) -> list[Notice]:
        """The oldest that are queued, up to one that reaches `bytes_max`."""
        taken: list[Notice] = []
        size, before = 0, subscriber.place_bytes
        while subscriber.queue and size < bytes_max:
            notice = subscriber.pop()
            taken.append(notice)
            if isinstance(notice, Told):
                size += notice.piece.size_bytes
                self._let_go(notice.piece)
        self.held_bytes += subscriber.place_bytes - before
        self._holding.pop(subscriber, None)
        if subscriber.queued_bytes:
            self._holding[subscriber] = None
        return taken

    def drop(self, subscriber: Subscriber) -> list[Told]:
        """All that is told there leaves, untold."""
        self.held_bytes -= subscriber.place_bytes
        dropped = subscriber.drop()
        for told in dropped:
            self._let_go(told.piece)
        self._holding.pop(subscriber, None)
        return dropped

    def forget(self, subscriber: Subscriber, number: int) -> None:
        """Nothing that is queued is for this watch any more."""
        before = subscriber.place_bytes
        for piece in subscriber.forget(number):
            self._let_go(piece)
        self.held_bytes += subscriber.place_bytes - before
        if not subscriber.queued_bytes:
            self._holding.pop(subscriber, None)

    def longest_untaken(self) -> Subscriber | None:
        """Whose queue must go, as all together hold too much; None while they do not."""
        if self.held_bytes <= self._bytes_max:
            return None
        return next(iter(self._holding))

    def _hold(self, piece: Piece) -> None:
        if not piece.holders:
            self.held_bytes += piece.size_bytes
        piece.holders += 1

    def _let_go(self, piece: Piece) -> None:
        piece.holders -= 1
        if not piece.holders:
            self.held_bytes -= piece.size_bytes

    def check(self) -> None:
        """Raises `AssertionError` if its sums are not those of the queues."""
        pieces: dict[Piece, int] = {}
        for subscriber in self._holding:
            assert subscriber.queued_bytes
            for told in subscriber.told():
                pieces[told.piece] = pieces.get(told.piece, 0) + 1
        assert all(piece.holders == count for piece, count in pieces.items())
        places = sum(subscriber.place_bytes for subscriber in self._holding)
        assert self.held_bytes == places + sum(piece.size_bytes for piece in pieces)
