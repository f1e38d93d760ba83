"""A backup fetched from one node, piece by piece.

Law: what was written is, when it returns, all that the node gave, in order, each piece with its
checksum. A backup is of one node as of one moment, so it goes on at no other one.

It must not know sockets, nor where the bytes go; whether they are a whole backup is for who reads
them (`kvstore verify`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, cast

import msgspec
from crc32c import crc32c

from kvstore import api
from kvstore.address import Address
from kvstore.errors import ProtocolError, RefusedError, UnreachableError


class Writable(Protocol):
    """Whatever takes bytes: a file that is open for writing."""

    def write(self, data: bytes, /) -> object: ...


class Progress(msgspec.Struct, frozen=True):
    """How far a backup is. It is as of `index`; `done` of its `total` records were written.

    `is_of_leader`: the node led when it was asked, so all that was acknowledged by then is in it.
    """

    node: str
    is_of_leader: bool
    index: int
    revision: int
    done: int
    total: int
    size_bytes: int


OnBackupProgress: TypeAlias = Callable[[Progress], None]
_Ask: TypeAlias = Callable[[Address, api.NodeQuery], api.Result]


def fetch(
    nodes: Sequence[Address], ask: _Ask, writable: Writable, on_progress: OnBackupProgress | None
) -> Progress:
    """Write a backup of that node which knows most. Raises as `Client.backup` does."""
    node, is_of_leader, piece = _begin(_by_knowledge(nodes, ask), ask)
    size_bytes = 0
    while True:
        _check(piece, size_bytes)
        writable.write(piece.data)
        size_bytes += len(piece.data)
        progress = Progress(
            node=str(node),
            is_of_leader=is_of_leader,
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


class _Candidate(NamedTuple):
    """A node, and what it says of itself; nothing if it did not answer."""

    node: Address
    leads: bool = False
    term: int = 0
    last_applied: int = -1


def _by_knowledge(nodes: Sequence[Address], ask: _Ask) -> list[_Candidate]:
    """Who leads the newest term, then who has applied most: a node that was cut off comes last."""
    said = [_candidate(node, ask) for node in nodes]
    newest = max(one.term for one in said)
    candidates = [one._replace(leads=one.leads and one.term == newest) for one in said]
    return sorted(candidates, key=lambda one: (one.leads, one.last_applied), reverse=True)


def _candidate(node: Address, ask: _Ask) -> _Candidate:
    try:
        status = cast(api.StatusResult, ask(node, api.Status()))
    except (UnreachableError, RefusedError):
        return _Candidate(node)
    return _Candidate(node, status.role == "leader", status.term, status.last_applied)


def _begin(candidates: Sequence[_Candidate], ask: _Ask) -> tuple[Address, bool, api.BackupPiece]:
    for one in candidates[:-1]:
        try:
            return one.node, one.leads, _piece(ask, one.node, api.FetchBackup())
        except (UnreachableError, RefusedError):
            continue
    last = candidates[-1]
    return last.node, last.leads, _piece(ask, last.node, api.FetchBackup())


def _piece(ask: _Ask, node: Address, request: api.FetchBackup) -> api.BackupPiece:
    return cast(api.BackupPiece, ask(node, request))


def _again(ask: _Ask, node: Address, request: api.FetchBackup) -> api.BackupPiece:
    """The next piece; over a new connection, if the one so far broke."""
    try:
        return _piece(ask, node, request)
    except UnreachableError:
        return _piece(ask, node, request)


def _check(piece: api.BackupPiece, offset: int) -> None:
    if piece.offset != offset or crc32c(piece.data) != piece.crc:
        raise ProtocolError(
            f"the piece of the backup at {offset} is not the one that the node sent: take it again"
        )
