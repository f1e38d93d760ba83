"""A digest of a state, taken slice by slice.

Law: equal states have equal digests, on every node; no slice takes longer because there is more
data.

It must not know when nodes take one, nor what becomes of one that differs.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Final

import msgspec

from kvstore.kv.view import Applied
from kvstore.storage.reading import Reading

_LENGTHS: Final = Struct(">II")  # of the key with its prefix, of the value with its crc32c
_DIGEST_BYTES: Final = 32
_PAIR_BYTES: Final = 512
"""What a record counts for in a slice: to look it up takes as long as to hash so much."""
_encode: Final = msgspec.msgpack.Encoder().encode


class StateDigest(msgspec.Struct, frozen=True):
    """What a state is, in short: as of one index, all of `Applied` and all records."""

    applied: Applied
    counts: tuple[int, ...]
    digest: bytes
    """The BLAKE2b of all records in order, each with its lengths before it."""

    @property
    def short(self) -> bytes:
        """What nodes tell each other: the BLAKE2b of all of it."""
        return hashlib.blake2b(_encode(self), digest_size=_DIGEST_BYTES).digest()


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
        pairs = self._reading.read(bytes_max, _PAIR_BYTES)
        parts: list[bytes] = []
        for stored, value in pairs:
            parts += (_LENGTHS.pack(len(stored), len(value)), stored, value)
        self._hash.update(b"".join(parts))
        if not pairs:
            reading = self._reading
            reading.close()
            self.digest = StateDigest(reading.applied, reading.counts, self._hash.digest())
        return self.digest

    @property
    def is_sound(self) -> bool:
        """Whether it can go on: the end of a store closes its readings."""
        return self.digest is not None or self._reading.is_open

    @property
    def pinned_bytes(self) -> int:
        """How far the file has grown for the sake of what it reads."""
        return self._reading.pinned_bytes

    def close(self) -> None:
        """It is wanted no longer."""
        self._reading.close()
