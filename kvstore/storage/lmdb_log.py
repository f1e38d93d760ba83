"""Identity, hard state and log in one LMDB environment.

Law: one `write` is one transaction, and its return is the promise that the
transaction is on the disk. After a write that failed, no later one succeeds.

This module must not know what entries mean, who asks for them, or when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path

import lmdb

from kvstore.errors import DamagedError, DiskWriteError
from kvstore.raft.types import DurableUpdate, Entry, HardState, Recovered
from kvstore.storage import lmdb_files, records, sequence
from kvstore.storage.base import Identity

_READER_CHECK_WRITES = 1024
"""How many writes may pass before readers that died are looked for."""


class LmdbLog:
    """A `LogStore` in the directory `environment`, opened for writing.

    * Indexes run from 1 to `last_index` without a gap.
    * Nothing else in this process has the environment open.
    """

    def __init__(self, environment: Path, map_bytes: int) -> None:
        """Open what `create` made. Raises `DamagedError`."""
        self._path = environment
        self._env = lmdb_files.open_environment(environment, map_bytes)
        self._writes = 0
        self._failed = False
        try:
            self._file = lmdb_files.DataFile(self._env, environment)
            self._log = self._env.open_db(records.LOG, create=False)
            with self._env.begin() as txn:
                identity = txn.get(records.IDENTITY)
                last = _last_key(txn, self._log)
            self.identity = records.decode_named(records.IDENTITY, identity, Identity)
            self.last_index = records.log_index(last) if last else 0
        except lmdb.Error as error:
            self._env.close()
            raise DamagedError(f"{environment}: {error}") from None
        except DamagedError as error:
            self._env.close()
            raise DamagedError(f"{environment}: {error}") from None

    @staticmethod
    def create(environment: Path, map_bytes: int, identity: Identity) -> None:
        """Make the directory `environment` with an empty log in it, durably."""
        try:
            env = lmdb_files.create_environment(environment, map_bytes)
            try:
                with env.begin(write=True) as txn:
                    env.open_db(records.LOG, txn=txn)
                    txn.put(records.IDENTITY, records.encode_named(records.IDENTITY, identity))
                    txn.put(records.HARD_STATE, _encode_hard_state(HardState()))
                    lmdb_files.sign_commit(txn)
            finally:
                env.close()
        except (lmdb.Error, OSError) as error:
            raise lmdb_files.write_error(environment, error) from error
        lmdb_files.seal_environment(environment)

    def recover(self) -> Recovered:
        """Read and check everything; every record's crc32c, every index in sequence."""
        try:
            with self._env.begin() as txn:
                hard_state = sequence.decode_hard_state(txn.get(records.HARD_STATE))
                stored = starmap(records.decode_entry, txn.cursor(self._log))
                found = sequence.recovered(hard_state, stored)
        except (lmdb.Error, DamagedError) as error:
            raise DamagedError(f"{self._path}: {error}") from None
        if found.last_index != self.last_index:
            raise DamagedError(f"{self._path}: log record {found.last_index + 1} is missing")
        return found

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty."""
        sequence.check_range(start, stop, self.last_index)
        try:
            with self._env.begin() as txn:
                stored = starmap(records.decode_entry, read_from(txn.cursor(self._log), start))
                return sequence.batch(stored, start, stop, bytes_max)
        except (lmdb.Error, DamagedError) as error:
            raise DamagedError(f"{self._path}: {error}") from None

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, whole or not at all."""
        if self._failed:
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        if not update:
            return
        last_index = sequence.check_update(update, self.last_index)
        try:
            with self._env.begin(write=True) as txn:
                self._write(txn, update)
            self._file.fill_up()
            self._check_readers()
        except (lmdb.Error, OSError) as error:
            self._failed = True
            raise lmdb_files.write_error(self._path, error) from error
        except DiskWriteError:
            self._failed = True
            raise
        self.last_index = last_index

    def close(self) -> None:
        """Close the environment; everything written is durable already."""
        self._env.close()

    def _write(self, txn: lmdb.Transaction, update: DurableUpdate) -> None:
        if update.truncate_from is not None:
            for index in range(self.last_index, update.truncate_from - 1, -1):
                if not txn.delete(records.log_key(index), db=self._log):
                    raise DiskWriteError(f"{self._path}: log record {index} is missing")
        if update.entries:
            self._append(txn, update.entries)
        if update.hard_state is not None:
            txn.put(records.HARD_STATE, _encode_hard_state(update.hard_state))
        lmdb_files.sign_commit(txn)

    def _append(self, txn: lmdb.Transaction, entries: Sequence[Entry]) -> None:
        pairs = [records.encode_entry(entry) for entry in entries]
        _, added = txn.cursor(self._log).putmulti(pairs, append=True)
        if added != len(pairs):
            first = entries[0].index
            raise DiskWriteError(f"{self._path}: log record {first} cannot be appended")

    def _check_readers(self) -> None:
        self._writes += 1
        if self._writes % _READER_CHECK_WRITES == 0:
            self._env.reader_check()


def read_from(cursor: lmdb.Cursor[bytes], start: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the log from index `start` on."""
    if cursor.set_range(records.log_key(start)):
        yield from cursor


def _encode_hard_state(hard_state: HardState) -> bytes:
    return records.encode_named(records.HARD_STATE, hard_state)


def _last_key(txn: lmdb.Transaction[bytes], log: lmdb._Database) -> bytes | None:
    with txn.cursor(log) as cursor:
        return cursor.key() if cursor.last() else None
