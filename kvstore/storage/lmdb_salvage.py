"""Saving what is sound of a log whose file is damaged in its structure.

Law: whatever can be read is kept, nothing is invented, and the damaged file stays beside
the new one. The outline of the log must be beyond doubt: entries that are lost remain in
it, so that the node still knows their names and gets them back from its peers.

The file is read with plain reads, as the engine cannot be trusted with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kvstore.errors import DamagedError, DiskWriteError
from kvstore.storage import lmdb_files, records
from kvstore.storage.base import Identity
from kvstore.storage.filesystem import sync_directory
from kvstore.storage.lmdb_log import Made, write_environment
from kvstore.storage.lmdb_pages import PageReader
from kvstore.storage.outline import (
    Outline,
    decode_configuration,
    decode_hard_state,
    decode_outline,
)
from kvstore.storage.progress import OnProgress, nobody, told

DAMAGED_FILE: Final = "damaged.mdb"


def salvage(environment: Path, map_bytes: int, on_progress: OnProgress = nobody) -> None:
    """Put a sound data file in the place of a damaged one. Raises as `save` does."""
    target = environment.with_name(f"{environment.name}.saved")
    save(environment, target, map_bytes, on_progress)
    _put_in_place(target, environment)


def save(environment: Path, target: Path, map_bytes: int, on_progress: OnProgress = nobody) -> None:
    """Write what is sound of a log to `target`, and nothing else.

    Raises `DamagedError`, with everything as it was, if the hard state, the identity, the
    outline, the configuration or the starts cannot be read: by them its peers know it.
    """
    _remove(target)
    with lmdb_files.open_data_file(environment) as fd:
        _, newest = lmdb_files.read_metas(fd)
        pages = PageReader(fd, newest)
        named = pages.main_values()
        identity = records.decode_named(records.IDENTITY, named.get(records.IDENTITY), Identity)
        hard_state = decode_hard_state(named.get(records.HARD_STATE))
        terms = pages.pairs(records.TERMS, b"", _ignore)
        outline = decode_outline(named.get(records.EXTENT), terms, hard_state)
        pairs = told(
            _sound_pairs(pages, outline), "log entries to save", outline.count, on_progress
        )
        lineage = dict(pages.pairs(records.LINEAGE, b"", _ignore))
        starts = records.decode_starts(lineage.get(records.STARTS))
        configuration = decode_configuration(named.get(records.CONFIGURATION))
        made = Made(identity, hard_state, outline, configuration)
        write_environment(target, map_bytes, made, pairs, starts)


def _sound_pairs(pages: PageReader, outline: Outline) -> Iterator[tuple[bytes, bytes]]:
    """Records that pass their own checks, and are of entries that the log holds."""
    for key, value in pages.pairs(records.LOG, b"", _ignore):
        try:
            entry = records.decode_entry(key, value)
        except DamagedError:
            continue
        if outline.holds(entry.index) and outline.term(entry.index) == entry.term:
            yield key, value


def _put_in_place(target: Path, environment: Path) -> None:
    """One rename decides: before it the old file counts, after it the new one."""
    old = environment / lmdb_files.DATA_FILE
    kept = environment / DAMAGED_FILE
    try:
        kept.unlink(missing_ok=True)
        os.link(old, kept)
        os.rename(target / lmdb_files.DATA_FILE, old)
    except OSError as error:
        raise DiskWriteError(f"{environment}: {error.strerror}") from error
    sync_directory(environment)
    _remove(target)


def _remove(target: Path) -> None:
    """Remove what an earlier attempt left."""
    try:
        if target.exists():
            shutil.rmtree(target)
    except OSError as error:
        raise DiskWriteError(f"{target}: {error.strerror}") from error


def _ignore(_damage: str) -> None:
    """What cannot be read shows by its absence."""
