"""The tables of a state: where each stands, and how its records are told from others.

Law: whoever walks a whole state walks these, in this order, so that a table which has a row here is
part of every commit, snapshot, backup, digest and check.

It must not know what the records mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec


class TableRow(msgspec.Struct, frozen=True):
    """A table.

    * `name`: of its database.
    * `prefix`: before each of its keys: the medium has no empty keys, and the records of all
      tables stand in one row where they travel.
    * `outlives`: it stays where another cluster goes on with the data.
    * `records`: what its records are called, if not by its name.
    * `is_queue`: records are appended, and deleted at the front.
    * `is_told`: people are told how many records it has; the others follow from what those hold.
    """

    name: str
    prefix: bytes
    outlives: bool = True
    records: str = ""
    is_told: bool = True
    is_queue: bool = False

    @property
    def database(self) -> bytes:
        """As the medium calls it."""
        return self.name.encode()


ATTACHED: Final = TableRow("attached", b"a", is_told=False)
ENDS: Final = TableRow("ends", b"e", is_told=False)
HISTORY: Final = TableRow("history", b"h", outlives=False, records="changes", is_queue=True)
INDEX: Final = TableRow("index", b"i", outlives=False, is_told=False)
KEYS: Final = TableRow("keys", b"k")
LEASES: Final = TableRow("leases", b"l")
SESSIONS: Final = TableRow("sessions", b"s", outlives=False)

TABLES: Final = (ATTACHED, ENDS, HISTORY, INDEX, KEYS, LEASES, SESSIONS)
"""In the order of their prefixes."""
ROW_OF: Final = {row.prefix: row for row in TABLES}


def counts_of(counts: Sequence[int]) -> dict[str, int]:
    """What people are told of so many records, one number a table, by what they are called."""
    rows = zip(TABLES, counts, strict=True)
    return {row.records or row.name: count for row, count in rows if row.is_told}


def outliving(counts: Sequence[int]) -> dict[str, int]:
    """Those that are left where another cluster goes on."""
    rows = zip(TABLES, counts, strict=True)
    told = [(row, count) for row, count in rows if row.is_told and row.outlives]
    return {row.records or row.name: count for row, count in told}


def count_words(counts: Mapping[str, int]) -> str:
    """The same for people: `7 changes, 5 keys, 0 leases, 2 sessions`."""
    return ", ".join(f"{count} {what}" for what, count in counts.items())
