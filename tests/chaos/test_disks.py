"""A photograph of a disk is what a power cut would leave, and a full disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import needs_root
from .disks import Disk

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]

BLOCK = 4_096
DISK_BYTES = 16 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path, 1, DISK_BYTES).made() as disk:
        yield disk


def write(path: Path, content: bytes, *, is_synced: bool) -> None:
    """Over what is there already, as LMDB writes."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
        file.write(content)
        if is_synced:
            os.fsync(file.fileno())


def test_a_photograph_has_what_was_synced_and_lacks_what_was_not(disk: Disk) -> None:
    synced, unsynced, new = (disk.mount_point / name for name in ("synced", "unsynced", "new"))
    write(synced, b"a" * BLOCK, is_synced=True)
    write(unsynced, b"a" * BLOCK, is_synced=True)
    write(synced, b"b" * BLOCK, is_synced=True)
    write(unsynced, b"b" * BLOCK, is_synced=False)
    write(new, b"b" * BLOCK, is_synced=False)
    disk.photograph()
    assert unsynced.read_bytes() == b"b" * BLOCK, "memory has it, the disk does not"
    disk.return_to_photograph()
    assert synced.read_bytes() == b"b" * BLOCK
    assert unsynced.read_bytes() == b"a" * BLOCK
    assert not new.exists() or new.read_bytes() == b""


def test_a_full_disk_takes_nothing_until_there_is_room(disk: Disk) -> None:
    disk.fill()
    with pytest.raises(OSError, match="No space left") as caught:
        write(disk.mount_point / "more", b"x" * BLOCK, is_synced=True)
    assert caught.value.errno == errno.ENOSPC
    disk.make_room()
    write(disk.mount_point / "more", b"x" * BLOCK, is_synced=True)


def test_room_that_was_given_back_is_there_after_a_power_cut(disk: Disk) -> None:
    disk.fill()
    disk.make_room()
    disk.photograph()
    disk.return_to_photograph()
    write(disk.mount_point / "more", b"x" * BLOCK, is_synced=True)
