"""Callers that take backups of single nodes while these serve, and keep those that came whole.

Law: a backup is of one node, which is asked for each piece; for one that did not come, once more.
What is not whole in the end is thrown away.
"""

from __future__ import annotations

from typing import Any

from crc32c import crc32c

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import Client


class BackupClient(Client):
    """A sequential caller.

    * `backups`: those that are whole, in the order in which they came.
    * `_next`: the piece that it asks for, None between two backups.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.backups: list[bytes] = []
        self._next: api.FetchBackup | None = None
        self._data = b""
        self._asks_again = False

    @property
    def _has_more(self) -> bool:
        """Whether a backup is under way, or to be begun."""
        return self._next is not None or bool(self._calls_left)

    def insist_on_everything(self) -> None:
        """No backup is needed any more."""
        self.stop()

    def _next_request(self) -> api.Request:
        if self._next is None:
            self._calls_left -= 1
            self._node = self._rng.choice(list(self._machines))
            self._next, self._data, self._asks_again = api.FetchBackup(), b"", False
        return self._next

    def _returned(self, call: Call, result: api.Result | None) -> None:
        self._hear(call, result)
        if isinstance(result, api.BackupPiece):
            self._take_piece(result)
        elif result is None and not self._asks_again:
            self._asks_again = True
        else:
            self._next = None
        self._rest(after_failure=not isinstance(result, api.BackupPiece))

    def _take_piece(self, piece: api.BackupPiece) -> None:
        assert piece.offset == len(self._data), "another piece than was asked for"
        assert piece.crc == crc32c(piece.data), "a piece that is not as it was sent"
        self._data += piece.data
        self._next, self._asks_again = api.FetchBackup(piece.backup, len(self._data)), False
        if piece.is_last:
            self.backups.append(self._data)
            self._next = None
