"""Where the storage tests keep their files: in memory, where that can be.

No power is lost in any of them, so no sync has to wait for a disk. What a sync is for is
shown by `test_power_cuts.py`, which sees the calls; real disks are for the tests of real nodes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 512 << 20
"""Containers often have less there than what several tests beside each other may need."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's own: an empty directory, which is gone after the test."""
    is_large = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    with tempfile.TemporaryDirectory(dir=_MEMORY if is_large else None) as directory:
        yield Path(directory)
