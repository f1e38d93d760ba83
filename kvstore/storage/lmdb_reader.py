"""Reading an LMDB environment beside the server that writes it, or after it died.

Law: not a byte of data is changed, and no page is pinned for longer than a read
takes: a reader that waits for its user would make a live file grow without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import lmdb

from kvstore.errors import DamagedError
from kvstore.storage import lmdb_files

_BATCH = 1024


class Snapshot:
    """One commit of an environment."""

    def __init__(self, env: lmdb.Environment, txn: lmdb.Transaction[bytes]) -> None:
        self._env = env
        self._txn = txn

    def named(self, name: bytes) -> bytes | None:
        """Value of the single record `name`."""
        return self._txn.get(name)

    def pairs(self, database: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys >= `start` and values of `database`, in order."""
        opened = self._env.open_db(database, txn=self._txn, create=False)
        with self._txn.cursor(opened) as cursor:
            if cursor.set_range(start) if start else cursor.first():
                yield from cursor


class LmdbReader:
    """An environment opened for reading; a context manager."""

    def __init__(self, environment: Path) -> None:
        """Raises `DamagedError` for what must not be mapped."""
        self._path = environment
        self._env = lmdb_files.open_for_reading(environment)

    def __enter__(self) -> LmdbReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._env.close()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The newest commit; for a read that does not wait for anything.

        Raises `DamagedError` where the engine cannot go on.
        """
        try:
            with self._env.begin() as txn:
                yield Snapshot(self._env, txn)
        except lmdb.Error as error:
            raise DamagedError(f"{self._path}: {error}") from None

    def pairs_at_leisure(self, database: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of `database`, for a caller that may take its time.

        Nothing is pinned between two of them; what is written meanwhile may show.
        """
        start = b""
        while True:
            with self.snapshot() as snapshot:
                batch = list(islice(snapshot.pairs(database, start), _BATCH + 1))
            yield from batch[:_BATCH]
            if len(batch) <= _BATCH:
                return
            start = batch[_BATCH][0]
