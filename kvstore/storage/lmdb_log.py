"""Identity, hard state, log, and the starts of its servers, in one LMDB environment.

Law: one `write` is one transaction, and its return is the promise that the
transaction is on the disk. After a write that failed, no later one succeeds.
The log begins where its outline says. What lies before is no part of it, and goes
a little with each write, so that no write is as long as what a snapshot put an end to.

This module must not know what entries mean, who asks for them, or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import starmap, takewhile
from pathlib import Path
from typing import NamedTuple

import lmdb

from kvstore.errors import DamagedError, DirectoryRefusedError, DiskWriteError
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import DurableUpdate, Entry, HardState, LogStart, Recovered
from kvstore.storage import cost, lmdb_files, records
from kvstore.storage.base import Identity
from kvstore.storage.outline import (
    Outline,
    batch,
    check_range,
    counted,
    decode_configuration,
    decode_hard_state,
    decode_outline,
    recovered,
)
from kvstore.storage.progress import OnProgress, nobody, told
from kvstore.storage.sizes import Sizes

_READER_CHECK_WRITES = 1024
"""How many writes may pass before readers that died are looked for."""
_DROPPED_RECORDS = 4_096
_DROPPED_BYTES = 4 << 20
"""So much that lies before the log's start is removed in one write, which takes some 5 ms."""
_STARTS_MAX = 1024
"""A peer that was away for more starts of this node takes it for another directory."""


