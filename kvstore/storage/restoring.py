"""A data directory of a new cluster, made from a snapshot.

Law: whole or not at all. Killed at any moment, it leaves the whole directory, or one that nobody
takes for made: `raft.new` becomes `raft` when all else is durable, as with any new directory. A
directory that there is already is refused untouched.

What comes out follows from the snapshot, and from what is asked, alone: so all members that are
restored from one file begin alike. It must not know what keys and values mean.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec

from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import LogStart
from kvstore.storage import directory, filesystem
from kvstore.storage.base import Identity
from kvstore.storage.lmdb_successor import LmdbSuccessor
from kvstore.storage.progress import OnProgress, nobody
from kvstore.storage.reading import Pair
from kvstore.storage.snapshot_file import SnapshotReader
from kvstore.storage.snapshot_format import Header
from kvstore.storage.tables import ROW_OF

_COMMIT_BYTES: Final = 16 << 20
"""So much is put into the new state at once: memory does not grow with the data."""


class Restored(msgspec.Struct, frozen=True):
    """What a directory was made with. `revision`: all later ones are higher."""

    header: Header
    digest: str
    revision: int


def restore_snapshot(
    reader: SnapshotReader,
    data_dir: Path,
    identity: Identity,
    founders: Configuration,
    *,
    revision_bump: int,
    log_map_bytes: int,
    state_map_bytes: int,
    on_progress: OnProgress = nobody,
) -> Restored:
    """Make `data_dir` the first directory of a founder of the cluster that `identity` names.

    `founders`: all of them.

    The log begins after the snapshot's last entry. Sessions are over, as no client of the new
    cluster has one, and the revision goes up by `revision_bump`.

    Raises `DirectoryRefusedError`, `SnapshotRefusedError`, `DamagedSnapshotError` and what
    storage raises else.
    """
    header = reader.header
    applied = header.applied.raised(revision_bump)

    def make_state(path: Path) -> None:
        _fill(path, identity, state_map_bytes, reader, applied, on_progress)

    was_there = data_dir.exists()
    filesystem.make_directory(data_dir)
    filesystem.refuse_network_filesystem(data_dir)
    try:
        with directory.held(data_dir):
            directory.refuse_existing(data_dir)
            start = LogStart(header.index, header.term)
            directory.create(data_dir, identity, founders, make_state, log_map_bytes, start)
    except BaseException:
        if not was_there:
            shutil.rmtree(data_dir)
        raise
    return Restored(header, reader.digest, applied.revision)


def _fill(
    state_dir: Path,
    identity: Identity,
    map_bytes: int,
    reader: SnapshotReader,
    applied: Applied,
    on_progress: OnProgress,
) -> None:
    successor = LmdbSuccessor(state_dir, map_bytes, identity)
    try:
        done = held_bytes = 0
        held: list[Pair] = []
        for pairs in reader.slices():
            kept = [pair for pair in pairs if ROW_OF[pair[0][:1]].outlives]
            held += kept
            held_bytes += sum(len(stored) + len(value) for stored, value in kept)
            done += len(pairs)
            on_progress("records", done, reader.header.total)
            if held_bytes > _COMMIT_BYTES:
                successor.put(held)
                held, held_bytes = [], 0
        successor.put(held)
        successor.finish(applied)
    finally:
        successor.env.close()
