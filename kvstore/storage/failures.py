"""What it is told as when the system refuses a call on the data directory.

Law: damage is said of bytes alone: that they are missing, that the disk does not give them
back, or that they are not what was written. Whatever else is wrong, memory, descriptors,
permission, room, has words of its own and says what to do, and nothing is taken for damaged,
or mended, because of it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from kvstore.errors import DamagedError, StorageError, StorageUnavailableError

UNREADABLE: Final = (errno.EIO, errno.EUCLEAN, errno.EBADMSG)
"""The disk, or its file system, has lost what was written."""

_NO_ROOM: Final = "the disk is full, or this user's share of it: make room"
_NO_PERMISSION: Final = "let the user that runs this process read and write it"
_ADVICE: Final = {
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "mount its file system for writing; if the system made it read-only by itself, "
    "look in the kernel's log why",
    errno.EMFILE: "let this process open more files (`ulimit -n`)",
    errno.ENFILE: "the system has too many files open: end what opens them, or raise fs.file-max",
    errno.ENOMEM: "give it more memory (`ulimit -v`, a container's limit)",
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EAGAIN: "another process holds it: end that one",
}
_OTHERWISE: Final = "choose another directory with --data"


def read_failed(path: Path, error: OSError) -> StorageError:
    """Why `path` cannot be read."""
    if error.errno == errno.ENOENT:
        return DamagedError(f"{path} is missing")
    if error.errno in UNREADABLE:
        return DamagedError(f"{path}: the disk does not give it back: {error.strerror}")
    return unavailable(path, error)


def unavailable(path: Path, error: OSError) -> StorageUnavailableError:
    """Why `path` cannot be used, though nothing is known to be wrong with what it holds."""
    return refused_by_system(path, error.errno or 0)


def refused_by_system(path: Path, code: int, what: str = "") -> StorageUnavailableError:
    """The same, by the code of an error; `what` says it where that is none of the system's."""
    advice = _ADVICE.get(code, _OTHERWISE)
    return StorageUnavailableError(
        f"{path} cannot be used: {what or os.strerror(code)}; {advice}. Nothing is known to be "
        "wrong with what it holds"
    )
