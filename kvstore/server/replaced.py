"""Whether the cluster goes on with another directory of a node, by this node's log.

Law: only an admission that is committed ends a directory for good; one that is not may
be truncated yet, and until then the core discounts the directory in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kvstore.errors import DirectoryRefusedError
from kvstore.raft.core import Raft

ADVICE: Final = (
    "It may have voted and acknowledged what this one does not hold: put the right directory "
    "back, or move this one away and start with --rejoin"
)

REMOVED: Final = (
    "this node was removed from its cluster, and its directory counts for nothing any more. To "
    "have it back, move the directory away, and add the node as a new one"
)


def replaced_at(raft: Raft, node_id: int, admitted_at: int) -> int | None:
    """Index of the committed entry that ended the directory admitted at `admitted_at`, if any."""
    return raft.log.configurations.ended_at(node_id, admitted_at, raft.commit_index)


def check_directory(raft: Raft, data_dir: Path) -> None:
    """Raises `DirectoryRefusedError` if another one has taken the place of this node's own.

    One that still leads has to hand over first.
    """
    if raft.leadership is not None:
        return
    if raft.log.configurations.removed_at(raft.id, raft.commit_index):
        raise DirectoryRefusedError(f"{data_dir}: {REMOVED}")
    if index := replaced_at(raft, raft.id, raft.admitted_at):
        raise DirectoryRefusedError(
            f"{data_dir}: by log entry {index} another directory of node {raft.id} "
            f"replaces this one. {ADVICE}"
        )
