"""A snapshot as bytes: the state of a cluster as of one index, for a file or a stream.

Law: equal states are equal bytes, on every node; and whoever reads them learns at the end that
they are whole, or that they are not, and never takes a part for all. A byte that is
missing, flipped or too many is noticed, at the latest at the end.

    preamble  "KVSNAP" CR LF | format version u32 | crc32c of the version u32
    frame     kind u8 | length u32 | crc32c of the body u32 | crc32c of these nine bytes u32 | body

    1 header  msgpack of `Header`: first, once
    2 block   records, in ascending order: key length u16 | value length u32 | key | value
    3 trailer msgpack of `Trailer`: last, once; `digest` is the BLAKE2b of all bytes before it

Integers are big-endian. A record is what stands in state/, with its own crc32c. The preamble is the
same in all versions to come. This module is pure: it must not know where bytes come from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeVar

import msgspec
from crc32c import crc32c

from kvstore.errors import DamagedError, DamagedSnapshotError, SnapshotRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.storage import records
from kvstore.storage.reading import Pair
from kvstore.storage.tables import TABLES, count_words, counts_of

SNAPSHOT_VERSION: Final = 2
"""Of everything listed above. Another one is refused, never guessed at."""

BLOCK_BYTES: Final = 64 << 10
"""A block ends with the record that fills it."""
FRAME_BYTES_MAX: Final = 16 << 20
"""No record is as long: whatever says that it is, is damaged, and not waited for."""

_MAGIC: Final = b"KVSNAP\r\n"
_VERSION: Final = Struct(">I")
_PREAMBLE_BYTES: Final = len(_MAGIC) + 2 * _VERSION.size
_HEAD: Final = Struct(">BII")  # kind, length, crc of the body
_CRC: Final = Struct(">I")
_HEAD_BYTES: Final = _HEAD.size + _CRC.size
_RECORD: Final = Struct(">HI")  # length of the key, length of the value
_DIGEST_BYTES: Final = 32

_HEADER, _BLOCK, _TRAILER = 1, 2, 3

_T = TypeVar("_T")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot is of.

    * `term`: of the entry at `index`, the last one that is in it.
    * `counts`: how many records of each table follow (`tables.py`).
    """

    cluster_id: str
    term: int
    applied: Applied
    configuration: Configuration
    counts: tuple[int, ...]

    @property
    def index(self) -> int:
        """Of the last entry that is in it."""
        return self.applied.last_applied

    @property
    def total(self) -> int:
        """How many records follow."""
        return sum(self.counts)


class Trailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must have come before it."""

    counts: tuple[int, ...]
    blocks: int
    digest: bytes


class SnapshotEncoder:
    """Makes the bytes of one snapshot, part by part: `begin`, `block` for each, `end`."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._tally = _Tally()

    def begin(self) -> bytes:
        """What comes first."""
        version = _VERSION.pack(SNAPSHOT_VERSION)
        preamble = _MAGIC + version + _CRC.pack(crc32c(version))
        return self._counted(preamble + _frame(_HEADER, msgspec.msgpack.encode(self.header)))

    def block(self, pairs: Iterable[Pair]) -> bytes:
        """The next records, as one block."""
        parts: list[bytes] = []
        for pair in pairs:
            stored, value = pair
            self._tally.add(stored)
            parts += (_RECORD.pack(len(stored), len(value)), stored, value)
        self._tally.blocks += 1
        return self._counted(_frame(_BLOCK, b"".join(parts)))

    def end(self) -> bytes:
        """What comes last. Raises `ValueError` if there were not as many records as announced."""
        trailer = self._tally.trailer()
        if trailer.counts != self.header.counts:
            raise ValueError(f"{trailer} does not end {self.header}")
        return _frame(_TRAILER, msgspec.msgpack.encode(trailer))

    def _counted(self, data: bytes) -> bytes:
        self._tally.digest.update(data)
        return data


