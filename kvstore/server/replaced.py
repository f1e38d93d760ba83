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
    "It may have voted and acknowledged what this one does not hold: if the node is served "
    "elsewhere by now, leave this one off; else put the right directory back, or move this one "
    "away and start with --join"
)


def removed(node_id: int, index: int) -> str:
    """What a node is told that is no member any more."""
    return (
        f"node {node_id} was removed from its cluster by log entry {index}, and its directory "
        "counts for nothing any more. To have it again, move the directory away, add the node as "
        "a new one (kvstore member add), and start it with --join"
    )


def replaced_at(raft: Raft, node_id: int, admitted_at: int) -> int | None:
    """Index of the committed entry that ended the directory admitted at `admitted_at`, if any."""
    return raft.log.configurations.ended_at(node_id, admitted_at, raft.commit_index)


def check_directory(raft: Raft, data_dir: Path) -> None:
    """Raises `DirectoryRefusedError` if its directory is out: another took its place, or none.

    One that still leads has to hand over first.
    """
    if raft.leadership is not None or not (index := replaced_at(raft, raft.id, raft.admitted_at)):
        return
    # As of now: it may have been taken back since, with a directory that takes this one's place.
    if raft.log.configurations.as_of(raft.commit_index).member(raft.id) is None:
        raise DirectoryRefusedError(f"{data_dir}: {removed(raft.id, index)}")
    raise DirectoryRefusedError(
        f"{data_dir}: by log entry {index} another directory of node {raft.id} "
        f"replaces this one. {ADVICE}"
    )
