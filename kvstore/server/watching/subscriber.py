"""Who watches: watches that are told the same, and what their owners have not taken yet.

Law: what is queued leaves in the order in which it came, or is dropped whole.

It must not know where that goes, nor what others hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from kvstore.server.watching.piece import Ended, Notice, Piece, Position, Told, WatchSpec

_ENTRY_BYTES: Final = 128
_NUMBER_BYTES: Final = 8
"""What a place in a queue takes, and each watch that is named there."""


class Group:
    """All watches that are told the same.

    * `live` get a change as it is applied; `aboard` are those for whom history is being read.
      The others of its `count` wait for that.
    """

    __slots__ = ("aboard", "count", "live", "spec")

    def __init__(self, spec: WatchSpec) -> None:
        self.spec = spec
        self.count = 0
        self.live: dict[Watch, None] = {}
        self.aboard: dict[Watch, None] = {}


class Watch:
    """One watch of a subscriber.

    * `since`: the first revision of which it is told.
    * `position`: where it goes on in history; None while it is live.
    """

    __slots__ = ("group", "needs_leader", "number", "position", "since", "subscriber")

    def __init__(
        self,
        number: int,
        group: Group,
        subscriber: Subscriber,
        since: int,
        *,
        needs_leader: bool,
    ) -> None:
        self.number = number
        self.group = group
        self.subscriber = subscriber
        self.since = since
        self.needs_leader = needs_leader
        self.position: Position | None = None


class Listener(Protocol):
    """Who asks for what a subscriber has."""

    def has_news(self) -> None:
        """There is something to be taken."""
        ...


class Subscriber:
    """Watches by their number, and the queue of what they are told.

    * `behind` are those of its watches that are not live; `ended` those that have ended, of which
      it was not told yet, so that their numbers mean nothing else, each with the first revision of
      which it is not told.
    * `queued_bytes` is the sum of all that is queued, places included; `place_bytes` that of the
      places alone.
    * `asks`: it has taken all there was since its queue was dropped or full, so there is somebody
      for whom history may be read.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.watches: dict[int, Watch] = {}
        self.behind: dict[Watch, None] = {}
        self.ended: dict[int, int] = {}
        self.queue: deque[Notice] = deque()
        self.queued_bytes = self.place_bytes = 0
        self.asks = True
        self.left_ms = float("-inf")
        """When something was taken last."""

    def add(self, piece: Piece, watch: Watch) -> bool:
        """Queue it for a watch; whether the queue did not hold it before."""
        last = self.queue[-1] if self.queue else None
        is_new = not isinstance(last, Told) or last.piece is not piece
        if isinstance(last, Told) and not is_new:
            last.watches.append(watch.number)
        else:
            self.queue.append(Told(piece, [watch.number]))
            self.queued_bytes += piece.size_bytes + _ENTRY_BYTES
            self.place_bytes += _ENTRY_BYTES
        self.queued_bytes += _NUMBER_BYTES
        self.place_bytes += _NUMBER_BYTES
        return is_new

    def end(self, ended: Ended, revision: int) -> None:
        """Behind all that is queued; it is not told of `revision` and what comes later."""
        self.queue.append(ended)
        self.ended[ended.watch] = revision

    def pop(self) -> Notice:
        """The oldest."""
        notice = self.queue.popleft()
        if isinstance(notice, Told):
            self._forget(notice)
        else:
            del self.ended[notice.watch]
        return notice

    def drop(self) -> list[Told]:
        """All that is told leaves; that watches have ended stays."""
        dropped = [notice for notice in self.queue if isinstance(notice, Told)]
        self.queue = deque(notice for notice in self.queue if isinstance(notice, Ended))
        self.queued_bytes = self.place_bytes = 0
        return dropped

    def forget(self, number: int) -> list[Piece]:
        """Nothing that is queued is for this watch any more; the pieces that are for nobody."""
        unheld: list[Piece] = []
        kept: deque[Notice] = deque()
        for notice in self.queue:
            if isinstance(notice, Told) and number in notice.watches:
                self._forget(notice)
                if not (others := [one for one in notice.watches if one != number]):
                    unheld.append(notice.piece)
                    continue
                notice = Told(notice.piece, others)
                self._remember(notice)
            elif isinstance(notice, Ended) and notice.watch == number:
                continue
            kept.append(notice)
        self.queue = kept
        self.ended.pop(number, None)
        return unheld

    def told(self) -> Iterator[Told]:
        """What is queued of events."""
        return (notice for notice in self.queue if isinstance(notice, Told))

    def _remember(self, told: Told) -> None:
        place_bytes = _ENTRY_BYTES + _NUMBER_BYTES * len(told.watches)
        self.place_bytes += place_bytes
        self.queued_bytes += place_bytes + told.piece.size_bytes

    def _forget(self, told: Told) -> None:
        place_bytes = _ENTRY_BYTES + _NUMBER_BYTES * len(told.watches)
        self.place_bytes -= place_bytes
        self.queued_bytes -= place_bytes + told.piece.size_bytes

    def check(self) -> None:
        """Raises `AssertionError` if its sums are not those of its queue."""
        places = sum(_ENTRY_BYTES + _NUMBER_BYTES * len(told.watches) for told in self.told())
        assert self.place_bytes == places
        assert self.queued_bytes == places + sum(told.piece.size_bytes for told in self.told())
        ended = [notice.watch for notice in self.queue if isinstance(notice, Ended)]
        assert sorted(self.ended) == sorted(ended)
        assert not self.ended.keys() & self.watches.keys()
        assert self.behind.keys() <= set(self.watches.values())
        assert self.behind.keys() == {
            watch for watch in self.watches.values() if watch.position is not None
        }
