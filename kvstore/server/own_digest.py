"""The digest of this node's state as of the last entry that asks for one, while the node goes on.

Law: it is of exactly what the entries up to that one have made, as its disk holds it, or there is
none. A turn takes one slice at most, of bounded bytes and records; the reading is given up after a
bound of time, and where the state's file grows too far for its sake.

It must not know who wants it, nor what others have.
"""

from __future__ import annotations

import math
from typing import Final

from kvstore.server.checkpoints import Checkpoints
from kvstore.server.pinning import Pinning
from kvstore.storage.base import StateStore
from kvstore.storage.state_digest import Digesting

_SLICE_BYTES: Final = 256 << 10
"""A record counts for 512 bytes more, so a slice has 512 of them at most: some 2 ms."""
_PACE_MS: Final = 10.0
"""From slice to slice: a million small records take 25 s, 1 GB of large ones 40 s, and the rest of
the time is for others."""
NONE: Final = b""
"""Instead of a digest: this node takes no part, and never will."""


class OwnDigest:
    """That of one node.

    * `index`: of the entry, which is applied; 0 before the first one of this life of the node.
    * `digest`: of the state as of then, `NONE` if there is none, None while it is being taken.
    """

    def __init__(
        self, state_store: StateStore, checkpoints: Checkpoints, pinning: Pinning, time_ms: float
    ) -> None:
        """`time_ms`: how long it may take."""
        self._state_store = state_store
        self._checkpoints = checkpoints
        self._pinning = pinning
        self._time_ms = time_ms
        self._digesting: Digesting | None = None
        self._began_ms: float | None = None
        self._next_ms = 0.0
        self.index = 0
        self.digest: bytes | None = NONE

    def begin(self, index: int) -> None:
        """The entry at `index` has just been applied, and nothing behind it."""
        self.forget()
        self.index = index
        self._checkpoints.make()
        if self._state_store.applied().last_applied != index:
            return  # There was no room for a checkpoint.
        self._digesting = Digesting(self._state_store.reading())
        self._began_ms = self.digest = None

    def forget(self) -> None:
        """There is none: it is given up, or the state is another one by now."""
        if self._digesting is not None:
            self._digesting.close()
            self._digesting = None
        self.digest = NONE

    def tick(self, now_ms: float) -> None:
        """Let time pass: take the next slice, if it is time.

        Raises `StorageError` if a record cannot be read: this state is damaged.
        """
        digesting = self._digesting
        if digesting is None:
            return
        if self._began_ms is None:
            self._began_ms = self._next_ms = now_ms
        is_overdue = now_ms > self._began_ms + self._time_ms
        is_in_the_way = bool(self._pinning.fault_of(digesting.pinned_bytes))
        if is_overdue or is_in_the_way or not digesting.is_sound:
            self.forget()
        elif now_ms >= self._next_ms:
            self._next_ms = now_ms + _PACE_MS
            if (whole := digesting.go_on(_SLICE_BYTES)) is not None:
                self.digest, self._digesting = whole.short, None

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin for the next slice."""
        return math.inf if self._digesting is None else self._next_ms
