"""What watches are told: what a revision did in a range, piece by piece.

Law: what a revision did in a range is one piece, shared by all who are told the same of it.

It must not know who reads it, nor how it is written for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from kvstore import api
from kvstore.kv.effect import Change
from kvstore.kv.record import to_key_value

Position: TypeAlias = tuple[int, int]
"""A revision, and the place of a change in it."""


_PIECE_BYTES: Final = 256
"""What a piece takes beside keys and records."""
_CHANGE_BYTES: Final = 64


class WatchSpec(msgspec.Struct, frozen=True):
    """Keys from `start` to before `end`, None for no end, and what is told of them."""

    start: bytes
    end: bytes | None
    with_previous: bool = False
    puts: bool = True
    deletes: bool = True

    @classmethod
    def of(cls, request: api.CreateWatch) -> WatchSpec:
        """As a client asks for it."""
        start, end = api.interval(request.key, request.range_end)
        return cls(start, end, request.with_previous, request.puts, request.deletes)

    def wants(self, change: Change) -> bool:
        """Whether it is told of a change in its range."""
        return self.deletes if change[1] is None else self.puts


class Piece:
    """What one revision did in a range, or a part of it: `more` of it follows then.

    * `position` is that of its first change.
    * `size_bytes`: what it holds in memory. `holders`: in how many queues it is.
    * `written` is for who writes it, who does so once for all.
    """

    __slots__ = ("changes", "holders", "more", "position", "size_bytes", "spec", "written")

    def __init__(
        self, spec: WatchSpec, position: Position, changes: Sequence[Change], *, more: bool = False
    ) -> None:
        self.spec = spec
        self.position = position
        self.changes = changes
        self.more = more
        self.size_bytes = _PIECE_BYTES + sum(size_of(spec, change) for change in changes)
        self.holders = 0
        self.written: bytes | None = None

    @property
    def revision(self) -> int:
        """Of all of its changes."""
        return self.position[0]

    def events(self) -> tuple[api.Event, ...]:
        """As clients see it."""
        return tuple(_event(self.spec, change) for change in self.changes)


def size_of(spec: WatchSpec, change: Change) -> int:
    """What a change takes in a piece."""
    key, record, old = change
    size = _CHANGE_BYTES + len(key) + len(record or b"")
    return size + len(old or b"") if spec.with_previous else size


def _event(spec: WatchSpec, change: Change) -> api.Event:
    key, record, old = change
    return api.Event(
        key,
        None if record is None else to_key_value(key, record),
        to_key_value(key, old) if spec.with_previous and old is not None else None,
    )


class Told(NamedTuple):
    """A piece for some watches of a subscriber."""

    piece: Piece
    watches: list[int]


class Ended(NamedTuple):
    """A watch is told nothing more."""

    watch: int
    failure: api.Failure


Notice: TypeAlias = Told | Ended
