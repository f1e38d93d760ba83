"""How much room an environment has: what its file can grow by, and what is free inside.

Law: never more than there is. A page counts as free only if the engine may use it for the next
commit: if it was freed before the last one, and before whatever anybody reads. What needs pages
in a row may find none inside, so for that only what the file can grow by counts.

It must not know what is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import lmdb

from kvstore.errors import DamagedError
from kvstore.storage.lmdb_pages import META_BYTES, Meta, PageReader, parse_meta

GROWTH_BYTES_MIN: Final = 1 << 20
"""With less to grow by, free pages do not count: the lists of them need pages in a row."""
_ENOUGH_BYTES: Final = 256 << 20
"""With more to grow by, nobody counts what is free inside."""
_RECORDS_MAX: Final = 500
"""Of the free list, that are looked at: they take a millisecond."""
_LISTS_SHARE: Final = 8
"""One free page of so many is for the lists of the others."""


class FreePages:
    """Those of one environment, as of its last commit."""

    def __init__(self, env: lmdb.Environment, data_file: Path) -> None:
        self._env = env
        self._path = data_file
        self._page_bytes = env.stat()["psize"]
        self._as_of = (0, 0)
        """The last commit, and the oldest one that somebody reads."""
        self._known_bytes = 0

    def reusable_bytes(self) -> int:
        """What the next commit can use for records that need no pages in a row, at least."""
        last = self._env.info()["last_txnid"]
        if self._as_of != (as_of := (last, min([last, *self._read()]))):
            self._as_of, self._known_bytes = as_of, self._counted(as_of[1])
        return self._known_bytes

    def _counted(self, freed_before: int) -> int:
        """0 where the file cannot be read: whoever opens it next will tell."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                reader = PageReader(fd, _newest(fd, self._page_bytes))
                pages = reader.free_pages(freed_before, _RECORDS_MAX)
            finally:
                os.close(fd)
        except (DamagedError, OSError):
            return 0
        return (pages - pages // _LISTS_SHARE) * self._page_bytes

    def _read(self) -> list[int]:
        """Which commits are being read, by this process or by others."""
        lines = self._env.readers().splitlines()[1:]
        found = [line.rpartition(" ")[2] for line in lines]
        return [int(one) for one in found if one.isdigit()]


def _newest(fd: int, page_bytes: int) -> Meta:
    metas = (parse_meta(n, os.pread(fd, META_BYTES, n * page_bytes)) for n in (0, 1))
    return max(metas, key=lambda meta: meta.transaction)


def is_scarce(growth_bytes: int) -> bool:
    """Whether it matters, and helps, that pages are free inside."""
    return GROWTH_BYTES_MIN <= growth_bytes <= _ENOUGH_BYTES
