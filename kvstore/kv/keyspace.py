"""The key space: what each key is, and what it was at the revisions that are still held.

Law: this is the one place that changes a key: its record, its past, and its place among leases
change together. What
is kept of the past follows from the log alone, and what one entry drops of it is bounded: a few
rows for each that it adds.

It must not know requests, nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kvstore.kv.effect import Change
from kvstore.kv.events import Events, events
from kvstore.kv.history import Found, History
from kvstore.kv.leases import Leases
from kvstore.kv.record import lease_of, next_record, unpack_head
from kvstore.kv.undo import Position
from kvstore.kv.view import Past, View

_DROPPED_BYTES: Final = 64
"""An entry may drop a row of history for so many bytes that it adds: hardly one is shorter."""
_DROPPED_AT_ONCE: Final = 8_192
"""Rows, by an entry of few changes and many bytes: they take some 10 ms."""
_LEAST_BYTES: Final = 4 << 20
"""Of history that are kept beside however few data. It takes no more than that and as much as the
data, so that whoever deletes makes room."""
_NOTE_STEPS: Final = 2
"""What it takes to note a change; each KiB that is kept of what it replaces is a step more."""


class Keyspace:
    """The keys of a view, with their history.

    * `steps`: what all of it took so far, in steps of the state machine.
    """

    def __init__(self, view: View, past: Past, leases: Leases) -> None:
        self._view = view
        self.leases = leases
        self._history = History(view, past)
        self._settled_bytes = past.bytes
        """What history took at the last revision."""
        self._steps = 0

    @property
    def steps(self) -> int:
        return self._steps + self._history.steps

    @property
    def past(self) -> Past:
        """How far back it goes: what a commit of the view must carry."""
        return self._history.past

    @property
    def floor(self) -> int:
        """The oldest revision that can be asked for."""
        return self._history.floor

    # --- Changes --------------------------------------------------------------------------

    def write(
        self,
        key: bytes,
        value: bytes,
        old: bytes | None,
        revision: int,
        sub: int,
        lease: int = 0,
    ) -> Change:
        """Set a key whose record is `old`, as change number `sub` of the newest revision."""
        record = next_record(value, old, revision, sub, lease)
        self._view.put(key, record)
        self.leases.move(key, lease_of(old), lease)
        self._history.live_bytes += len(record) - len(old) if old else len(key) + len(record)
        return key, record, self._note(key, old, revision, sub, unpack_head(record)[2])

    def remove(self, key: bytes, old: bytes, revision: int, sub: int) -> Change:
        """Delete a key whose record is `old`."""
        self._view.delete(key)
        self.leases.move(key, lease_of(old), 0)
        self._history.live_bytes -= len(key) + len(old)
        return key, None, self._note(key, old, revision, sub, 0)

    def _note(
        self, key: bytes, old: bytes | None, revision: int, sub: int, version: int
    ) -> bytes | None:
        kept = self._history.note(revision, sub, key, old, version)
        self._steps += _NOTE_STEPS + (0 if kept is None else len(kept) >> 10)
        return kept

    def settle(self, revision: int, changes: int) -> None:
        """The newest revision is whole, with so many changes: drop what is too much."""
        history, bytes_max = self._history, self._bytes_max
        if history.bytes > bytes_max:
            added_bytes = history.bytes - self._settled_bytes
            history.drop(0, revision, rows_dropped(changes, added_bytes), bytes_max)
        self._settled_bytes = history.bytes

    @property
    def _bytes_max(self) -> int:
        """How much of history is kept."""
        history = self._history
        return min(history.keep_bytes, history.live_bytes + _LEAST_BYTES)

    def may_drop(self, more_bytes: int) -> bool:
        """Whether rows may be dropped once history has so many bytes more, and the data less."""
        return self._history.bytes + 2 * more_bytes > self._bytes_max

    # --- Reads ----------------------------------------------------------------------------

    def record(self, key: bytes) -> bytes | None:
        """What a key is, None if it is not there."""
        record = self._view.get(key)
        if record is not None:
            self._steps += len(record) >> 10
        return record

    def get(self, key: bytes) -> bytes | None:
        """The same; who asks counts what it takes."""
        return self._view.get(key)

    def scan(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= start, with their records."""
        return self._view.scan(start)

    def scan_back(self, before: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Keys < before (None: all), the last first."""
        return self._view.scan_back(before)

    def scan_at(self, start: bytes, revision: int) -> Iterator[Found]:
        """Keys >= start, as they were; of one that was not there there may be None."""
        return self._history.range_at(start, None, revision)

    def versions(self, key: bytes, revision: int) -> Iterator[tuple[int, bytes | None]]:
        """What a key was as of a revision, and before that, down to the floor; None: deleted."""
        return self._history.versions(key, revision)

    def events(
        self, position: Position, newest: int, steps: int, wanted: Callable[[bytes], bool]
    ) -> Events:
        """What changed from `position` on, not below the floor, of keys that are wanted."""
        return events(self._history, position, newest, steps, wanted)

    def count(self) -> int:
        """How many keys there are."""
        return self._view.count()


def rows_dropped(changes: int, added_bytes: int) -> int:
    """How many rows of history an entry drops, at most: it keeps pace with what it adds."""
    return 2 * changes + min(added_bytes // _DROPPED_BYTES, _DROPPED_AT_ONCE)
