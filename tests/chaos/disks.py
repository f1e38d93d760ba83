"""A small file system for each node, in an image file: it can be full, and lose its power.

Law: a photograph is what the disk held at one moment. The image is copied and compared
until both are equal, so that nothing was written between. It lacks what was still in
memory, and the node that goes on from it has lost just that.

The file system is mounted through a loop device. What its page cache has not written
out is not in the image; what was synced is. What was written out but never flushed is in
the image too, so this disk has no cache of its own that a power cut could empty.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .machine import NAME, run

DISK_BYTES = 96 << 20
_CHUNK_BYTES = 1 << 20


class Disk:
    """One mounted image. It is found at `mount_point`, whichever image is behind it."""

    def __init__(self, directory: Path, node_id: int, size_bytes: int = DISK_BYTES) -> None:
        self.mount_point = directory / f"{NAME}n{node_id}"
        self._image = directory / f"n{node_id}.img"
        self._photograph = directory / f"n{node_id}.photograph.img"
        self._size_bytes = size_bytes

    @contextlib.contextmanager
    def made(self) -> Iterator[Disk]:
        """Make and mount it; unmount it in the end."""
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        # No blocks are kept for root: full is full.
        run("mkfs.ext4", "-q", "-F", "-m", "0", self._image)
        self.mount_point.mkdir()
        self._mount()
        try:
            yield self
        finally:
            self._unmount()

    # --- Power ----------------------------------------------------------------------------

    def photograph(self) -> None:
        """Note what the disk holds now; it stays mounted."""
        while True:
            shutil.copyfile(self._image, self._photograph)
            if filecmp.cmp(self._image, self._photograph, shallow=False):
                return

    def return_to_photograph(self) -> None:
        """Be what was photographed. Nobody may have a file open."""
        self._unmount()
        self._photograph.replace(self._image)
        self._mount()

    def _mount(self) -> None:
        run("mount", "-t", "ext4", "-o", "loop", self._image, self.mount_point)

    def _unmount(self) -> None:
        run("umount", self.mount_point)

    # --- Room -----------------------------------------------------------------------------

    @property
    def _ballast(self) -> Path:
        return self.mount_point / "ballast"

    def fill(self) -> None:
        """Take all the room that is left, and what a sync gives back of it."""
        with self._ballast.open("ab", buffering=0) as ballast:
            while _pour(ballast):
                os.fsync(ballast.fileno())

    def fill_down_to(self, left_bytes: int) -> None:
        """Take room until no more than that is left; what was taken stays taken."""
        if not left_bytes:
            self.fill()
            return
        disk = os.statvfs(self.mount_point)
        taken = disk.f_bavail * disk.f_frsize - left_bytes
        if taken > 0:
            size = self._ballast.stat().st_size if self._ballast.exists() else 0
            with self._ballast.open("ab") as ballast:
                os.posix_fallocate(ballast.fileno(), size, taken)

    def make_room(self) -> None:
        """Give back what was taken, for good: no power cut takes it again."""
        self._ballast.unlink()
        run("sync", "--file-system", self.mount_point)


def _pour(ballast: io.FileIO) -> int:
    """Write until not one more byte fits; how many did."""
    poured, size = 0, _CHUNK_BYTES
    while size:
        try:
            poured += ballast.write(bytes(size))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size //= 2
    return poured
