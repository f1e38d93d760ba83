"""Run as a program: a directory is restored from a snapshot, for who records what that does."""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from founding import founders

from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.storage.records import FORMAT_VERSION
from kvstore.storage.restoring import restore_snapshot
from kvstore.storage.snapshot_file import SnapshotReader
from kvstore.storage.snapshot_stream import SnapshotStream

MAP_BYTES = 4 << 20


def identity_of(node_id: int) -> Identity:
    return Identity(FORMAT_VERSION, "new", node_id, f"{node_id:032x}")


def snapshot(keys: int) -> bytes:
    """A snapshot of another cluster, as of entry 70 of term 4."""
    state = MemoryState(identity_of(9))
    for number in range(keys):
        state.put(b"%04d" % number, b"record %d" % number)
    state.sessions.put(b"12345678", b"a session")
    state.commit(Applied(70, 50, 900, 2))
    stream = SnapshotStream(state.reading(), "old", 4, founders((1, 2)))
    return b"".join(iter(lambda: stream.read(1 << 16), b""))


def restore(directory: Path) -> None:
    """Make the directory `n1` in it."""
    restore_snapshot(
        SnapshotReader(io.BytesIO(snapshot(3)), "the file"),
        directory / "n1",
        identity_of(1),
        founders((1, 2, 3)),
        revision_bump=1 << 40,
        log_map_bytes=MAP_BYTES,
        state_map_bytes=MAP_BYTES,
    )


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
