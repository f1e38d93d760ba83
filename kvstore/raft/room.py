"""How much room a node's disk has for entries, as the core counts it.

Law: what is appended is counted from that moment on, and what is not yet durable stays
counted when the driver looks at the disk anew. An entry of a leader is taken only if it
fits; one that this node must append itself is counted all the same. Votes and
truncations are not counted: what they need, the driver never offers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from kvstore.raft.types import COMMAND, Entry, StableLog

SHORT_BYTES: Final = 1 << 10
"""An entry with no more data is short: wherever it stands, it needs no pages in a row."""
_NOOP_BYTES = 256
_SIZES_KEPT = 4_096
"""Sizes of entries repeat, and what they take of the disk is asked for each of them."""


class EntryRoom:
    """What is left for commands and repairs, and what for no-ops and admissions.

    * `taken_bytes`: what the entries take that are not on the disk yet.
    * `has_headroom`: whether there is room for writes of clients, too.
    """

    def __init__(self, stable: StableLog) -> None:
        self._stable = stable
        self._entry_bytes = lru_cache(_SIZES_KEPT)(stable.entry_bytes)
        self._left_bytes = self._last_bytes = self._long_bytes = math.inf
        self.taken_bytes = 0
        self._submitted_bytes = 0
        """Of these, what the updates hold that are being written."""
        self.has_headroom = True
        self._needed_bytes = 0
        """For the entry that was left out last; its leader has it to give until it fits."""
        self._needed_repair_bytes = 0
        self._needs_long = self._needs_long_repair = False
        """So, whether they are long."""

    def offer(
        self,
        left_bytes: float,
        last_bytes: float,
        *,
        has_headroom: bool,
        long_bytes: float = math.inf,
    ) -> None:
        """The driver has looked: so much for commands, and so much at the very last.

        `long_bytes`: for long commands, where that is less.
        """
        self._left_bytes, self._last_bytes, self._long_bytes = left_bytes, last_bytes, long_bytes
        self.has_headroom = has_headroom

    def submit(self) -> int:
        """What was taken since the last call is about to be written; how much that is."""
        submitted = self.taken_bytes - self._submitted_bytes
        self._submitted_bytes = self.taken_bytes
        return submitted

    def durable(self, submitted_bytes: int) -> None:
        """So much of it is on the disk; until somebody looks, it is still gone."""
        self._left_bytes -= submitted_bytes
        self._long_bytes -= submitted_bytes
        self._last_bytes -= submitted_bytes
        self.taken_bytes -= submitted_bytes
        self._submitted_bytes -= submitted_bytes

    def forget(self) -> None:
        """Another leader may have other entries to give."""
        self._needed_bytes = self._needed_repair_bytes = 0
        self._needs_long = self._needs_long_repair = False

    @property
    def has_room(self) -> bool:
        """Whether the next command of a leader is taken, as far as is known."""
        return self._left(is_long=self._needs_long) - self.taken_bytes > self._needed_bytes

    @property
    def takes_noops(self) -> bool:
        """Whether a leader can open its term."""
        return self._last_bytes - self.taken_bytes > self._entry_bytes(_NOOP_BYTES)

    @property
    def takes_repairs(self) -> bool:
        """Whether it makes sense to ask for damaged entries."""
        left = self._left(is_long=self._needs_long_repair)
        return left - self.taken_bytes > self._needed_repair_bytes

    def _left(self, *, is_long: bool) -> float:
        return min(self._left_bytes, self._long_bytes) if is_long else self._left_bytes

    def fitting(self, entries: Sequence[Entry]) -> int:
        """How many of these new entries, from the first one on, there is room for."""
        if not entries:
            return 0
        taken, needed = self.taken_bytes, [self._entry_bytes(len(entry.data)) for entry in entries]
        if taken + sum(needed) >= min(self._left_bytes, self._last_bytes, self._long_bytes):
            for position, entry in enumerate(entries):
                taken += needed[position]
                is_long = len(entry.data) > SHORT_BYTES
                left = self._left(is_long=is_long)
                if taken >= (left if entry.kind is COMMAND else self._last_bytes):
                    self._needed_bytes, self._needs_long = needed[position], is_long
                    return position
        self._needed_bytes = 0
        return len(entries)

    def take(self, data_bytes: int) -> None:
        """An entry with so much data is appended."""
        self.taken_bytes += self._entry_bytes(data_bytes)

    def take_all(self, sizes: Sequence[int]) -> None:
        """Entries with so much data each are appended."""
        self.taken_bytes += sum(map(self._entry_bytes, sizes))

    def take_repair(self, entry: Entry) -> bool:
        """Whether there is room for an entry in the place of a damaged one; then it counts."""
        needed = self._stable.repair_bytes(len(entry.data))
        is_long = len(entry.data) > SHORT_BYTES
        if self.taken_bytes + needed >= self._left(is_long=is_long):
            self._needed_repair_bytes, self._needs_long_repair = needed, is_long
            return False
        self.taken_bytes += needed
        self._needed_repair_bytes = 0
        return True