class SnapshotDecoder:
    """Takes the bytes of one snapshot as they come, and gives its records back.

    * It keeps no more than one frame, and what was fed last.
    * `header` and `trailer`: None until they came. With its trailer the snapshot is whole.

    Raises `DamagedSnapshotError`, and `SnapshotRefusedError` for another version; it takes
    nothing more then.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.trailer: Trailer | None = None
        self._tally = _Tally()
        self._waiting: list[bytes] = []
        """What came of a part that is not complete."""
        self._waiting_bytes = self._needed_bytes = 0
        """How much that is, and how long the part is, as far as it is known."""
        self._offset = 0
        self._failed = False
        self._has_preamble = False

    @property
    def records(self) -> int:
        """How many came so far."""
        return sum(self._tally.counts.values())

    def feed(self, data: bytes) -> list[Pair]:
        """The records that are complete with these bytes."""
        if self._failed:
            raise ValueError("the snapshot is damaged")
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes < self._needed_bytes:
            return []
        pairs: list[Pair] = []
        try:
            self._take(memoryview(b"".join(self._waiting)), pairs)
        except BaseException:
            self._failed = True
            raise
        return pairs

    def finish(self) -> Trailer:
        """No more bytes come: it must be whole."""
        if self._failed or self.trailer is None:
            raise DamagedSnapshotError(f"the snapshot is cut short: it ends at byte {self._end}")
        return self.trailer

    @property
    def _end(self) -> int:
        return self._offset + self._waiting_bytes

    def _take(self, data: memoryview, pairs: list[Pair]) -> None:
        at = self._needed_bytes = 0
        if not self._has_preamble:
            at = self._take_preamble(data)
        while self.trailer is None and (taken := self._take_frame(data[at:], pairs)):
            at += taken
            self._offset += taken
        rest = bytes(data[at:])
        self._waiting, self._waiting_bytes = [rest], len(rest)
        if rest and self.trailer is not None:
            raise DamagedSnapshotError(
                f"the snapshot goes on behind its end, from byte {self._offset} on"
            )

    def _take_preamble(self, data: memoryview) -> int:
        known = min(len(data), len(_MAGIC))
        if data[:known] != _MAGIC[:known]:
            raise DamagedSnapshotError(
                "it does not begin as a snapshot of kvstore does: it is another file, or damaged"
            )
        if len(data) < _PREAMBLE_BYTES:
            return 0
        version = data[len(_MAGIC) : len(_MAGIC) + _VERSION.size]
        if crc32c(version) != _CRC.unpack_from(data, _PREAMBLE_BYTES - _CRC.size)[0]:
            raise DamagedSnapshotError("the snapshot is damaged in its first 16 bytes")
        (number,) = _VERSION.unpack(version)
        if number != SNAPSHOT_VERSION:
            raise SnapshotRefusedError(
                f"the snapshot has format version {number}, this program reads"
                f" {SNAPSHOT_VERSION}: use the kvstore release that made it"
                + (", or a later one" if number > SNAPSHOT_VERSION else "")
            )
        self._tally.digest.update(data[:_PREAMBLE_BYTES])
        self._has_preamble = True
        self._offset = _PREAMBLE_BYTES
        return _PREAMBLE_BYTES

    def _take_frame(self, data: memoryview, pairs: list[Pair]) -> int:
        """How long the frame at the beginning of `data` was; 0 if it is not complete."""
        if not self._has_preamble or len(data) < _HEAD_BYTES:
            return 0
        if crc32c(data[: _HEAD.size]) != _CRC.unpack_from(data, _HEAD.size)[0]:
            raise self._damaged("the head of a part does not match its crc32c")
        kind: int
        length: int
        kind, length, crc = _HEAD.unpack_from(data)
        if length > FRAME_BYTES_MAX:
            raise self._damaged(f"a part of {length} bytes is announced")
        if len(data) < _HEAD_BYTES + length:
            self._needed_bytes = _HEAD_BYTES + length
            return 0
        body = data[_HEAD_BYTES : _HEAD_BYTES + length]
        if crc32c(body) != crc:
            raise self._damaged("a part does not match its crc32c")
        self._take_body(kind, bytes(body), pairs)
        if kind != _TRAILER:
            self._tally.digest.update(data[: _HEAD_BYTES + length])
        return _HEAD_BYTES + length

    def _take_body(self, kind: int, body: bytes, pairs: list[Pair]) -> None:
        if (kind == _HEADER) != (self.header is None):
            raise self._damaged("a header is missing, or one too many")
        if kind == _HEADER:
            self.header = self._decoded(body, Header)
            self._check_header(self.header)
        elif kind == _BLOCK:
            self._tally.blocks += 1
            self._take_records(body, pairs)
        elif kind == _TRAILER:
            self._take_trailer(self._decoded(body, Trailer))
        else:
            raise self._damaged(f"a part is of no known kind ({kind})")

    def _take_records(self, body: bytes, pairs: list[Pair]) -> None:
        at, end = 0, len(body)
        while at < end:
            if end - at < _RECORD.size:
                raise self._damaged("a record is cut short")
            key_bytes, value_bytes = _RECORD.unpack_from(body, at)
            value_at = at + _RECORD.size + key_bytes
            at = value_at + value_bytes
            if at > end:
                raise self._damaged("a record is cut short")
            stored, value = body[value_at - key_bytes : value_at], body[value_at:at]
            try:
                self._tally.add(stored)
                records.decode_value(stored, value)
            except (DamagedError, ValueError) as error:
                raise self._damaged(str(error)) from None
            pairs.append((stored, value))

    def _take_trailer(self, trailer: Trailer) -> None:
        header = self.header
        assert header is not None
        if trailer != self._tally.trailer():
            raise self._damaged("its parts are whole, and not those that its end tells of")
        if trailer.counts != header.counts:
            raise self._damaged(
                f"{count_words(counts_of(header.counts))} are announced, and there are "
                f"{count_words(counts_of(trailer.counts))}"
            )
        self.trailer = trailer

    def _check_header(self, header: Header) -> None:
        applied = header.applied
        if len(header.counts) != len(TABLES):
            raise self._damaged(f"its header tells of {len(header.counts)} tables")
        numbers = (header.term, *header.counts, applied.last_applied)
        if min(*numbers, applied.revision, applied.time_ms) < 0:
            raise self._damaged("its header has a number below zero")
        if (header.index == 0) != (header.term == 0):
            raise self._damaged(f"entry {header.index} cannot have term {header.term}")

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.msgpack.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, what: str) -> DamagedSnapshotError:
        return DamagedSnapshotError(f"the snapshot is damaged at byte {self._offset}: {what}")


class _Tally:
    """What has come of a snapshot so far: how many records, in what order, and the digest."""

    def __init__(self) -> None:
        self.counts = {row.prefix: 0 for row in TABLES}
        self.blocks = 0
        self.digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._last = b""

    def add(self, stored: bytes) -> None:
        """A record with this key. Raises `ValueError` if it cannot come here."""
        if stored <= self._last:
            raise ValueError("its records are not in order")
        self._last = stored
        prefix = stored[:1]
        if prefix not in self.counts:
            raise ValueError(f"a record stands under {stored!r}")
        self.counts[prefix] += 1

    def trailer(self) -> Trailer:
        """What ends a snapshot of all this."""
        return Trailer(tuple(self.counts.values()), self.blocks, self.digest.digest())


def _frame(kind: int, body: bytes) -> bytes:
    head = _HEAD.pack(kind, len(body), crc32c(body))
    return head + _CRC.pack(crc32c(head)) + body
