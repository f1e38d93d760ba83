"""Where each SCAN goes on: Redis cursors are integers, our keys are ordered bytes.

Law: a cursor leads to where the page ended that told it, or it is unknown; never elsewhere.
It must not know connections: who was told is a number.
"""

from __future__ import annotations

from itertools import count
from typing import Final

import msgspec

from kvstore import api
from kvstore.wire.commands import CommandError, Render
from kvstore.wire.scan import ScanArguments

_CURSORS_OF_CLIENT: Final = 64


class _Cursor(msgspec.Struct, frozen=True):
    """Where a scan goes on, from which cursor it came there, and who was told."""

    start_key: bytes
    previous: int
    client: int


class ScanCursors:
    """The cursors of one server.

    * A scan has two cursors, however many pages it takes: the one that it was told last,
      and the one before, as a client may repeat a call.
    * A cursor is good on any connection: clients keep several.
    * Bounded: beyond that, the client that was told most cursors loses its oldest.
    """

    def __init__(self, cursors_max: int) -> None:
        self._cursors_max = cursors_max
        self._cursors: dict[int, _Cursor] = {}
        self._told: dict[int, dict[int, None]] = {}
        """Cursors by the number of the client that was told, the oldest first."""
        self._numbers = count(1)

    def remember(self, start_key: bytes, previous: int, client: int) -> int:
        """A new cursor for `client`, which came from `previous`, goes on at `start_key`."""
        if previous in self._cursors:
            self._forget(self._cursors[previous].previous)
        cursor = next(self._numbers)
        self._cursors[cursor] = _Cursor(start_key, previous, client)
        told = self._told.setdefault(client, {})
        told[cursor] = None
        if len(told) > _CURSORS_OF_CLIENT:
            self._forget(next(iter(told)))
        elif len(self._cursors) > self._cursors_max:
            most = max(self._told.values(), key=len)
            self._forget(next(iter(most)))
        return cursor

    def start_key(self, cursor: int) -> bytes | None:
        """Where `cursor` goes on; cursor 0 is the start, None an unknown one."""
        if cursor == 0:
            return b""
        found = self._cursors.get(cursor)
        return None if found is None else found.start_key

    def page(self, scan: ScanArguments, client: int) -> tuple[api.Scan, Render]:
        """The page that a SCAN asks for, and how it is shown. Raises `CommandError`."""
        start_key = self.start_key(scan.cursor)
        if start_key is None:
            raise CommandError("ERR this node has forgotten the cursor; start again with cursor 0")

        def render(result: api.ScanResult, _resp_version: int) -> bytes:
            cursor = 0
            if result.next_start is not None:
                cursor = self.remember(result.next_start, scan.cursor, client)
            return scan.render(result, cursor)

        return scan.request(start_key), render

    def __len__(self) -> int:
        return len(self._cursors)

    def _forget(self, cursor: int) -> None:
        found = self._cursors.pop(cursor, None)
        if found is not None:
            told = self._told[found.client]
            del told[cursor]
            if not told:
                del self._told[found.client]
