"""Run as a program: a directory is made, emptied, and defragmented while somebody records it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.defragmenting import defragment_directory
from storage.samples import led, open_node

ENTRIES = 40


def made(data_dir: Path) -> Path:
    """A directory that had much, and has become mostly empty."""
    node = open_node(data_dir)
    node.log.write(DurableUpdate(HardState(1, 1), None, led(1, ENTRIES, 1, 1)))
    for number in range(200):
        node.state.put(b"%04d" % number, b"x" * 5_000)
    node.state.commit(Applied(10, 10))
    for number in range(3, 200):
        node.state.delete(b"%04d" % number)
    node.state.sessions.put(b"12345678", b"a session")
    node.state.commit(Applied(20, 20))
    node.log.write(DurableUpdate(HardState(2, 1), 30))
    node.close()
    return data_dir


def defrag(directory: Path) -> None:
    made(directory / "n1")
    os.write(1, b"made\n")
    defragment_directory(directory / "n1")
    os.write(1, b"defragmented\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
