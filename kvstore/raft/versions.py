"""Which versions of the protocol a program speaks, and which one its cluster has.

Law: one number counts what peers say to each other and what logs hold. What is new in
either has a number since which there is such a thing; it is said to nobody who does not
speak that, and logged nowhere before the cluster has it (decision 38).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from kvstore.raft.types import Entry

VERSION_MAX: Final = 1 << 32
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,9}")


class Versions(msgspec.Struct, frozen=True, array_like=True):
    """Those that a program speaks: all from the oldest to the newest."""

    oldest: int
    newest: int

    def __post_init__(self) -> None:
        if not 0 < self.oldest <= self.newest <= VERSION_MAX:
            raise ValueError("versions out of range")

    def __str__(self) -> str:
        return f"{self.oldest}" if self.oldest == self.newest else f"{self.oldest} to {self.newest}"

    def meets(self, other: Versions) -> bool:
        """Whether there is a version that both speak."""
        return self.oldest <= other.newest and other.oldest <= self.newest


FIRST_VERSION: Final = 2
"""That of a cluster whose log says nothing else."""
PROTOCOL_OLDEST: Final = 2
PROTOCOL_VERSION: Final = 2
SPOKEN: Final = Versions(PROTOCOL_OLDEST, PROTOCOL_VERSION)
"""By this program."""


def version_data(version: int) -> bytes:
    """Data of the entry by which the cluster has `version`."""
    return b"%d" % version


def version_of(entry: Entry) -> int:
    """The version that an entry gives the cluster. Raises `ValueError` if it names none."""
    if _NUMBER.fullmatch(entry.data) is None or (version := int(entry.data)) > VERSION_MAX:
        raise ValueError(f"entry {entry.index} names no version: {entry.data[:80]!r}")
    return version
