"""Which directory of each node counts, by the admissions that a log holds.

Law: an admission binds from the moment it is in the log, committed or not, until it is
truncated. It ends every directory of its node that was admitted before. Whoever waits
to be admitted asks under a name that no other start of no directory has, so that no
admission ever fits twice.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.raft.safety import require
from kvstore.raft.types import ADMIT, INDEX_MAX, NOT_ADMITTED, Entry

_ADMISSION: Final = re.compile(rb"([0-9]{1,20}) ([0-9a-f]{32})")


def admission_data(node_id: int, name: str) -> bytes:
    """Data of the entry that admits the directory which asks under `name`."""
    return f"{node_id} {name}".encode()


def admission_of(entry: Entry) -> tuple[int, str]:
    """The node and the name that an entry admits. Raises `ValueError` if it names none."""
    found = _ADMISSION.fullmatch(entry.data)
    if found is None:
        raise ValueError(f"entry {entry.index} admits nobody: {entry.data[:80]!r}")
    return int(found[1]), found[2].decode()


class Admissions:
    """The admissions of one log: those that can be read, durable or not.

    * One that is damaged is missing here. A node with damage stands for nothing, and
      who is replaced by what only it holds lacks that entry itself, and cannot win.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._indexes: defaultdict[int, list[int]] = defaultdict(list)
        """Per node, ascending."""
        self._named: dict[int, tuple[int, str]] = {}
        """Index -> node and name."""
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """An entry that admits somebody is in the log."""
        node_id, _ = self._named[entry.index] = admission_of(entry)
        insort(self._indexes[node_id], entry.index)

    def truncate(self, from_index: int) -> None:
        """Entries at and after `from_index` are gone."""
        self._named = {at: named for at, named in self._named.items() if at < from_index}
        for indexes in self._indexes.values():
            del indexes[bisect_left(indexes, from_index) :]

    def replaced_at(
        self, node_id: int, admitted_at: int, last_index: int = INDEX_MAX
    ) -> int | None:
        """Index of the entry, up to `last_index`, that ended the directory admitted then, if any.

        A directory that waits counts for nothing, and is ended by none.
        """
        indexes = self._indexes.get(node_id)
        if not indexes or admitted_at == NOT_ADMITTED:
            return None
        position = bisect_right(indexes, admitted_at)
        return next((at for at in indexes[position : position + 1] if at <= last_index), None)

    @property
    def first_index(self) -> int | None:
        """Index of the first admission, None if there is none."""
        return min(self._named, default=None)

    def covers(self, node_id: int, name: str, commit_index: int) -> bool:
        """Whether `name` is admitted here, or another of that node that is not committed yet."""
        indexes = self._indexes.get(node_id)
        return (node_id, name) in self._named.values() or bool(
            indexes and indexes[-1] > commit_index
        )

    @property
    def named(self) -> tuple[object, ...]:
        """Each admission with its node and name."""
        return tuple(self._named.items())

    def check(self, last_index: int, latest: Sequence[Entry]) -> None:
        """That they are those of a log that ends at `last_index`, and with the `latest` entries."""
        admits = [one for one in latest if one.kind is ADMIT]
        if not (admits or self._named or any(self._indexes.values())):
            return
        by_node: dict[int, list[int]] = {}
        for index, (node_id, _) in sorted(self._named.items()):
            by_node.setdefault(node_id, []).append(index)
        require(
            {node: indexes for node, indexes in self._indexes.items() if indexes} == by_node,
            "admissions are known by other indexes than by names",
        )
        found = {one.index: admission_of(one) for one in admits}
        first = latest[0].index if latest else last_index + 1
        require(
            found == {index: named for index, named in self._named.items() if index >= first},
            "the admissions are not those of the log",
        )
