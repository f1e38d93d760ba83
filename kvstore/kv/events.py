"""What changed from a revision on, in slices, for who was not there when it happened.

Law: the slices, one after another, are all changes in their order, each once, with what the key
was before and what it became. A slice is as long as its steps allow, and splits no revision
that it could hold whole.

It must not know who watches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from kvstore.kv.effect import Change
from kvstore.kv.history import History
from kvstore.kv.undo import DELETION, Position, Undo

_Row: TypeAlias = tuple[Position, Undo | None]
"""None for one that is not wanted."""
_Made: TypeAlias = tuple[Position, Change | None]


class _Unknown(Enum):
    UNKNOWN = 0


_UNKNOWN: Final = _Unknown.UNKNOWN


class Revision(msgspec.Struct, frozen=True, gc=False):
    """The changes of one revision, those that were wanted, in their order.

    * `places` are theirs in the revision: a slice may begin at each.
    """

    revision: int
    changes: tuple[Change, ...]
    places: tuple[int, ...]


class Events(msgspec.Struct, frozen=True):
    """A slice.

    * `position`: where the next one begins. Within a revision, if the last one here is the
      first part of that.
    """

    revisions: tuple[Revision, ...]
    position: Position
    is_at_end: bool


def everything(_key: bytes) -> bool:
    """Wants each key."""
    return True


def events(
    history: History,
    position: Position,
    newest: int,
    steps: int,
    wanted: Callable[[bytes], bool] = everything,
) -> Events:
    """The changes from `position` on, which is not below the floor, up to revision `newest`.

    What a key became is looked up for those that are `wanted` alone. What a change replaced that
    was too much to be kept is not known, as if there had been nothing.
    """
    rows, after = _rows(history, position, steps // 2, wanted)
    steps_max = history.steps + steps // 2
    made: list[_Made] = []
    for (at, row), later in zip(rows, _replaced_later(rows), strict=True):
        if made and history.steps >= steps_max:
            after = at
            break
        made.append((at, None if row is None else _change(history, at, row, later)))
    if after is not None and made[0][0][0] != after[0]:
        whole = [one for one in made if one[0][0] != after[0]]
        after = made[len(whole)][0] if len(whole) < len(made) else after
        made = whole
    return Events(_by_revision(made), after or (newest + 1, 0), after is None)


def _rows(
    history: History, position: Position, steps: int, wanted: Callable[[bytes], bool]
) -> tuple[list[_Row], Position | None]:
    """What comes next, at least one row, and where to go on; None at the end."""
    rows: list[_Row] = []
    steps_max = history.steps + steps
    for at, row in history.rows(position):
        if rows and history.steps > steps_max:
            return rows, at
        rows.append((at, row if wanted(row.key) else None))
    return rows, None


def _replaced_later(rows: Sequence[_Row]) -> list[bytes | _Unknown | None]:
    """What each of the rows made of its key, if the next change of that is among them."""
    found: list[bytes | _Unknown | None] = []
    replaced: dict[bytes, bytes | _Unknown | None] = {}
    for _, row in reversed(rows):
        found.append(_UNKNOWN if row is None else replaced.get(row.key, _UNKNOWN))
        if row is not None:
            replaced[row.key] = row.old
    found.reverse()
    return found


def _change(history: History, at: Position, row: Undo, later: bytes | _Unknown | None) -> Change:
    if row.flags & DELETION:
        return row.key, None, row.old
    if isinstance(later, _Unknown):
        later = history.version_at(row.key, at[0])
    return row.key, later, row.old


def _by_revision(made: Sequence[_Made]) -> tuple[Revision, ...]:
    """Those of which there is a change that was wanted."""
    found: dict[int, list[tuple[Change, int]]] = {}
    for (revision, place), change in made:
        if change is not None:
            found.setdefault(revision, []).append((change, place))
    return tuple(
        Revision(revision, tuple(one for one, _ in those), tuple(place for _, place in those))
        for revision, those in found.items()
    )
