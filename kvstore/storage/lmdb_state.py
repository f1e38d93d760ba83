"""The applied data in one LMDB environment: a materialised view of the log.

Law: what is committed, is committed together with `last_applied`. Between two
commits one write transaction stays open, and every read sees through it.

A crash loses what came after the last commit, and nothing is lost by that: the
log holds it. This module must not know what the records mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import lmdb

from kvstore.errors import DamagedError, DamagedStateError, DiskWriteError
from kvstore.kv.view import NO_FOOTPRINT, Applied, Footprint
from kvstore.storage import cost, lmdb_files, records
from kvstore.storage.base import Divergence, Identity
from kvstore.storage.leftover import remove_all, remove_some
from kvstore.storage.lmdb_successor import (
    PREDECESSOR,
    SUCCESSOR,
    LmdbSuccessor,
    create_state,
    put_in_place,
)
from kvstore.storage.lmdb_table import LmdbTable
from kvstore.storage.progress import OnProgress, nobody
from kvstore.storage.reading import Pair, Reading
from kvstore.storage.spool import SpoolFile
from kvstore.storage.successor import Successor
from kvstore.storage.tables import (
    ATTACHED,
    ENDS,
    HISTORY,
    INDEX,
    KEYS,
    LEASES,
    SESSIONS,
    TABLES,
)

SPOOL: Final = "snapshot.spool"
"""Name beside the state, of a file for a moment."""


class LmdbState(LmdbTable):
    """A `StateStore` in the directory `environment`, opened for writing.

    * `identity` equals that of the log whose view this is.
    * As a table it is the key space.
    """

    def __init__(self, environment: Path, map_bytes: int, on_progress: OnProgress = nobody) -> None:
        """Open what `create` made. Raises `DamagedStateError`."""
        try:
            self._env = lmdb_files.open_environment(
                environment, map_bytes, on_progress, readahead=False
            )
        except DamagedError as error:
            raise DamagedStateError(str(error)) from None
        try:
            super().__init__(self._env, environment, KEYS)
            self.attached = LmdbTable(self._env, environment, ATTACHED)
            self.ends = LmdbTable(self._env, environment, ENDS)
            self.history = LmdbTable(self._env, environment, HISTORY)
            self.index = LmdbTable(self._env, environment, INDEX)
            self.leases = LmdbTable(self._env, environment, LEASES)
            self.sessions = LmdbTable(self._env, environment, SESSIONS)
            self.tables = (
                *(self.attached, self.ends, self.history, self.index),
                *(self, self.leases, self.sessions),
            )
            assert tuple(table.row for table in self.tables) == TABLES
            self._file = lmdb_files.DataFile(self._env, environment)
            self._main = self._env.open_db(None)
            with self._env.begin() as txn:
                identity = txn.get(records.IDENTITY)
                applied = txn.get(records.APPLIED)
                divergence = txn.get(records.DIVERGENCE)
            self.identity = records.decode_named(records.IDENTITY, identity, Identity)
            self._applied = decode_applied(applied)
            self.divergence = decode_divergence(divergence)
            self._readings: dict[Reading, lmdb.Transaction[bytes]] = {}
            self._begin()
        except (lmdb.Error, DamagedError) as error:
            self._env.close()
            raise lmdb_files.read_error(environment, error, DamagedStateError) from None
        except BaseException:
            self._env.close()
            raise

    @staticmethod
    def create(environment: Path, map_bytes: int, identity: Identity) -> None:
        """Make the directory `environment` with no data in it, durably."""
        create_state(environment, map_bytes, identity)

    def applied(self) -> Applied:
        """What the last `commit` said; zeros for a new directory."""
        return self._applied

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, together with `applied`."""
        if any(table.failed for table in self.tables):
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        if applied == self._applied and self._all_changes() == self._committed_changes:
            return
        if applied.last_applied < self._applied.last_applied:
            raise ValueError(f"last_applied goes back to {applied.last_applied}")
        self._commit(records.APPLIED, records.encode_named(records.APPLIED, applied))
        self._applied = applied

    def record_divergence(self, divergence: Divergence) -> None:
        """Make durable that this state is not to be trusted; changes so far are forgotten."""
        if any(table.failed for table in self.tables):
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        self._txn.abort()
        self._begin()
        self._commit(records.DIVERGENCE, records.encode_named(records.DIVERGENCE, divergence))
        self.divergence = divergence

    def _commit(self, name: bytes, record: bytes) -> None:
        """Make the transaction durable, with this record."""
        try:
            self._txn.put(name, record, db=self._main)
            lmdb_files.sign_commit(self._txn, self._main)
            self._txn.commit()
            self._file.fill_up()
            self._env.reader_check()
            self._begin()
        except (lmdb.Error, OSError) as error:
            raise self._write_failed(error) from error
        except DiskWriteError:
            self.failed = True
            raise

    def reading(self) -> Reading:
        """All that the last `commit` made durable, whatever comes later. To be closed, and soon.

        Raises `StorageError`.
        """
        try:
            txn = self._env.begin()  # beside the open one that writes: it sees none of its changes
        except lmdb.Error as error:
            raise lmdb_files.read_error(self._path, error, DamagedStateError) from None
        try:
            applied = decode_applied(txn.get(records.APPLIED, db=self._main))
            counts = tuple(table.count_in(txn) for table in self.tables)
        except (lmdb.Error, DamagedError) as error:
            txn.abort()
            raise lmdb_files.read_error(self._path, error, DamagedStateError) from None
        pinned = partial(self._grown_beyond_data, self._file.used_bytes(), self.data_bytes())
        reading = Reading(applied, counts, self._pairs(txn), self._end_reading, pinned)
        self._readings[reading] = txn
        return reading

    def _grown_beyond_data(self, used_bytes: int, data_bytes: int) -> int:
        """Since the file had so much in use, and so much of that by data."""
        added_bytes = max(0, self.data_bytes() - data_bytes)
        return max(0, self._file.used_bytes() - used_bytes - added_bytes)

    def _pairs(self, txn: lmdb.Transaction[bytes]) -> Iterator[Pair]:
        for table in self.tables:
            yield from table.pairs_in(txn)

    def _end_readings(self) -> None:
        for reading in tuple(self._readings):
            reading.close()

    def _end_reading(self, reading: Reading) -> None:
        self._readings.pop(reading).abort()

    # --- Snapshots ------------------------------------------------------------------------

    def new_spool(self) -> SpoolFile:
        """A file for a snapshot, beside the state."""
        return SpoolFile(self._path.with_name(SPOOL))

    def begin_successor(self) -> LmdbSuccessor:
        """Build a state to take this one's place."""
        path = self._path.with_name(SUCCESSOR)
        return LmdbSuccessor(path, self.capacity_bytes, self.identity)

    def change_over(self, successor: Successor) -> None:
        """From now on this is `successor`, which is finished; what was here is gone, or aside."""
        assert isinstance(successor, LmdbSuccessor)
        self._end_readings()
        is_read = lmdb_files.is_read(self._env)
        self.close()
        put_in_place(successor.path, self._path, differs=self.divergence is not None)
        self.divergence = None
        if is_read:
            self._leave_to_readers()
        self._env = successor.env
        for table in self.tables:
            table.move_to(self._env)
        self._file = lmdb_files.DataFile(self._env, self._path)
        self._main = self._env.open_db(None)
        try:
            with self._env.begin() as txn:
                self._applied = decode_applied(txn.get(records.APPLIED))
            self._begin()
        except (lmdb.Error, DamagedError) as error:
            raise lmdb_files.read_error(self._path, error, DamagedStateError) from None

    @property
    def _predecessor(self) -> Path:
        return self._path.with_name(PREDECESSOR)

    def _leave_to_readers(self) -> None:
        """Who inspects the state before has it open, and reads on; its last reader frees it."""
        try:
            remove_all(self._predecessor)
        except OSError as error:
            raise DiskWriteError(f"{self._predecessor}: {error.strerror}") from error

    def tidy(self) -> bool:
        """Free some of a state that was abandoned, or whose place was taken; whether more is left.

        Raises `DiskWriteError`.
        """
        return remove_some(self._predecessor)

    def data_bytes(self) -> int:
        """About how much there is, as of the last commit."""
        return sum(table.pages_bytes() for table in self.tables)

    def free_bytes(self) -> int:
        """What the disk has left."""
        return self._file.free_bytes()

    @property
    def capacity_bytes(self) -> int:
        """The map, free pages and all."""
        map_bytes: int = self._env.info()["map_size"]
        return map_bytes

    # --- Room -----------------------------------------------------------------------------

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """What is left once what was changed so far, and what has this footprint, is durable."""
        growth_bytes = self._file.growth_bytes()
        needs_growth = any(table.has_long for table in self.tables)
        if needs_growth or 2 * self._listed_bytes(footprint) > growth_bytes:
            return growth_bytes - self._owed_bytes(footprint)
        return self._file.room_bytes() - self._owed_bytes(footprint)

    def growth_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """The same where some of it is of long entries."""
        return self._file.growth_bytes() - self._owed_bytes(footprint)

    def can_hold(self, footprint: Footprint) -> bool:
        """Whether what has it can be done, and kept in memory until a commit has room."""
        return self._owed_bytes(footprint) <= min(cost.HELD_BYTES, self._file.map_left_bytes())

    def owed_bytes(self) -> int:
        """What a commit of the changes so far takes of the disk, at most."""
        return self._owed_bytes(NO_FOOTPRINT)

    def _owed_bytes(self, footprint: Footprint) -> int:
        changed = sum([one.changed_bytes(footprint.of(one.row.name)) for one in self.tables])
        return changed + cost.TRANSACTION_PAGES * self._page_bytes

    def _listed_bytes(self, footprint: Footprint) -> int:
        """What the list of the pages takes, in a row, that a commit frees."""
        return sum([one.listed_bytes(footprint.of(one.row.name)) for one in self.tables])

    def close(self) -> None:
        """Forget uncommitted changes, and end what is still read."""
        self._end_readings()
        for table in self.tables:
            table.changes += 1
        self._txn.abort()
        self._env.close()

    def _begin(self) -> None:
        txn = self._env.begin(write=True)
        for table in self.tables:
            table.begin(txn)
        self._committed_changes = self._all_changes()

    def _all_changes(self) -> int:
        return sum(table.changes for table in self.tables)


def decode_applied(value: bytes | None) -> Applied:
    """The applied record, checked."""
    applied = records.decode_named(records.APPLIED, value, Applied)
    if min(applied.last_applied, applied.revision, applied.time_ms) < 0:
        raise DamagedError(
            f"record 'applied' has {applied.last_applied}, {applied.revision}, {applied.time_ms}"
        )
    return applied


def decode_divergence(value: bytes | None) -> Divergence | None:
    """The record of a divergence, checked; None if there is none."""
    if value is None:
        return None
    return records.decode_named(records.DIVERGENCE, value, Divergence)
