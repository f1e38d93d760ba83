"""The applied key space in one LMDB environment: a materialised view of the log.

Law: what is committed, is committed together with `last_applied`. Between two
commits one write transaction stays open, and every read sees through it.

A crash loses what came after the last commit, and nothing is lost by that: the
log holds it. This module must not know what the records mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb

from kvstore.errors import DamagedError, DiskWriteError
from kvstore.storage import lmdb_files, records
from kvstore.storage.base import Applied, Identity

_PREFIX = records.KEY_PREFIX
_encode = records.encode_value
_decode = records.decode_value


class LmdbState:
    """A `StateStore` in the directory `environment`, opened for writing.

    * `identity` equals that of the log whose view this is.
    * A scan that is continued after a change raises `RuntimeError`.
    """

    def __init__(self, environment: Path, map_bytes: int) -> None:
        """Open what `create` made. Raises `DamagedError`."""
        self._path = environment
        self._env = lmdb_files.open_environment(environment, map_bytes, readahead=False)
        self._changes = 0
        self._committed_changes = 0
        self._failed = False
        try:
            self._file = lmdb_files.DataFile(self._env, environment)
            self._main = self._env.open_db(None)
            self._keys = self._env.open_db(records.KEYS, create=False)
            with self._env.begin() as txn:
                identity = txn.get(records.IDENTITY)
                applied = txn.get(records.APPLIED)
            self.identity = records.decode_named(records.IDENTITY, identity, Identity)
            self._applied = decode_applied(applied)
            self._begin()
        except (lmdb.Error, DamagedError) as error:
            self._env.close()
            raise DamagedError(f"{environment}: {error}") from None

    @staticmethod
    def create(environment: Path, map_bytes: int, identity: Identity) -> None:
        """Make the directory `environment` with an empty key space in it, durably."""
        try:
            env = lmdb_files.create_environment(environment, map_bytes)
            try:
                with env.begin(write=True) as txn:
                    env.open_db(records.KEYS, txn=txn)
                    txn.put(records.IDENTITY, records.encode_named(records.IDENTITY, identity))
                    txn.put(records.APPLIED, records.encode_named(records.APPLIED, Applied()))
                    lmdb_files.sign_commit(txn)
            finally:
                env.close()
        except (lmdb.Error, OSError) as error:
            raise lmdb_files.write_error(environment, error) from error
        lmdb_files.seal_environment(environment)

    # --- View -----------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The record of `key`, None if there is none."""
        stored = _PREFIX + key
        try:
            value = self._get(stored)
            return None if value is None else _decode(stored, value)
        except (lmdb.Error, DamagedError) as error:
            raise self._damaged(error) from None

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`. Raises `ValueError` if the key is longer than LMDB's 510."""
        stored = _PREFIX + key
        self._changes += 1
        try:
            self._put(stored, _encode(stored, record))
        except lmdb.BadValsizeError:
            raise ValueError(f"key of {len(key)} bytes") from None
        except lmdb.Error as error:
            raise self._write_failed(error) from error

    def delete(self, key: bytes) -> bool:
        """Remove a key; false if there was none."""
        self._changes += 1
        try:
            return self._delete(_PREFIX + key)
        except lmdb.Error as error:
            raise self._write_failed(error) from error

    def scan(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= start with their records; the iterator ends with the next change."""
        changes = self._changes
        try:
            with self._txn.cursor(self._keys) as cursor:
                found = cursor.set_range(_PREFIX + start)
                while found:
                    stored, value = cursor.item()
                    yield stored[1:], _decode(stored, value)
                    if self._changes != changes:
                        raise RuntimeError("the key space changed during a scan")
                    found = cursor.next()
        except (lmdb.Error, DamagedError) as error:
            raise self._damaged(error) from None

    def count(self) -> int:
        """The number of keys."""
        try:
            return self._txn.stat(self._keys)["entries"]
        except lmdb.Error as error:
            raise self._damaged(error) from None

    # --- Durability -----------------------------------------------------------------------

    def applied(self) -> Applied:
        """What the last `commit` said; zeros for a new directory."""
        return self._applied

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, together with `applied`."""
        if self._failed:
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        if applied == self._applied and self._changes == self._committed_changes:
            return
        if applied.last_applied < self._applied.last_applied:
            raise ValueError(f"last_applied goes back to {applied.last_applied}")
        self._changes += 1
        record = records.encode_named(records.APPLIED, applied)
        try:
            self._txn.put(records.APPLIED, record, db=self._main)
            lmdb_files.sign_commit(self._txn, self._main)
            self._txn.commit()
            self._file.fill_up()
            self._env.reader_check()
            self._begin()
        except (lmdb.Error, OSError) as error:
            raise self._write_failed(error) from error
        except DiskWriteError:
            self._failed = True
            raise
        self._committed_changes = self._changes
        self._applied = applied

    def close(self) -> None:
        """Forget uncommitted changes."""
        self._changes += 1
        self._txn.abort()
        self._env.close()

    def _begin(self) -> None:
        self._txn = self._env.begin(write=True, db=self._keys)
        self._get = self._txn.get
        self._put = self._txn.put
        self._delete = self._txn.delete

    def _damaged(self, error: Exception) -> DamagedError:
        return DamagedError(f"{self._path}: {error}")

    def _write_failed(self, error: Exception) -> DiskWriteError:
        self._failed = True
        return lmdb_files.write_error(self._path, error)


def decode_applied(value: bytes | None) -> Applied:
    """The applied record, checked."""
    applied = records.decode_named(records.APPLIED, value, Applied)
    if applied.last_applied < 0 or applied.revision < 0:
        raise DamagedError(f"record 'applied' has {applied.last_applied}, {applied.revision}")
    return applied
