"""What a node knows of its peers' directories: a small file beside the log, with no engine.

Law: what `remember` returned for is durable, and at every moment one of the file's two copies
is whole and holds it. A file without a whole copy is damaged, never empty: who is not known
passes for a first meeting.

The first copy is on the disk before the second is touched. So what a power cut tears, or the
disk loses, of one of them is told by the other; where both are whole, the first is the newer
one. Both are written in place: to remember waits for no writer of the log, and takes no
room on a full disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kvstore.errors import DamagedError, DirectoryRefusedError, DiskWriteError
from kvstore.storage import failures, records
from kvstore.storage.base import Acquaintance
from kvstore.storage.filesystem import sync_directory
from kvstore.storage.records import COPY_BYTES, Peers

_COPIES: Final = 2
_FILE_BYTES: Final = _COPIES * COPY_BYTES
_FILE_MODE: Final = 0o600


class Found(msgspec.Struct, frozen=True):
    """What such a file holds.

    * `copy`: the one that counts.
    * `copies`: both, as they stand there.
    * `damage`: what is wrong with one of them, None if nothing is.
    """

    peers: Peers
    copy: bytes
    copies: tuple[bytes, ...]
    damage: str | None


def read(path: Path) -> Found:
    """What the file holds, for whoever only looks. Raises `DamagedError`."""
    fd = _descriptor_of(path, os.O_RDONLY)
    try:
        return _read(path, fd)
    finally:
        os.close(fd)


class PeersFile:
    """A `Lineage`, in the file `path`, opened for writing.

    * `starts`: the log keeps them; whoever opens the directory says them here.
    * `mended`: which copy had to be, and why; None if both were whole.
    """

    def __init__(self, path: Path, incarnation: str) -> None:
        """Open what `create` made. Raises `DamagedError`, `DirectoryRefusedError`."""
        self.starts = b""
        self._path = path
        self._incarnation = incarnation
        self._failed = False
        self._fd = _descriptor_of(path, os.O_RDWR)
        try:
            found = _read(path, self._fd)
            if found.peers.incarnation != incarnation:
                raise DirectoryRefusedError(
                    f"{path}: was made for another directory than the log beside it;"
                    " put back the one that belongs to it"
                )
            self.known = found.peers.known
            self.mended = found.damage
            self._copies = list(found.copies)
            # A copy of the file may have holes, which a full disk could not fill.
            with suppress(OSError):
                os.posix_fallocate(self._fd, 0, _FILE_BYTES)
            self._put(found.copy)
        except BaseException:
            os.close(self._fd)
            raise

    @staticmethod
    def create(path: Path, incarnation: str) -> None:
        """Make the file, or make it anew, durably: nobody is known."""
        copy = records.encode_peers(Peers(incarnation, {}))
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
            try:
                _write(fd, copy * _COPIES, 0)
            finally:
                os.close(fd)
        except OSError as error:
            raise _write_error(path, error) from error
        sync_directory(path.parent)

    def remember(
        self, node_id: int, acquaintance: Acquaintance, forget: Iterable[int] = ()
    ) -> None:
        """Make durable what is known of a peer's directory, and nothing of those to forget."""
        known = {**self.known, node_id: acquaintance}
        for gone in forget:
            known.pop(gone, None)
        self._put(records.encode_peers(Peers(self._incarnation, known)))
        self.known = known

    def close(self) -> None:
        """Close the file; everything remembered is durable already."""
        os.close(self._fd)

    def _put(self, copy: bytes) -> None:
        """Let both copies be this one. One that is so is not touched: it may be the last."""
        if self._failed:
            raise DiskWriteError(f"{self._path}: an earlier write failed")
        for number, old in enumerate(self._copies):
            if old == copy:
                continue
            try:
                _write(self._fd, copy, number * COPY_BYTES)
            except OSError as error:
                self._failed = True
                raise _write_error(self._path, error) from error
            self._copies[number] = copy


def _descriptor_of(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise failures.read_failed(path, error) from None


def _read(path: Path, fd: int) -> Found:
    try:
        content = os.pread(fd, _FILE_BYTES, 0)
    except OSError as error:
        raise failures.read_failed(path, error) from None
    copies = tuple(content[at : at + COPY_BYTES] for at in range(0, _FILE_BYTES, COPY_BYTES))
    damage: str | None = None
    found: tuple[Peers, bytes] | None = None
    for copy in copies:
        try:
            peers = records.decode_peers(copy)
        except DamagedError as error:
            damage = str(error)
        else:
            found = found or (peers, copy)
    if found is None:
        raise DamagedError(f"{path}: {damage}")
    return Found(*found, copies, damage)


def _write(fd: int, content: bytes, offset: int) -> None:
    """Put bytes on the disk. Raises `OSError`."""
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], offset + written)
    os.fdatasync(fd)


def _write_error(path: Path, error: OSError) -> DiskWriteError:
    return DiskWriteError(f"{path}: write failed: {error.strerror}; what is on the disk is unknown")
