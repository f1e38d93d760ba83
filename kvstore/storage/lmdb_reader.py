"""Reading an LMDB environment beside the server that writes it, or after it died.

Law: not a byte of data is changed, nothing is read through a mapping, and no
page is pinned for longer than a read takes: a reader that waits for its user
would make a live file grow without end.

The engine serves only to pin: while it has a read transaction open, a writer
reuses no page of that commit. The pages themselves are read with plain reads, so
that a damaged file can do no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import lmdb

from kvstore.errors import DamagedError
from kvstore.storage import lmdb_files
from kvstore.storage.lmdb_pages import Meta, PageReader

_BATCH: Final = 1024

_LIVE_ATTEMPTS: Final = 100
"""Two commits may happen between two reads of a live file; so often in a row, they do not."""

_HEADROOM_BYTES: Final = 4 << 30
"""How far a live file may grow while it is read; only address space, not memory."""


@contextmanager
def snapshot(environment: Path) -> Iterator[PageReader]:
    """The newest commit, for a read that does not wait for anything.

    Raises `DamagedError`, also for what the block finds, and names the file then.
    """
    with lmdb_files.open_data_file(environment) as fd, _engine(fd, environment) as env:
        if env is None:
            _, newest = lmdb_files.read_metas(fd)
            yield PageReader(fd, newest)
            return
        for attempt in range(_LIVE_ATTEMPTS, 0, -1):
            with env.begin() as txn:
                meta = _meta_of(fd, txn.id(), attempt == 1)
                if meta is not None:
                    yield PageReader(fd, meta)
                    return


@contextmanager
def _engine(fd: int, environment: Path) -> Iterator[lmdb.Environment | None]:
    """The engine, by whose lock file a commit can be pinned.

    None where there is no such file, or one with holes, as a copy may have: then nobody has
    the environment open, and it is not for a reader to make one.
    """
    lock = environment / lmdb_files.LOCK_FILE
    if not (lock.exists() and os.access(lock, os.W_OK) and lmdb_files.is_allocated(lock)):
        yield None
        return
    if not os.fstat(fd).st_size:  # which the engine takes for a new one, and would write to
        raise DamagedError("the file is empty")
    try:
        with lmdb.open(
            str(environment),
            map_size=os.fstat(fd).st_size + _HEADROOM_BYTES,
            readonly=True,
            create=False,
            max_dbs=0,
            lib_version=0,
        ) as env:
            yield env
    except lmdb.Error as error:
        raise lmdb_files.read_error(environment, error) from None


def _meta_of(fd: int, transaction: int, is_last_attempt: bool) -> Meta | None:
    """The meta page of `transaction`; None if a writer went on meanwhile.

    It may be the older one: a newer stands in the file before its sync has ended.
    """
    try:
        for meta in lmdb_files.read_metas(fd):
            if meta.transaction == transaction:
                return meta
        raise DamagedError(f"no meta page has transaction {transaction}, as the engine says")
    except DamagedError:
        if is_last_attempt:
            raise
        return None


def pairs_at_leisure(
    environment: Path, database: bytes, start: bytes, on_damage: Callable[[str], None]
) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of `database`, from `start` on, for a caller that may take its time.

    Nothing is pinned between two of them; what is written meanwhile may show.
    """
    while True:
        with snapshot(environment) as pages:
            batch = list(islice(pages.pairs(database, start, on_damage), _BATCH + 1))
        yield from batch[:_BATCH]
        if len(batch) <= _BATCH:
            return
        start = batch[_BATCH][0]
