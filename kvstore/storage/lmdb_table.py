"""One named database of an LMDB environment, seen through its open write transaction.

Law: every record is checked when it is read, and a change that fails is remembered:
after it, nothing of the transaction may be committed. This module must not know what
the records mean, nor when a transaction ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import lmdb

from kvstore.errors import DamagedError, DamagedStateError, DiskWriteError, StorageError
from kvstore.kv.view import TableFootprint
from kvstore.storage import cost, lmdb_files, records
from kvstore.storage.cost import Tree
from kvstore.storage.reading import Pair
from kvstore.storage.tables import TableRow

_Cursor: TypeAlias = "lmdb.Cursor[bytes]"
_Move: TypeAlias = Callable[[_Cursor], bool]
"""Sets a cursor to a record; false if there is none."""
_encode = records.encode_value
_decode = records.decode_value


class LmdbTable:
    """A `Table`; every key is stored after the prefix of its `row`.

    * `has_long`: whether the open transaction has put a record that may need pages in a row.
    * A scan that is continued after a change, or a commit, raises `RuntimeError`.
    """

    def __init__(self, env: lmdb.Environment, environment: Path, row: TableRow) -> None:
        """Raises `lmdb.Error` if there is no such database. `begin` comes before any use."""
        self.row = row
        self._path = environment
        self._database = env.open_db(row.database, create=False)
        self._prefix = row.prefix
        self._page_bytes = env.stat()["psize"]
        self.changes = 0
        self.failed = self.has_long = False

    def move_to(self, env: lmdb.Environment) -> None:
        """The same database of another environment takes its place; `begin` comes next."""
        self._database = env.open_db(self.row.database, create=False)
        self.changes += 1

    def pages_bytes(self) -> int:
        """What its pages take, as of when the transaction began."""
        tree = self._tree
        pages = tree.branch_pages + tree.leaf_pages + tree.overflow_pages
        return pages * self._page_bytes

    def begin(self, txn: lmdb.Transaction[bytes]) -> None:
        """From now on, see and change what the write transaction `txn` sees."""
        self.changes += 1
        self._txn = txn
        self._put_bytes = self._deletes = 0
        self.has_long = False
        self._began_at = self.changes
        stat = txn.stat(self._database)
        self._tree = Tree(
            stat["depth"], stat["branch_pages"], stat["leaf_pages"], stat["overflow_pages"]
        )
        """As it was when the transaction began."""
        # A cursor looks first where it was last: who reads a key mostly writes it next.
        cursor = txn.cursor(self._database)
        self._get = cursor.get
        self._put = cursor.put
        self._delete = txn.delete

    def get(self, key: bytes) -> bytes | None:
        """The record of `key`, None if there is none."""
        stored = self._prefix + key
        try:
            value = self._get(stored)
            return None if value is None else _decode(stored, value)
        except (lmdb.Error, DamagedError) as error:
            raise self._unreadable(error) from None

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`. Raises `ValueError` if the key is longer than LMDB's 510."""
        self._set(key, record, append=False)

    def append(self, key: bytes, record: bytes) -> None:
        """Put a key that is greater than all there are."""
        self._set(key, record, append=True)

    def _set(self, key: bytes, record: bytes, *, append: bool) -> None:
        stored = self._prefix + key
        self.changes += 1
        self._put_bytes += len(key) + len(record)
        if len(record) > cost.SHORT_RECORD_BYTES:
            self.has_long = True
        try:
            done = self._put(stored, _encode(stored, record), append=append)
        except lmdb.BadValsizeError:
            raise ValueError(f"key of {len(key)} bytes") from None
        except lmdb.Error as error:
            raise self._write_failed(error) from error
        assert done, "there is a greater key"

    def delete(self, key: bytes) -> bool:
        """Remove a key; false if there was none."""
        self.changes += 1
        self._deletes += 1
        try:
            return self._delete(self._prefix + key, db=self._database)
        except lmdb.Error as error:
            raise self._write_failed(error) from error

    def scan(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= start with their records; the iterator ends with the next change."""
        first = self._prefix + start
        return self._walk(lambda cursor: cursor.set_range(first), lambda cursor: cursor.next())

    def scan_back(self, before: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Keys < before (None: all) with their records, the last first; ends likewise."""

        def find(cursor: _Cursor) -> bool:
            if before is not None and cursor.set_range(self._prefix + before):
                return cursor.prev()
            return cursor.last()

        return self._walk(find, lambda cursor: cursor.prev())

    def _walk(self, find: _Move, go_on: _Move) -> Iterator[tuple[bytes, bytes]]:
        changes = self.changes
        try:
            with self._txn.cursor(self._database) as cursor:
                found = find(cursor)
                while found:
                    stored, value = cursor.item()
                    yield stored[1:], _decode(stored, value)
                    if self.changes != changes:
                        raise RuntimeError("the key space changed during a scan")
                    found = go_on(cursor)
        except (lmdb.Error, DamagedError) as error:
            raise self._unreadable(error) from None

    def count(self) -> int:
        """The number of keys."""
        try:
            return self._txn.stat(self._database)["entries"]
        except lmdb.Error as error:
            raise self._unreadable(error) from None

    def count_in(self, txn: lmdb.Transaction[bytes]) -> int:
        """The number of keys that another transaction sees. Raises `lmdb.Error`."""
        return txn.stat(self._database)["entries"]

    def pairs_in(self, txn: lmdb.Transaction[bytes]) -> Iterator[Pair]:
        """All records that another transaction sees, as they stand there, and checked."""
        try:
            with txn.cursor(self._database) as cursor:
                for stored, value in cursor:
                    _decode(stored, value)
                    yield stored, value
        except (lmdb.Error, DamagedError) as error:
            raise self._unreadable(error) from None

    def changed_bytes(self, footprint: TableFootprint = TableFootprint()) -> int:  # noqa: B008 - frozen
        """What is written if the transaction ends after what has this footprint, at most."""
        changed = self._so_far + footprint
        return cost.footprint_bytes(
            self._tree, changed, self._page_bytes, is_queue=self.row.is_queue
        )

    def listed_bytes(self, footprint: TableFootprint) -> int:
        """What of that is the list of the pages that are freed, at most."""
        changed = self._so_far + footprint
        return cost.listed_bytes(self._tree, changed, self._page_bytes, is_queue=self.row.is_queue)

    @property
    def _so_far(self) -> TableFootprint:
        """What the open transaction has changed."""
        puts = self.changes - self._began_at - self._deletes
        return TableFootprint(puts, self._put_bytes, self._deletes)

    def _unreadable(self, error: lmdb.Error | DamagedError) -> StorageError:
        return lmdb_files.read_error(self._path, error, DamagedStateError)

    def _write_failed(self, error: Exception) -> DiskWriteError:
        self.failed = True
        return lmdb_files.write_error(self._path, error)
