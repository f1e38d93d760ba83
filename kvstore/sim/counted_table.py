"""A table of a simulated state, which counts what a commit of its changes takes.

Law: what it says is never too little, as on a real disk.

It must not know the disk, nor what the records mean.
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.kv.view import TableFootprint
from kvstore.storage import cost
from kvstore.storage.cost import PAGE_BYTES, Tree
from kvstore.storage.memory import MemoryTable


class CountedTable(MemoryTable):
    """A `Table` that counts its changes since the last commit, and knows how large it was then.

    * `owed` is what a commit of them takes, at most; None while nobody has asked.
    """

    check: Callable[[], None]
    """Is called after each change: whether there is room for it."""
    tree = Tree()
    puts = put_bytes = deletes = 0
    owed: int | None = None

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`."""
        self.puts += 1
        self.put_bytes += len(key) + len(record)
        self.owed = None
        super().put(key, record)
        self.check()

    def delete(self, key: bytes) -> bool:
        """Remove a key; false if there was none."""
        self.deletes += 1
        self.owed = None
        was_there = key in self._values and super().delete(key)
        self.check()
        return was_there

    def changed_bytes(self, footprint: TableFootprint) -> int:
        """What is written if a commit follows what has this footprint, at most."""
        so_far = TableFootprint(self.puts, self.put_bytes, self.deletes)
        return cost.footprint_bytes(self.tree, so_far + footprint)

    def keep_changes(self) -> None:
        """A commit."""
        super().keep_changes()
        self._measure()

    def take_back_changes(self) -> None:
        """An end without a commit."""
        super().take_back_changes()
        self._measure()

    def _measure(self) -> None:
        pages = sum(map(len, self._values.values())) // PAGE_BYTES
        self.puts = self.put_bytes = self.deletes = 0
        self.owed = None
        self.tree = Tree(1, pages // 64, 2 * pages + 1, pages)
