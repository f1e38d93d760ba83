"""A file without a name: it ends with whoever writes it, whatever that ends by.

Law: nothing rests on it. So it is never synced, and a write that fails costs the file and nothing
else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kvstore.errors import DamagedError, DiskWriteError
from kvstore.storage.failures import unavailable

_MODE: Final = 0o600


class SpoolFile:
    """A `Spool` that lies on the disk of the directory in which its name was for a moment."""

    def __init__(self, path: Path) -> None:
        """Raises `StorageUnavailableError`."""
        self._path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._fd = os.open(path, flags, _MODE)
        except OSError as error:
            raise unavailable(path, error) from error
        try:
            path.unlink()
        except OSError as error:
            self.close()
            raise unavailable(path, error) from error

    def write(self, data: bytes) -> None:
        """Append."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            raise DiskWriteError(f"{self._path}: {error.strerror}") from error

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What stands from `offset` on."""
        try:
            return os.pread(self._fd, bytes_max, offset)
        except OSError as error:
            raise DamagedError(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """The last that held it lets it go."""
        os.close(self._fd)
