"""A digest of a state, taken slice by slice, and what the digests of several nodes tell.

Law: equal states have equal digests, on every node; no slice takes longer because there is more
data. A node is named only if more than half of all agree against it.

It must not know when nodes take one, nor what becomes of one that differs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple

import msgspec

from kvstore.kv.view import Applied
from kvstore.storage.reading import Reading

_LENGTHS: Final = Struct(">II")  # of the key with its prefix, of the value with its crc32c
_DIGEST_BYTES: Final = 32


class StateDigest(msgspec.Struct, frozen=True):
    """What a state is, in short: as of one index, all of `Applied` and all records."""

    applied: Applied
    keys: int
    sessions: int
    digest: bytes
    """The BLAKE2b of all records in order, each with its lengths before it."""


class Digesting:
    """The digest of one reading under way.

    * The reading is closed as soon as its last record was taken.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._hash = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self.digest: StateDigest | None = None
        """Known at the end."""

    def go_on(self, bytes_max: int) -> StateDigest | None:
        """Take records of about as many bytes; the digest, once there are none left.

        Raises `StorageError` if a record cannot be read: then this state is damaged for certain.
        """
        if self.digest is not None:
            return self.digest
        pairs = self._reading.read(bytes_max)
        parts: list[bytes] = []
        for stored, value in pairs:
            parts += (_LENGTHS.pack(len(stored), len(value)), stored, value)
        self._hash.update(b"".join(parts))
        if not pairs:
            reading = self._reading
            reading.close()
            self.digest = StateDigest(
                reading.applied, reading.keys, reading.sessions, self._hash.digest()
            )
        return self.digest

    def close(self) -> None:
        """It is wanted no longer."""
        self._reading.close()


class Comparison(NamedTuple):
    """What the digests of several nodes tell.

    * `differ`: the nodes whose state is not that of most; nobody, where most do not agree.
    * `is_decided`: whether most agree, so that the others are known to be wrong.
    """

    differ: frozenset[int]
    is_decided: bool


def comparison_of(digests: Mapping[int, StateDigest], voters: int) -> Comparison:
    """`digests` of some nodes as of one index, of a cluster with so many voters.

    Most are more than half of the voters, not of those who answered: of two that differ nobody
    knows which is right. Raises `ValueError` if they are not as of one index.
    """
    if len({digest.applied.last_applied for digest in digests.values()}) > 1:
        raise ValueError("the digests are as of different indexes")
    for digest, count in Counter(digests.values()).most_common(1):
        if 2 * count > voters:
            return Comparison(
                frozenset(node for node, other in digests.items() if other != digest), True
            )
    return Comparison(frozenset(), False)
