"""The files of a data directory, written anew without what is no longer in use. No server runs.

Law: whole or not at all. A file is copied beside, checked as any file is before it is mapped, made
durable, and given the name of the old one by one rename: killed at any moment, a directory has
one of the two. What is in the files stays the same, byte for byte of each record.

A store never gives room back to the disk by itself: what is freed in its file serves again, and
the file stays as long. It must not know what records mean.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from kvstore.errors import DirectoryRefusedError, DiskWriteError
from kvstore.storage import lmdb_files, recovered_log
from kvstore.storage.directory import COPY, RAFT, STATE, held
from kvstore.storage.filesystem import sync_directory
from kvstore.storage.lmdb_copy import copy_pages_in_use
from kvstore.storage.progress import OnProgress, nobody


class Defragmented(msgspec.Struct, frozen=True):
    """How long the file of a store was, and how long it is."""

    name: str
    before_bytes: int
    after_bytes: int


def defragment_directory(data_dir: Path, on_progress: OnProgress = nobody) -> list[Defragmented]:
    """Defragment both stores of a directory, the larger part first; how much each has given back.

    Raises `DirectoryRefusedError` if there is none or a server has it, `DamagedError` if it cannot
    be copied whole, `DiskWriteError` if there is no room for the copy; then what was not
    defragmented is as it was.
    """
    if not recovered_log.in_force(data_dir, data_dir / RAFT).exists():
        raise DirectoryRefusedError(f"{data_dir}: no node has this directory: {RAFT}/ is missing")
    with held(data_dir):
        environments = [data_dir / name for name in (STATE, RAFT)]
        return [_defragment(one, on_progress) for one in environments if one.exists()]


def _defragment(environment: Path, on_progress: OnProgress) -> Defragmented:
    target = environment.with_name(environment.name + COPY)
    old = environment / lmdb_files.DATA_FILE
    try:
        _remove(target)
        copy_pages_in_use(environment, target, on_progress)
        before_bytes = old.stat().st_size
        (target / lmdb_files.DATA_FILE).rename(old)
        sync_directory(environment)
        return Defragmented(environment.name, before_bytes, old.stat().st_size)
    except OSError as error:
        raise DiskWriteError(f"{environment}: {error.strerror}") from error
    finally:
        _remove(target)


def _remove(target: Path) -> None:
    """Remove what an earlier attempt left."""
    if target.exists():
        shutil.rmtree(target)
