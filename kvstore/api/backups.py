"""A backup of what one node has applied, fetched piece by piece.

Law: any node answers, without consensus: a backup is as of one index, and says of which. Asked for
the same piece again, a node gives the same bytes, so a client may ask once more.

It must not know what the bytes are, nor how a node finds them.
"""

from __future__ import annotations

from kvstore.api.base import Request, Result

PIECE_BYTES = 256 << 10
"""The most that one answer carries."""


class FetchBackup(Request, frozen=True, tag="fetchbackup"):
    """Begin a backup of what this node has applied, or go on with `backup` from `offset`."""

    backup: int = 0
    """The node's number of it; 0 begins one."""
    offset: int = 0


class BackupPiece(Result, frozen=True, tag="backuppiece"):
    """The bytes of backup `backup` from `offset` on, with their crc32c.

    It is as of `index`. `done` of its `total` records are in what was given so far.
    """

    backup: int
    offset: int
    data: bytes
    crc: int
    index: int
    revision: int
    done: int
    total: int
    is_last: bool