class LmdbLog:
    """A `LogStore` in the directory `environment`, opened for writing.

    * `starts`: 8 random bytes for each start of a server on it, latest last.
    * Indexes run from the outline's start to its last; damaged ones have no sound record.
    * `sizes`: what the records take, as of the last write.
    * Nothing else in this process has the environment open.
    * Records that lie before the start are all below any that is ever added.
    """

    def __init__(self, environment: Path, map_bytes: int, on_progress: OnProgress = nobody) -> None:
        """Open what `create` made. Raises `DamagedError`."""
        self._path = environment
        self._env = lmdb_files.open_environment(environment, map_bytes, on_progress)
        self._writes = 0
        self._failed = False
        try:
            self._file = lmdb_files.DataFile(self._env, environment, cost.RESERVE_BYTES)
            self._log = self._env.open_db(records.LOG, create=False)
            self._page_bytes = self._env.stat()["psize"]
            with self._env.begin() as txn:
                identity = txn.get(records.IDENTITY)
                self._depth = txn.stat(self._log)["depth"]
            self.identity = records.decode_named(records.IDENTITY, identity, Identity)
            _check_format(environment, self.identity)
            self._terms = self._env.open_db(records.TERMS, create=False)
            self._lineage = self._env.open_db(records.LINEAGE, create=False)
            with self._env.begin() as txn:
                self.starts = records.decode_starts(txn.get(records.STARTS, db=self._lineage))
            self._outline = Outline()
            self.sizes = Sizes(0)
            self._has_dropped = True
            """Whether records may lie before the start."""
            self._found: Recovered | None = self._scan(on_progress)
            self._file.fill_up()
        except (lmdb.Error, DamagedError) as error:
            self._env.close()
            raise lmdb_files.read_error(environment, error) from None
        except BaseException:
            self._env.close()
            raise

    @staticmethod
    def create(
        environment: Path,
        map_bytes: int,
        identity: Identity,
        hard_state: HardState = HardState(),  # noqa: B008 - frozen
        start: LogStart = LogStart(),  # noqa: B008 - frozen
        configuration: Configuration = Configuration(),  # noqa: B008 - frozen
    ) -> None:
        """Make the directory `environment` with an empty log in it, durably.

        `configuration`: as of `start`; none for a directory that joins.
        """
        made = Made(identity, hard_state, Outline.empty(start), configuration)
        write_environment(environment, map_bytes, made, (), b"")

    @property
    def last_index(self) -> int:
        """Index of the last entry; in an empty log, of what comes before it."""
        return self._outline.last_index

    @property
    def start(self) -> LogStart:
        """After what the log begins."""
        return self._outline.start

    def recover(self) -> Recovered:
        """Read and check everything. What cannot be read of the log is named `damaged`.

        Raises `DamagedError` where that is not enough, as the rest cannot be relied on.
        """
        try:
            return self._found or self._scan()
        except (lmdb.Error, DamagedError) as error:
            raise lmdb_files.read_error(self._path, error) from None

    def _scan(self, on_progress: OnProgress = nobody) -> Recovered:
        with self._env.begin() as txn:
            hard_state = decode_hard_state(txn.get(records.HARD_STATE))
            terms = txn.cursor(self._terms)
            outline = decode_outline(txn.get(records.EXTENT), terms, hard_state)
            stored = read_from(txn.cursor(self._log), outline.start.index + 1)
            pairs = told(stored, "log entries", outline.count, on_progress)
            sizes = Sizes(outline.start.index)
            configuration = decode_configuration(txn.get(records.CONFIGURATION))
            found = recovered(hard_state, outline, counted(pairs, outline, sizes), configuration)
        self._outline, self.sizes = outline, sizes
        return found

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty."""
        check_range(start, stop, self._outline)
        try:
            with self._env.begin() as txn:
                stored = starmap(records.decode_entry, read_from(txn.cursor(self._log), start))
                return batch(stored, start, stop, bytes_max)
        except (lmdb.Error, DamagedError) as error:
            advice = "; start again: the other nodes will be asked for it"
            raise lmdb_files.read_error(self._path, error, advice=advice) from None

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, whole or not at all."""
        if not update:
            return
        outline = self._outline.after(update)
        # What cannot be encoded raises here, before anything is changed.
        repairs = [*map(records.encode_entry, update.repairs)]
        entries = [*map(records.encode_entry, update.entries)]
        self._found = None
        with self._transaction() as txn:
            self._remove(txn, update, outline.start.index)
            self._put_entries(txn, repairs, entries)
            if outline != self._outline:
                self._write_outline(txn, outline)
            if update.configuration is not None:
                txn.put(records.CONFIGURATION, _encode_configuration(update.configuration))
            if update.hard_state is not None:
                txn.put(records.HARD_STATE, _encode_hard_state(update.hard_state))
        self._outline = outline

    @contextmanager
    def _transaction(self) -> Iterator[lmdb.Transaction[bytes]]:
        """One write transaction; it is durable when the block has ended."""
        if self._failed:
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        try:
            with self._env.begin(write=True) as txn:
                yield txn
                lmdb_files.sign_commit(txn)
            self._file.fill_up()
            self._check_readers()
        except (lmdb.Error, OSError) as error:
            self._failed = True
            raise lmdb_files.write_error(self._path, error) from error
        except DiskWriteError:
            self._failed = True
            raise

    def add_start(self, start: bytes) -> None:
        """A server begins on this directory; the oldest of too many starts is forgotten."""
        starts = (self.starts + start)[-_STARTS_MAX * records.START_BYTES :]
        with self._transaction() as txn:
            txn.put(records.STARTS, records.encode_starts(starts), db=self._lineage)
        self.starts = starts

    # --- Room, and the end ----------------------------------------------------------------

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """What can still be written of short entries, by the disk and by the map."""
        return self._file.room_bytes(beside_bytes)

    def growth_bytes(self, beside_bytes: int = 0) -> int:
        """What of that is for long entries too."""
        return self._file.growth_bytes(beside_bytes)

    @property
    def truncation_bytes(self) -> int:
        """What of that is for votes and truncations, and for nothing else."""
        return cost.truncation_bytes(self._env.info()["map_size"])

    def entry_bytes(self, data_bytes: int) -> int:
        """What an entry that is appended takes of the room, at most."""
        return cost.entry_bytes(data_bytes, self._page_bytes)

    def repair_bytes(self, data_bytes: int) -> int:
        """What an entry in the place of a damaged one takes of the room, at most."""
        return cost.repair_bytes(data_bytes, self._depth, self._page_bytes)

    def close(self) -> None:
        """Close the environment; everything written is durable already."""
        self._env.close()

    def _remove(self, txn: lmdb.Transaction[bytes], update: DurableUpdate, start: int) -> None:
        """What is truncated behind `start`, and some of what lies at and before it."""
        measure = partial(_measure, txn.cursor(self._log))
        if update.truncate_from is not None:
            for index in range(self.last_index, max(update.truncate_from - 1, start), -1):
                txn.delete(records.log_key(index), db=self._log)
            self.sizes.truncate(update.truncate_from, measure)
        if update.start is not None:
            self.sizes.drop(start, measure)
            self._has_dropped = True
        if self._has_dropped and self._file.room_bytes() > self.truncation_bytes:
            self._has_dropped = _drop(txn.cursor(self._log), start)
            self._depth = txn.stat(self._log)["depth"]

    def _put_entries(
        self,
        txn: lmdb.Transaction[bytes],
        repairs: Sequence[tuple[bytes, bytes]],
        entries: Sequence[tuple[bytes, bytes]],
    ) -> None:
        for key, value in repairs:
            txn.put(key, value, db=self._log)
        if repairs:
            repaired = (records.log_index(key) for key, _ in repairs)
            self.sizes.measure(repaired, partial(_measure, txn.cursor(self._log)))
        if entries:
            _, added = txn.cursor(self._log).putmulti(entries, append=True)
            if added != len(entries):
                first = records.log_index(entries[0][0])
                raise DiskWriteError(f"{self._path}: log record {first} cannot be appended")
            self.sizes.append([records.record_bytes(value) for _, value in entries])
        if entries or repairs:
            self._depth = txn.stat(self._log)["depth"]

    def _write_outline(self, txn: lmdb.Transaction, new: Outline) -> None:
        before = self._outline.ranges
        if new.ranges != before:
            for gone in set(before).difference(new.ranges):
                txn.delete(records.log_key(gone.first_index), db=self._terms)
            for added in set(new.ranges).difference(before):
                txn.put(*records.encode_term_range(added), db=self._terms)
        txn.put(records.EXTENT, records.encode_named(records.EXTENT, new.extent))

    def _check_readers(self) -> None:
        self._writes += 1
        if self._writes % _READER_CHECK_WRITES == 0:
            self._env.reader_check()


