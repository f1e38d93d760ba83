"""A state as one commit left it, read slice by slice while later ones are made.

Law: what is read is all that one commit made durable, once, in order, and each record is checked
on the way. No slice takes longer because there is more data.

It must not know the medium, who reads, or for what. While a reading is open, its medium reuses
nothing of that commit, and its file may grow: whoever opens one closes it, and soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from kvstore.kv.view import Applied

Pair: TypeAlias = tuple[bytes, bytes]
"""A record as it stands in a state: its key with the prefix, and the value with its crc32c."""

PAIR_BYTES: Final = 64
"""What a record counts for in a slice beside its bytes: many small ones are work too."""


class Reading:
    """All records of one commit, in byte order, so one table after the other.

    * `counts`: how many each table has (`tables.py`).
    * Of several none disturbs another, nor whoever writes.
    """

    def __init__(
        self,
        applied: Applied,
        counts: tuple[int, ...],
        pairs: Iterator[Pair],
        on_close: Callable[[Reading], None],
        pinned: Callable[[], int],
    ) -> None:
        """`pairs`: all records, each checked as it is given; `pinned` as `pinned_bytes`."""
        self.applied = applied
        self.counts = counts
        self._pairs = pairs
        self._on_close = on_close
        self._pinned = pinned
        self.is_open = True

    def read(self, bytes_max: int, pair_bytes: int = PAIR_BYTES) -> list[Pair]:
        """The next records: as many as `bytes_max` are full with, at least one. None are left: [].

        `pair_bytes`: what a record counts for beside its bytes.

        Raises `StorageError` if one cannot be read, and is closed then: what follows is no whole.
        """
        if not self.is_open:
            raise ValueError("the reading is closed")
        taken: list[Pair] = []
        room = bytes_max
        try:
            for pair in self._pairs:
                taken.append(pair)
                room -= pair_bytes + len(pair[0]) + len(pair[1])
                if room <= 0:
                    break
        except BaseException:
            self.close()
            raise
        return taken

    @property
    def pinned_bytes(self) -> int:
        """How far its medium has grown by what cannot be used again for its sake."""
        return self._pinned() if self.is_open else 0

    def close(self) -> None:
        """Let the medium go on as if nobody read; a second time does nothing."""
        if self.is_open:
            self.is_open = False
            self._on_close(self)
