"""What is needed of a medium to send a snapshot and to install one: two interfaces, and no medium.

Law: a successor is built beside the state that is in use, and is nothing before it is finished.
A spool is worth nothing to the next life of its process, and leaves nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kvstore.kv.view import Applied
from kvstore.storage.reading import Pair


class Successor(Protocol):
    """A state that is being built of records as they come, to take the place of another one."""

    def put(self, pairs: Sequence[Pair]) -> None:
        """Take the next records, in the order of a snapshot, durably. Raises `DiskWriteError`."""
        ...

    def finish(self, applied: Applied) -> None:
        """That was all of them, as of `applied`: it is whole, for good. Raises `DiskWriteError`."""
        ...

    def abandon(self) -> None:
        """It is not wanted: nothing of it stays. Not after the change over to it."""
        ...


class Spool(Protocol):
    """A file for this process alone: written once from its beginning on, and then read."""

    def write(self, data: bytes) -> None:
        """Append. Raises `DiskWriteError`, and the file is of no use then."""
        ...

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What stands from `offset` on: so much, or what there is. Raises `DamagedError`."""
        ...

    def close(self) -> None:
        """It is not wanted any more, and its room is free."""
        ...
