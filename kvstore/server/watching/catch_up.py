"""Who is behind reads history, all of them together: one reading of it serves all who need it.

Law: who is aboard is given everything from its own position on, in order, and is live in the same
call in which the reading has come to its end: nothing falls in between. Who cannot take more gets
off where it stands, and boards another reading from there. What is no longer kept is never passed
over: who would need it is told so.

It must not know what queues are, nor where history is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from kvstore.kv.effect import Change
from kvstore.server.watching.piece import Piece, Position, size_of
from kvstore.server.watching.ranges import Ranges
from kvstore.server.watching.subscriber import Group, Watch

_BEHIND_ALL: Final = 1 << 16
"""A place in a revision behind all of its changes."""


class Row(NamedTuple):
    """A change, and where in history it stands."""

    position: Position
    change: Change


class Slice(NamedTuple):
    """What was read of history; all that comes before `position` is in it, or was not wanted."""

    rows: Sequence[Row]
    position: Position


class Past(Protocol):
    """The changes that are kept: of all revisions from `floor` to `revision`."""

    @property
    def floor(self) -> int: ...

    @property
    def revision(self) -> int: ...

    def events(
        self, position: Position, steps_max: int, is_wanted: Callable[[bytes], bool]
    ) -> Slice:
        """Those from `position` on, of keys that are wanted, for so much work."""
        ...


class Hub(Protocol):
    """Who owns the watches."""

    def serve(self, watch: Watch, piece: Piece) -> bool:
        """Whether it could be queued for a watch that is behind."""
        ...

    def go_live(self, watch: Watch) -> None:
        """It has all up to now."""
        ...

    def is_compacted(self, watch: Watch) -> None:
        """What it needs next is not kept any more."""
        ...


class CatchUp:
    """The readings of history for one node.

    * `_waiting` want to board; `_aboard` are those for whom it is being read, at `_position`, or
      from their own on, if that is later. `_open` of these have got a part of a revision.
    * A reading serves who boards on its way. Whoever needs what it has passed waits for the next.
    """

    def __init__(self, past: Past, ranges: Ranges[Group], hub: Hub, part_bytes: int) -> None:
        """`part_bytes`: a longer revision is told in parts of so much."""
        self._past = past
        self._ranges = ranges
        self._hub = hub
        self._part_bytes = part_bytes
        self._waiting: dict[Watch, None] = {}
        self._aboard: dict[Watch, None] = {}
        self._open: dict[Watch, None] = {}
        self._position: Position | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to be read for anybody."""
        return bool(self._waiting or self._aboard)

    def arrive(self, watch: Watch) -> None:
        """It is behind, and there is somebody who takes what it is told."""
        if watch not in self._aboard:
            self._waiting[watch] = None

    def leave(self, watch: Watch) -> None:
        """It gets off, or waits no longer."""
        self._waiting.pop(watch, None)
        self._open.pop(watch, None)
        if watch in self._aboard:
            del self._aboard[watch]
            watch.group.aboard.pop(watch)

    def reached(self, watch: Watch) -> Position:
        """What comes next for one that is behind."""
        assert watch.position is not None
        if watch in self._aboard and self._position is not None:
            return max(watch.position, self._position)
        return watch.position

    def go_on(self, steps_max: int) -> None:
        """Read on, for so much work."""
        past = self._past
        if self._position is not None and self._position[0] < past.floor:
            self._end_reading()
        if self._position is None:
            self._begin_reading()
        if self._position is None:
            return
        self._board(self._position)
        if not self._aboard:
            self._position = None
            return
        read = past.events(self._position, steps_max, self._is_wanted)
        self._tell(self._position, read)
        self._position = read.position
        if read.position[0] > past.revision:
            aboard = [*self._aboard]
            self._end_reading()
            for watch in aboard:
                self._waiting.pop(watch)
                self._hub.go_live(watch)

    def _begin_reading(self) -> None:
        """Where the first of those who wait goes on; what some of them need may be gone."""
        floor, first = self._past.floor, None
        for watch in [*self._waiting]:
            assert watch.position is not None
            if watch.position[0] < floor:
                del self._waiting[watch]
                self._hub.is_compacted(watch)
            elif first is None or watch.position < first:
                first = watch.position
        self._position = first

    def _board(self, position: Position) -> None:
        for watch in [*self._waiting]:
            assert watch.position is not None
            if watch.position >= position:
                del self._waiting[watch]
                self._aboard[watch] = watch.group.aboard[watch] = None
                if watch.position[1]:
                    self._open[watch] = None

    def _end_reading(self) -> None:
        """All who are aboard get off where it stands."""
        for watch in [*self._aboard]:
            watch.position = self.reached(watch)
            self.leave(watch)
            self._waiting[watch] = None
        self._position = None

    def _is_wanted(self, key: bytes) -> bool:
        return any(group.aboard for group in self._ranges.at(key))

    # --- Telling --------------------------------------------------------------------------

    def _tell(self, begun: Position, read: Slice) -> None:
        rows_of: dict[int, list[Row]] = {begun[0]: []} if begun[1] else {}
        for row in read.rows:
            rows_of.setdefault(row.position[0], []).append(row)
        for revision, rows in rows_of.items():
            is_whole = revision < read.position[0]
            self._tell_revision(rows, is_whole)
            if is_whole and self._open:
                self._close(revision)

    def _tell_revision(self, rows: Sequence[Row], is_whole: bool) -> None:
        found: dict[Group, list[Row]] = {}
        for row in rows:
            for group in self._ranges.at(row.change[0]):
                if group.aboard and group.spec.wants(row.change):
                    found.setdefault(group, []).append(row)
        for group, those in found.items():
            pieces_from: dict[int, list[Piece]] = {}
            for watch in [*group.aboard]:
                if watch not in self._aboard:
                    continue  # It was put off while another one was served.
                first = _first_of(those, watch)
                if first not in pieces_from:
                    pieces_from[first] = self._pieces(group, those[first:], is_whole)
                self._give(watch, pieces_from[first])

    def _pieces(self, group: Group, rows: Sequence[Row], is_whole: bool) -> list[Piece]:
        """As many parts as it takes; that of a revision which goes on has more of it behind."""
        parts: list[list[Row]] = []
        size = self._part_bytes
        for row in rows:
            row_bytes = size_of(group.spec, row.change)
            if size + row_bytes > self._part_bytes:
                parts.append([])
                size = 0
            parts[-1].append(row)
            size += row_bytes
        last = len(parts) - 1
        return [
            Piece(
                group.spec,
                part[0].position,
                [row.change for row in part],
                more=number < last or not is_whole,
            )
            for number, part in enumerate(parts)
        ]

    def _give(self, watch: Watch, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if not self._hub.serve(watch, piece):
                self.leave(watch)
                watch.position = piece.position
                return
            if watch not in self._aboard:
                return  # What it had was dropped: it goes on from there.
            if piece.more:
                self._open[watch] = None
            else:
                self._open.pop(watch, None)

    def _close(self, revision: int) -> None:
        """Who got parts of it, and nothing of the rest, learns that this was all."""
        for watch in [*self._open]:
            assert watch.position is not None
            if watch in self._open and watch.position[0] <= revision:
                closing = Piece(watch.group.spec, (revision, _BEHIND_ALL), ())
                self._give(watch, (closing,))

    def check(self) -> None:
        """Raises `AssertionError` if it is not as it says of itself."""
        assert not self._waiting.keys() & self._aboard.keys()
        assert self._open.keys() <= self._aboard.keys()
        for watch in (*self._waiting, *self._aboard):
            assert watch.position is not None
        for watch in self._aboard:
            assert watch in watch.group.aboard


def _first_of(rows: Sequence[Row], watch: Watch) -> int:
    """How many of them come before what the watch is told of."""
    position = watch.position
    assert position is not None
    if position <= rows[0].position:
        return 0
    return sum(row.position < position for row in rows)
