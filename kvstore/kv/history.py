"""What keys were at earlier revisions, as far back as the floor.

Law: what was at a revision that is not below the floor is found whole, whatever came later.
Nothing here is ever changed: rows are added at the end, under the newest revision, and dropped
from the front. Which ones are kept follows from the log alone.

History is what it takes to go back: each change keeps what its key was before, and a record
names the change that made it (`undo.py`). So from a key's current record one gets to any
earlier one; and so that this takes few steps, however often a key changes, some changes stand
in an index by key too: each eighth write of a key, each deletion, and what begins anew under
one revision. Between two of those of a key there are fewer than `SPACING` changes.

It must not know requests, nor who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final, TypeAlias

from kvstore.api import KEY_BYTES_MAX
from kvstore.kv import ordered, undo
from kvstore.kv.record import made_by
from kvstore.kv.undo import (
    CUT,
    DELETION,
    INDEXED,
    POSITION_BYTES,
    REVISION_BYTES,
    Position,
    Undo,
    pack_position,
    unpack_position,
)
from kvstore.kv.view import Past, View

SPACING: Final = 8
"""The index has one of so many writes of a key."""
OLD_BYTES_MAX: Final = 8 << 20
"""Of old records that are kept of one revision; the one that reaches it is the last."""
ROW_BYTES: Final = POSITION_BYTES + undo.HEAD_BYTES
"""A row of history with its key, but for the key of the change and what that replaced."""
INDEX_ROW_BYTES: Final = ordered.CODE_BYTES_MAX + POSITION_BYTES
"""A row of the index with its key, at most."""
_SEEK_STEPS: Final = 2
"""What it takes to find a record, or that there is none; each KiB of it is a step more."""
_BEHIND_ALL: Final = b"\xff" * REVISION_BYTES + b"\0"
"""Sorts behind all revisions."""

Found: TypeAlias = tuple[bytes, bytes | None]
"""A key, and the record that it had; None if it had none."""


class History:
    """The tables `history` and `index` of a view, beside its keys.

    * `floor`: every change from this revision on is held; what rests of earlier ones is dropped
      little by little, and never shown. No floor is above the newest revision.
    * `bytes`: what all rows take, keys and records.
    * `live_bytes`: what the keys take with their records; who changes one counts that here.
    * `steps`: what all reading took so far, in steps of the state machine.
    """

    def __init__(self, view: View, past: Past) -> None:
        self._keys = view
        self._rows = view.history
        self._index = view.index
        self.floor, self.bytes = past.floor, past.bytes
        self.keep_ms, self.keep_bytes = past.keep_ms, past.keep_bytes
        self.live_bytes = past.live_bytes
        self.steps = 0
        self._revision = 0  # of the last row of this process, and what else may be kept of it
        self._room = OLD_BYTES_MAX

    @property
    def past(self) -> Past:
        """What a commit of the view must carry."""
        return Past(self.floor, self.bytes, self.keep_ms, self.keep_bytes, self.live_bytes)

    # --- Changes --------------------------------------------------------------------------

    def note(
        self, revision: int, sub: int, key: bytes, old: bytes | None, version: int
    ) -> bytes | None:
        """Change number `sub` of the newest revision makes of `old` that version; 0: of none.

        Each key once under one revision. What is kept of `old` comes back: all of it, or nothing.
        """
        flags = 0 if version else DELETION
        if old is not None:
            if revision != self._revision:
                self._revision, self._room = revision, OLD_BYTES_MAX
            if self._room <= 0:
                # Who wants to go behind this finds a part of it missing.
                flags, old, self.floor = flags | CUT, None, revision
            else:
                self._room -= len(old)
        if version % SPACING == 0 or (version == 1 and (old is not None or flags)):
            flags |= INDEXED
            self._put_index(revision, sub, key)
        row = undo.pack(flags, key, old or b"")
        self._rows.append(pack_position(revision, sub), row)
        self.bytes += POSITION_BYTES + len(row)
        return old

    def _put_index(self, revision: int, sub: int, key: bytes) -> None:
        stored = ordered.encode(key) + undo.pack_revision(revision)
        self._index.put(stored, undo.pack_sub(sub))
        self.bytes += len(stored) + undo.SUB_BYTES

    def drop(self, floor: int, newest: int, count: int, bytes_max: int) -> None:
        """Drop up to `count` rows from the front: below the floor, and what is beyond `bytes_max`.

        The floor rises to `floor` before that. The rows of the `newest` revision stay.
        """
        self.floor = max(self.floor, min(floor, newest))
        doomed: list[tuple[bytes, bytes | None]] = []
        for stored, row in islice(self._rows.scan(b""), count):
            revision, _ = unpack_position(stored)
            if revision >= self.floor:
                if self.bytes <= bytes_max or revision >= newest:
                    break
                self.floor = revision + 1
            self._count(row)
            self.bytes -= len(stored) + len(row)
            doomed.append((stored, undo.indexed_key(row)))
        for stored, key in doomed:
            self._rows.delete(stored)
            if key is not None:
                indexed = ordered.encode(key) + stored[:REVISION_BYTES]
                self._index.delete(indexed)
                self.bytes -= len(indexed) + undo.SUB_BYTES

    # --- One key --------------------------------------------------------------------------

    def version_at(self, key: bytes, revision: int) -> bytes | None:
        """The record that a key had as of a revision, which is not below the floor."""
        record = self._keys.get(key)
        self._count(record)
        return self._as_of(key, record, revision)

    def _as_of(self, key: bytes, record: bytes | None, revision: int) -> bytes | None:
        """The same, where `record` is the current one."""
        if record is None or made_by(record)[0] > revision:
            indexed = self._indexed_after(key, revision)
            if indexed is not None:
                record = self._before(indexed)
        while record is not None and (position := made_by(record))[0] > revision:
            record = self._before(position)
        return record

    def versions(self, key: bytes, revision: int) -> Iterator[tuple[int, bytes | None]]:
        """What a key was as of a revision, and before that, each with the revision it came by.

        None where it was deleted. Down to what it was at the floor.
        """
        record = self.version_at(key, revision)
        while True:
            position = self._deleted_by(key, revision) if record is None else made_by(record)
            revision = position[0]
            if record is None and revision < max(self.floor, 1):
                return
            yield revision, record
            if revision <= self.floor:
                return
            record, revision = self._before(position), revision - 1

    def _before(self, position: Position) -> bytes | None:
        """What the key of a change was before it."""
        row = self._rows.get(pack_position(*position))
        self._count(row)
        assert row is not None, position
        flags, _, old = undo.unpack(row)
        assert not flags & CUT, position
        return old

    def _indexed_after(self, key: bytes, revision: int) -> Position | None:
        """The first change of a key in the index after a revision."""
        code = ordered.encode(key)
        self.steps += _SEEK_STEPS
        for stored, sub in self._index.scan(code + undo.pack_revision(revision + 1)):
            return unpack_position(stored[len(code) :] + sub) if stored.startswith(code) else None
        return None

    def _deleted_by(self, key: bytes, revision: int) -> Position:
        """What removed a key that was not there as of a revision; (0, 0) if nothing did.

        A deletion stands in the index, and here it is the last change up to then.
        """
        code = ordered.encode(key)
        self.steps += _SEEK_STEPS
        for stored, sub in self._index.scan_back(code + undo.pack_revision(revision + 1)):
            if stored.startswith(code):
                return unpack_position(stored[len(code) :] + sub)
            break
        return 0, 0

    # --- Ranges ---------------------------------------------------------------------------

    def range_at(self, start: bytes, end: bytes | None, revision: int) -> Iterator[Found]:
        """The keys of [start, end) and their records as of a revision, in order.

        Those that had none come too where it takes work to see that. `end` None: without one.
        """
        live = _until(end, self._keys.scan(start))
        gone = ((key, None) for key in self._keys_indexed(start, end))
        return self._all_as_of(merge(live, gone, key=itemgetter(0)), revision)

    def range_back_at(self, start: bytes, before: bytes | None, revision: int) -> Iterator[Found]:
        """The same the other way round, from the last key."""
        live = _down_to(start, self._keys.scan_back(before))
        gone = ((key, None) for key in self._keys_indexed_back(start, before))
        return self._all_as_of(merge(live, gone, key=itemgetter(0), reverse=True), revision)

    def _all_as_of(self, found: Iterator[Found], revision: int) -> Iterator[Found]:
        """`found`: by key, and the current record first where there is one."""
        last = None
        for key, record in found:
            if key != last:
                self._count(record)
                yield key, self._as_of(key, record, revision)
            last = key

    def _keys_indexed(self, start: bytes, end: bytes | None) -> Iterator[bytes]:
        """Keys of [start, end) with a change in the index: all that are gone, and more."""
        at = ordered.encode(start[:KEY_BYTES_MAX])
        while (found := next(self._index.scan(at), None)) is not None:
            self.steps += _SEEK_STEPS
            key, _ = ordered.split(found[0])
            if end is not None and key >= end:
                return
            if key >= start:
                yield key
            at = found[0][:-REVISION_BYTES] + _BEHIND_ALL

    def _keys_indexed_back(self, start: bytes, before: bytes | None) -> Iterator[bytes]:
        """The same from the last one down."""
        at = None if before is None else ordered.encode(before[:KEY_BYTES_MAX])
        if before is not None and len(before) > KEY_BYTES_MAX and at is not None:
            at += _BEHIND_ALL
        while (found := next(self._index.scan_back(at), None)) is not None:
            self.steps += _SEEK_STEPS
            key, _ = ordered.split(found[0])
            if key < start:
                return
            yield key
            at = found[0][:-REVISION_BYTES]

    # --- Rows -----------------------------------------------------------------------------

    def rows(self, position: Position) -> Iterator[tuple[Position, Undo]]:
        """The changes from `position` on, in order."""
        for stored, row in self._rows.scan(pack_position(*position)):
            self._count(row)
            yield unpack_position(stored), undo.unpack(row)

    def _count(self, record: bytes | None) -> None:
        self.steps += _SEEK_STEPS + (0 if record is None else len(record) >> 10)

    def check_state(self, newest: int) -> None:
        """Assert what holds between changes: rows, index and records name each other."""
        assert 0 <= self.floor <= newest
        indexed: dict[bytes, bytes] = {}
        total, keys = 0, dict[Position, bytes]()
        for stored, row in self._rows.scan(b""):
            position, (flags, key, _) = unpack_position(stored), undo.unpack(row)
            assert position[0] <= newest, position
            keys[position] = key
            total += len(stored) + len(row)
            if flags & INDEXED:
                code = ordered.encode(key) + stored[:REVISION_BYTES]
                indexed[code] = stored[REVISION_BYTES:]
                total += len(code) + undo.SUB_BYTES
        assert indexed == dict(self._index.scan(b""))
        assert total == self.bytes, (total, self.bytes)
        for key, record in self._keys.scan(b""):
            position = made_by(record)
            if position[0] > self.floor:
                assert keys.get(position) == key, position


def _until(end: bytes | None, found: Iterator[tuple[bytes, bytes]]) -> Iterator[Found]:
    for key, record in found:
        if end is not None and key >= end:
            return
        yield key, record


def _down_to(start: bytes, found: Iterator[tuple[bytes, bytes]]) -> Iterator[Found]:
    for key, record in found:
        if key < start:
            return
        yield key, record
