"""A file that is there when it is whole, and not before.

Law: it has its name only when all of it is on the disk; until then it stands beside, under
another one, and what had the name before keeps it. So a short file is never taken for a good one.

It must not know what is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from kvstore.errors import DiskWriteError
from kvstore.storage.filesystem import sync_directory

UNFINISHED: Final = ".unfinished"
"""Behind the name of a file that is not whole."""
_MODE: Final = 0o600
"""Keys and values are for who runs this, and for nobody beside."""


class WholeFile:
    """A file that is being written. It ends with `finish`, or with `abandon`.

    * What a killed one left unfinished under this name is written over; of two that live, one is
      refused.
    * What has the name and is no file (a device, a pipe) is refused; a link stays, and what it
      names is replaced.
    """

    def __init__(self, path: Path) -> None:
        """Raises `DiskWriteError`."""
        self.path = path = Path(os.path.realpath(path))
        self._unfinished = path.parent / (path.name + UNFINISHED)
        try:
            if path.exists() and not path.is_file():
                raise DiskWriteError(f"{path}: is no file that could be replaced: name another one")
            fd = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
            self._file = os.fdopen(fd, "wb")
            self._take(fd)
        except OSError as error:
            raise self._failed(error) from error

    def _take(self, fd: int) -> None:
        """Make it ours, and empty. It is nobody else's, and still has its name."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(fd), self._unfinished.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            self._file.close()
            raise DiskWriteError(f"{self._unfinished}: another process is writing it")
        os.ftruncate(fd, 0)
        os.fchmod(fd, _MODE)

    def write(self, data: bytes) -> None:
        """Append. Raises `DiskWriteError`, and the file is of no use then."""
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """It is whole: make it durable, and give it its name, in place of what had it.

        Raises `DiskWriteError`.
        """
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._unfinished.replace(self.path)
        except OSError as error:
            raise self._failed(error) from error
        sync_directory(self.path.parent)

    def abandon(self) -> None:
        """It will not become whole: leave nothing. After `finish`, nothing is done."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> DiskWriteError:
        return DiskWriteError(f"{self._unfinished}: {error.strerror}")
