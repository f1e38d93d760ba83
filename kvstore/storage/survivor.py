"""What is left of a lost cluster in one place, to be made another one: an interface, no medium.

Law: until it is replaced nothing of it is changed, whatever is applied meanwhile; replaced, it is
whole, or not at all. What can be read is told by the log alone, on every medium alike.

It must not know what entries and records mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import Final

from kvstore.errors import DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import Entry, HardState, Recovered
from kvstore.storage import records
from kvstore.storage.base import Identity, LogStore, StateStore
from kvstore.storage.reading import Pair
from kvstore.storage.tables import TABLES

_ENTRIES_BYTES: Final = 4 << 20

_first_index = attrgetter("first_index")


class Survivor(ABC):
    """Both stores of a node that is stopped, open for nobody else.

    * `last_index`, `last_term`: of the last entry that can be read, with all before it.
    """

    def __init__(self, name: str, log: LogStore, state: StateStore, found: Recovered) -> None:
        """Raises `DirectoryRefusedError`, which begins with its `name`, if it is of no use."""
        self.identity = log.identity
        self.state: StateStore = state
        self.found = found
        self._log = log
        applied = state.applied().last_applied
        damaged = [index for index in found.damaged if index > applied]
        self.last_index = damaged[0] - 1 if damaged else found.last_index
        if not found.start.index <= applied <= found.last_index or not found.last_index:
            raise DirectoryRefusedError(
                f"{name}: it holds entries {found.start.index + 1} to {found.last_index}, and the "
                f"data as of entry {applied}: nothing can be made of that; recover another node's "
                "directory, or restore a backup"
            )

    @property
    def last_term(self) -> int:
        """That of the last entry that can be read."""
        ranges, start = self.found.term_ranges, self.found.start
        if self.last_index == start.index:
            return start.term
        return ranges[bisect_right(ranges, self.last_index, key=_first_index) - 1].term

    def entries_after(self, index: int) -> Iterator[Entry]:
        """All that can be read, from the one behind `index` on."""
        while index < self.last_index:
            entries = self._log.entries(index + 1, self.last_index + 1, _ENTRIES_BYTES)
            yield from entries
            index = entries[-1].index

    def outliving_records(self) -> Iterator[Pair]:
        """All that another cluster goes on with, as it is seen now and stored."""
        for row, table in zip(TABLES, self.state.tables, strict=True):
            for key, record in table.scan(b"") if row.outlives else ():
                stored = row.prefix + key
                yield stored, records.encode_value(stored, record)

    @abstractmethod
    def replace(
        self,
        identity: Identity,
        hard_state: HardState,
        configuration: Configuration,
        applied: Applied,
    ) -> None:
        """Make it the directory of another cluster, with the keys as they are seen now.

        Its log begins after the last entry that can be read, which `applied` is as of. Sessions
        are over. It is good for nothing more then.
        """