def read_from(cursor: lmdb.Cursor[bytes], start: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the log from index `start` on."""
    if cursor.set_range(records.log_key(start)):
        yield from cursor


def _drop(cursor: lmdb.Cursor[bytes], last_index: int) -> bool:
    """Delete records up to that one, as many as one write may; whether there are more.

    From the first one on: the cursor goes on by itself, which takes a third.
    """
    last, left_bytes = records.log_key(last_index), _DROPPED_BYTES
    cursor.first()
    for _ in range(_DROPPED_RECORDS):
        key, value = cursor.item()
        if not key or key > last:
            return False
        if left_bytes <= 0:
            return True
        left_bytes -= len(value)
        cursor.delete()
    return True


def _measure(cursor: lmdb.Cursor[bytes], first: int, stop: int) -> int:
    """What the records of the entries [first, stop) take."""
    end = records.log_key(stop)
    pairs = takewhile(lambda pair: pair[0] < end, read_from(cursor, first))
    return sum(records.record_bytes(value) for _, value in pairs)


def _check_format(environment: Path, identity: Identity) -> None:
    has, writes = identity.format_version, records.FORMAT_VERSION
    if has == writes:
        return
    advice = (
        "use the kvstore release that made it, or a later one"
        if has > writes
        else "use the kvstore release that made it; or, while a majority of the other nodes is up,"
        " move the directory away and start with --join, one node at a time"
    )
    raise DirectoryRefusedError(
        f"{environment}: has format version {has}, this program writes {writes}; {advice}"
    )


class Made(NamedTuple):
    """What a directory is made with, beside the records of its log."""

    identity: Identity
    hard_state: HardState
    outline: Outline
    configuration: Configuration
    """As of the log's start."""


def write_environment(
    environment: Path,
    map_bytes: int,
    made: Made,
    pairs: Iterable[tuple[bytes, bytes]],
    starts: bytes,
) -> None:
    """Make the directory `environment` with this log in it, durably; `pairs` are its records."""
    outline = made.outline
    with lmdb_files.new_environment(environment, map_bytes) as (env, txn):
        for database, stored in (
            (records.LOG, pairs),
            (records.TERMS, map(records.encode_term_range, outline.ranges)),
            (records.LINEAGE, [(records.STARTS, records.encode_starts(starts))]),
        ):
            txn.cursor(env.open_db(database, txn=txn)).putmulti(stored)
        for name, record in (
            (records.IDENTITY, made.identity),
            (records.HARD_STATE, made.hard_state),
            (records.EXTENT, outline.extent),
            (records.CONFIGURATION, made.configuration),
        ):
            txn.put(name, records.encode_named(name, record))


def _encode_hard_state(hard_state: HardState) -> bytes:
    return records.encode_named(records.HARD_STATE, hard_state)


def _encode_configuration(configuration: Configuration) -> bytes:
    return records.encode_named(records.CONFIGURATION, configuration)
