"""A state that is built beside the one in use, in an LMDB environment of its own.

Law: until it is finished it says that nothing was applied, so that nobody ever takes a part of
it for the whole. Each step is one durable transaction, bounded by what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import lmdb

from kvstore.errors import DiskWriteError
from kvstore.kv.view import Applied
from kvstore.storage import lmdb_files, records
from kvstore.storage.base import Identity
from kvstore.storage.filesystem import sync_directory
from kvstore.storage.leftover import remove_all
from kvstore.storage.reading import Pair
from kvstore.storage.tables import TABLES

SUCCESSOR: Final = "state.new"
PREDECESSOR: Final = "state.old"
DIFFERING: Final = "state.differs"
"""Names beside the state: of one that is built, of one that goes, of one that is kept aside."""


class LmdbSuccessor:
    """A `Successor` in the directory `environment`.

    * `env` is open, for who takes it over.
    """

    def __init__(self, environment: Path, map_bytes: int, identity: Identity) -> None:
        """What an earlier one left there goes first.

        Raises `DiskWriteError`, and `StorageUnavailableError` if the system does not give it a map.
        """
        self.path = environment
        self._remove()
        create_state(environment, map_bytes, identity)
        self.env = lmdb_files.open_own(environment, map_bytes)
        try:
            self._file = lmdb_files.DataFile(self.env, environment)
            self._databases = {
                row.prefix: self.env.open_db(row.database, create=False) for row in TABLES
            }
        except lmdb.Error as error:
            self.env.close()
            raise lmdb_files.read_error(environment, error) from error

    def put(self, pairs: Sequence[Pair]) -> None:
        """Take the next records, durably."""
        if pairs:
            self._write(pairs, None)

    def finish(self, applied: Applied) -> None:
        """That was all of them."""
        self._write((), applied)

    def _write(self, pairs: Iterable[Pair], applied: Applied | None) -> None:
        try:
            with self.env.begin(write=True) as txn:
                for stored, value in pairs:
                    database = self._databases[stored[:1]]
                    if not txn.put(stored, value, db=database, append=True):
                        raise DiskWriteError(f"{self.path}: a record cannot be appended")
                if applied is not None:
                    txn.put(records.APPLIED, records.encode_named(records.APPLIED, applied))
                lmdb_files.sign_commit(txn)
            self._file.fill_up()
        except (lmdb.Error, OSError) as error:
            raise lmdb_files.write_error(self.path, error) from error

    def abandon(self) -> None:
        """It is not wanted: it goes a little at a time, as a predecessor does."""
        self.env.close()
        aside = self.path.with_name(PREDECESSOR)
        try:
            remove_all(aside)
            self.path.rename(aside)
        except OSError as error:
            raise DiskWriteError(f"{self.path}: {error.strerror}") from error

    def _remove(self) -> None:
        try:
            remove_all(self.path)
        except OSError as error:
            raise DiskWriteError(f"{self.path}: {error.strerror}") from error


def create_state(environment: Path, map_bytes: int, identity: Identity) -> None:
    """Make the directory `environment` with no data in it, durably."""
    with lmdb_files.new_environment(environment, map_bytes) as (env, txn):
        for row in TABLES:
            env.open_db(row.database, txn=txn)
        txn.put(records.IDENTITY, records.encode_named(records.IDENTITY, identity))
        txn.put(records.APPLIED, records.encode_named(records.APPLIED, Applied()))


def put_in_place(successor: Path, state: Path, *, differs: bool) -> None:
    """Give a finished state the name of the one before, which is kept aside if it `differs`.

    What is not kept lies beside as the predecessor then, to be removed.

    An interrupted one is finished by the next call. Raises `DiskWriteError`.
    """
    gone = state.with_name(PREDECESSOR)
    aside = state.with_name(DIFFERING) if differs else gone
    try:
        if state.exists():
            remove_all(gone)
            if aside.exists():
                aside.rename(gone)
            state.rename(aside)
            if differs:
                # Else a power cut might leave the new name alone, and this one nowhere.
                sync_directory(state.parent)
        successor.rename(state)
        sync_directory(state.parent)
    except OSError as error:
        raise DiskWriteError(f"{state}: {error.strerror}") from error
