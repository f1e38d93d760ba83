"""Whose a data directory is, before anybody opens it.

Law: it looks, changes nothing, and waits for nobody. Whether the directory is sound, who opens it
finds out.
"""

from __future__ import annotations

from pathlib import Path

from kvstore.errors import DamagedError, StorageUnavailableError
from kvstore.storage import records, recovered_log
from kvstore.storage.base import Identity
from kvstore.storage.directory import RAFT
from kvstore.storage.lmdb_reader import snapshot


def whose(data_dir: Path) -> Identity | None:
    """Whose it is; None if it has not been made, or if that cannot be read."""
    raft = recovered_log.in_force(data_dir, data_dir / RAFT)
    try:
        if not raft.exists():
            return None
        with snapshot(raft) as pages:
            found = pages.main_values().get(records.IDENTITY)
            return records.decode_named(records.IDENTITY, found, Identity)
    except (OSError, DamagedError, StorageUnavailableError):
        return None
