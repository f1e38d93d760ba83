"""What the state machine needs of whoever keeps its data: tables, and room for what it will do.

Law: a table is bytes in byte order. What is kept of the state machine beside its tables is
`Applied`; how much a command will change in them, at most, is its `Footprint`, whatever the
medium.

It must not know any medium.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from kvstore.errors import ConfigError
from kvstore.raft.versions import FIRST_VERSION

_REVISION_MAX: Final = 1 << 62
"""As many again are left for writes."""


class Past(msgspec.Struct, frozen=True):
    """How far back history goes, and how far it shall.

    * `floor`: every change from that revision on is held, whatever else there is; 0 if none was
      ever dropped.
    * `bytes`: what it takes, keys and records.
    * It is kept for `keep_ms` of the cluster's time, and up to `keep_bytes`; and takes no more
      than a little beside what the keys take with their records, `live_bytes`.
    """

    floor: int = 0
    bytes: int = 0
    keep_ms: int = 3_600_000
    keep_bytes: int = 64 << 20
    live_bytes: int = 0


class Applied(msgspec.Struct, frozen=True):
    """How far the data has come: the last log index in it, its revision, time and version.

    `time_ms` is the cluster's time, as the log told it last; `cluster_version` that of the
    protocol which the cluster had by then.
    """

    last_applied: int = 0
    revision: int = 1
    time_ms: int = 0
    cluster_version: int = FIRST_VERSION
    past: Past = Past()

    def raised(self, bump: int) -> Applied:
        """With a revision that is so much higher, and no history. Raises `ConfigError`."""
        if self.revision > _REVISION_MAX - bump:
            raise ConfigError(
                f"its revision is {self.revision}, and {bump} more leaves too few for writes: "
                "raise it by less"
            )
        revision = self.revision + bump
        past = msgspec.structs.replace(self.past, floor=revision, bytes=0)
        return msgspec.structs.replace(self, revision=revision, past=past)


class TableFootprint(msgspec.Struct, frozen=True, gc=False):
    """How much is changed in a table, at most: puts, with their keys and records, and deletions."""

    puts: int = 0
    put_bytes: int = 0
    deletes: int = 0

    def __add__(self, other: TableFootprint) -> TableFootprint:
        return TableFootprint(
            self.puts + other.puts,
            self.put_bytes + other.put_bytes,
            self.deletes + other.deletes,
        )

    def __sub__(self, other: TableFootprint) -> TableFootprint:
        return TableFootprint(
            self.puts - other.puts,
            self.put_bytes - other.put_bytes,
            self.deletes - other.deletes,
        )


NONE = TableFootprint()


class Footprint:
    """How much is changed in each table, by the names of the tables."""

    def __init__(self, **tables: TableFootprint) -> None:
        self._tables = tables

    def of(self, table: str) -> TableFootprint:
        """How much in one of them."""
        return self._tables.get(table, NONE)

    def __add__(self, other: Footprint) -> Footprint:
        more = {name: self.of(name) + one for name, one in other._tables.items()}
        return Footprint(**{**self._tables, **more})

    def __sub__(self, other: Footprint) -> Footprint:
        less = {name: self.of(name) - one for name, one in other._tables.items()}
        return Footprint(**{**self._tables, **less})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Footprint):
            return NotImplemented
        names = self._tables.keys() | other._tables.keys()
        return all(self.of(name) == other.of(name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # like whatever holds a mapping


NO_FOOTPRINT = Footprint()


class Table(Protocol):
    """Keys and records of bytes, in byte order."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, record: bytes) -> None: ...

    def append(self, key: bytes, record: bytes) -> None:
        """Put a key that is greater than all there are."""
        ...

    def delete(self, key: bytes) -> bool:
        """Remove a key; false if there was none."""
        ...

    def scan(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= start with their records; the iterator ends with the next change."""
        ...

    def scan_back(self, before: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Keys < before (None: all) with their records, the last first; ends likewise."""
        ...

    def count(self) -> int: ...


class View(Table, Protocol):
    """The data as the state machine sees it: the key space, and the other tables beside it.

    No read of the key space sees what is beside it.
    """

    @property
    def attached(self) -> Table:
        """Which keys are under which lease."""
        ...

    @property
    def ends(self) -> Table:
        """When what ends by time does."""
        ...

    @property
    def history(self) -> Table:
        """What takes each change back, in the order of changes."""
        ...

    @property
    def index(self) -> Table:
        """Some of those changes, by key."""
        ...

    @property
    def leases(self) -> Table:
        """Leases, with their times."""
        ...

    @property
    def sessions(self) -> Table:
        """Client sessions."""
        ...
