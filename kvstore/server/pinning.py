"""When a reading of the data must end because its file grows.

Law: while a reading is open, nothing of its commit is used again, so the file grows with each
change of what was there. What it has grown by for that reason has a bound in bytes, and ends
before clients are refused for want of room. A file that does not grow is read for as long as
one likes, however full its disk is.

It must not know what is read, nor for whom.
"""

from __future__ import annotations

from typing import Final

from kvstore.config.limits import Limits
from kvstore.quantities import size_words
from kvstore.server.room import Room

_PIN_BYTES_MIN: Final = 1 << 20
"""What is less than that has not brought a disk to its end."""
RESERVE: Final = 2
"""Of the room so many times what clients leave is left by what can be done again later."""


class Pinning:
    """That of one node."""

    def __init__(self, room: Room, limits: Limits) -> None:
        self._room = room
        self._pinned_bytes_max = limits.pinned_bytes_max
        self._reserve_bytes = RESERVE * limits.headroom_bytes

    def fault_of(self, pinned_bytes: int) -> str:
        """Why a reading must end for whose sake a file has grown so far; "" if it may go on."""
        if pinned_bytes > self._pinned_bytes_max:
            return f"the data's file has grown by {size_words(pinned_bytes)} while it was read"
        is_close = self._room.left_bytes < self._reserve_bytes
        if is_close and pinned_bytes > _PIN_BYTES_MIN:
            return f"room got short while it was read: {size_words(self._room.left_bytes)} are left"
        return ""
