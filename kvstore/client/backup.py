"""A backup fetched from one node, piece by piece.

Law: what was written is, when it returns, all that the node gave, in order, each piece with its
checksum. A backup is of one node as of one moment, so it goes on at no other one.

It must not know sockets, nor where the bytes go; whether they are a whole backup is for who reads
them (`kvstore verify`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec
from crc32c import crc32c

from kvstore import api
from kvstore.address import Address
from kvstore.errors import ProtocolError, RefusedError, UnreachableError


class Writable(Protocol):
    """Whatever takes bytes: a file that is open for writing."""

    def write(self, data: bytes, /) -> object: ...


class Progress(msgspec.Struct, frozen=True):
    """How far a backup is. It is as of `index`; `done` of its `total` records were written."""

    node: str
    index: int
    revision: int
    done: int
    total: int
    size_bytes: int


OnBackupProgress: TypeAlias = Callable[[Progress], None]
_Ask: TypeAlias = Callable[[Address, api.FetchBackup], api.BackupPiece]


def fetch(
    nodes: Sequence[Address], ask: _Ask, writable: Writable, on_progress: OnBackupProgress | None
) -> Progress:
    """Write a backup of the first of these nodes that gives one. Raises as `Client.backup` does."""
    node, piece = _begin(nodes, ask)
    size_bytes = 0
    while True:
        _check(piece, size_bytes)
        writable.write(piece.data)
        size_bytes += len(piece.data)
        progress = Progress(
            node=str(node),
            index=piece.index,
            revision=piece.revision,
            done=piece.done,
            total=piece.total,
            size_bytes=size_bytes,
        )
        if on_progress is not None:
            on_progress(progress)
        if piece.is_last:
            return progress
        piece = _again(ask, node, api.FetchBackup(piece.backup, size_bytes))


def _begin(nodes: Sequence[Address], ask: _Ask) -> tuple[Address, api.BackupPiece]:
    for node in nodes[:-1]:
        try:
            return node, ask(node, api.FetchBackup())
        except (UnreachableError, RefusedError):
            continue
    return nodes[-1], ask(nodes[-1], api.FetchBackup())


def _again(ask: _Ask, node: Address, request: api.FetchBackup) -> api.BackupPiece:
    """The next piece; over a new connection, if the one so far broke."""
    try:
        return ask(node, request)
    except UnreachableError:
        return ask(node, request)


def _check(piece: api.BackupPiece, offset: int) -> None:
    if piece.offset != offset or crc32c(piece.data) != piece.crc:
        raise ProtocolError(
            f"the piece of the backup at {offset} is not the one that the node sent: take it again"
        )
