"""What stands on the disk: names, keys and values, as bytes.

Law: every value begins with a crc32c (four bytes, big-endian) that covers its
key as well, so that a sound record found under a wrong key fails too; and what
fails is never half-read: decoding returns a whole record or raises `DamagedError`.

    raft/   "identity"    crc | msgpack of Identity
            "hard_state"  crc | msgpack of HardState
            "commit"      crc | number of the transaction that wrote it, u64
            "extent"      crc | msgpack of Extent: where the log begins and ends, how many terms
            log           index u64  ->  crc | term u64 | kind u8 | data
            terms         first index u64  ->  crc | term u64
            lineage       "starts"  ->  crc | 8 random bytes for each start, latest last
    raft/peers    twice: crc | length u32 | msgpack of Peers | zeros up to 4,096 bytes
    state/  "identity"    crc | msgpack of Identity, equal to that of raft/
            "applied"     crc | msgpack of Applied
            "divergence"  crc | msgpack of Divergence; only of a state that differs from others'
            "commit"      crc | number of the transaction that wrote it, u64
            history       "h" + revision u64 + place u16  ->  crc | row
            index         "i" + code of a key + revision u64  ->  crc | place u16
            keys          "k" + key  ->  crc | record
            sessions      "s" + session u64  ->  crc | record

Integers are big-endian, so that the order of bytes is the order of indexes.
This module must not know what holds the bytes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeVar

import msgspec
from crc32c import crc32c

from kvstore.errors import DamagedError, DirectoryRefusedError
from kvstore.raft.types import Entry, EntryKind, LogStart, TermRange
from kvstore.storage.base import Acquaintance
from kvstore.storage.tables import HISTORY, KEYS, ROW_OF, SESSIONS

FORMAT_VERSION: Final = 6
"""Of everything listed above. A directory of another version is refused, never guessed at."""

IDENTITY: Final = b"identity"
HARD_STATE: Final = b"hard_state"
APPLIED: Final = b"applied"
DIVERGENCE: Final = b"divergence"
COMMIT: Final = b"commit"
EXTENT: Final = b"extent"
CONFIGURATION: Final = b"configuration"
LOG: Final = b"log"
TERMS: Final = b"terms"
LINEAGE: Final = b"lineage"

_CRC: Final = Struct(">I")
_CRC_BYTES: Final = _CRC.size
_INDEX: Final = Struct(">Q")
_HEAD: Final = Struct(">QQB")  # index, term, kind: what the crc covers besides the data
_VALUE: Final = Struct(">IQB")  # crc, term, kind: what stands before the data
_VALUE_BYTES: Final = _VALUE.size
_KINDS: Final = {int(kind): kind for kind in EntryKind}

_T = TypeVar("_T")


# --- Log ----------------------------------------------------------------------------------


def log_key(index: int) -> bytes:
    """The key of the entry at `index`."""
    return _INDEX.pack(index)


def log_index(key: bytes) -> int:
    """The index that a log key stands for."""
    if len(key) != _INDEX.size:
        raise DamagedError(f"log record under the key {key.hex()}: not an index")
    index: int = _INDEX.unpack(key)[0]
    return index


def encode_entry(entry: Entry) -> tuple[bytes, bytes]:
    """Key and value of one log record."""
    head = _HEAD.pack(entry.index, entry.term, entry.kind)
    data = entry.data
    return head[:8], _CRC.pack(crc32c(data, crc32c(head))) + head[8:] + data


def decode_entry(key: bytes, value: bytes) -> Entry:
    """The entry of one log record, checked.

    Raises `DamagedError`, and `DirectoryRefusedError` for what a later version wrote: that must
    not be taken for damage, and mended.
    """
    index = log_index(key)
    if len(value) < _VALUE_BYTES:
        raise DamagedError(f"log record {index}: cut short, {len(value)} bytes")
    crc, term, kind = _VALUE.unpack_from(value)
    data = value[_VALUE_BYTES:]
    if crc32c(data, crc32c(key + value[_CRC_BYTES:_VALUE_BYTES])) != crc:
        raise DamagedError(f"log record {index}: its crc32c does not match")
    try:
        return Entry(index, term, _KINDS[kind], data)
    except KeyError:
        raise DirectoryRefusedError(
            f"log record {index} is whole, and of a kind that this program does not know ({kind}):"
            " use the kvstore release that wrote it, or a later one"
        ) from None


def encode_term_range(terms: TermRange) -> tuple[bytes, bytes]:
    """Key and value of the record that says where a term begins."""
    key, body = _INDEX.pack(terms.first_index), _INDEX.pack(terms.term)
    return key, _CRC.pack(crc32c(body, crc32c(key))) + body


def decode_term_range(key: bytes, value: bytes) -> TermRange:
    """Where a term begins, checked."""
    body = value[_CRC_BYTES:]
    if len(key) != _INDEX.size or len(body) != _INDEX.size:
        raise DamagedError(f"term record under the key {key.hex()}: {len(value)} bytes")
    if _CRC.unpack_from(value)[0] != crc32c(body, crc32c(key)):
        raise DamagedError(f"term record {log_index(key)}: its crc32c does not match")
    return TermRange(log_index(key), _INDEX.unpack(body)[0])


def record_bytes(value: bytes) -> int:
    """What the record of one entry takes, key and value."""
    return _INDEX.size + len(value)


def entry_checksum(value: bytes) -> int:
    """The stored crc32c of a log record: equal for equal index, term, kind and data."""
    crc: int = _CRC.unpack_from(value)[0]
    return crc


# --- Single records -----------------------------------------------------------------------


class Extent(msgspec.Struct, frozen=True):
    """How much of the log there must be, and after what; written with every change of that."""

    last_index: int = 0
    terms: int = 0
    start: LogStart = LogStart()


def encode_named(name: bytes, record: msgspec.Struct) -> bytes:
    """Value of the single record that is kept under `name`."""
    body = msgspec.msgpack.encode(record)
    return _CRC.pack(crc32c(body, crc32c(name))) + body


def decode_named(name: bytes, value: bytes | None, kind: type[_T]) -> _T:
    """The record kept under `name`, checked; None stands for a record that is not there."""
    body = _checked(name, value)
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise DamagedError(f"record {_shown(name)}: {error}") from None


def encode_commit(transaction: int) -> bytes:
    """Value of the record by which a transaction of the medium names itself."""
    body = _INDEX.pack(transaction)
    return _CRC.pack(crc32c(body, crc32c(COMMIT))) + body


def decode_commit(value: bytes | None) -> int:
    """Number of the transaction that wrote `value`."""
    body = _checked(COMMIT, value)
    if len(body) != _INDEX.size:
        raise DamagedError(f"record 'commit': {len(body)} bytes")
    transaction: int = _INDEX.unpack(body)[0]
    return transaction


def _checked(name: bytes, value: bytes | None) -> bytes:
    if value is None:
        raise DamagedError(f"record {_shown(name)} is missing")
    body = value[_CRC_BYTES:]
    if len(value) < _CRC_BYTES or _CRC.unpack_from(value)[0] != crc32c(body, crc32c(name)):
        raise DamagedError(f"record {_shown(name)}: its crc32c does not match")
    return body


def _shown(name: bytes) -> str:
    return repr(name.decode("ascii", "backslashreplace"))


# --- Lineage ------------------------------------------------------------------------------

STARTS: Final = b"starts"
START_BYTES: Final = 8
COPY_BYTES: Final = 4096
"""Of each copy of `Peers`: a page of its own, in which there is room for all that a cluster has."""

_PEERS: Final = b"peers"
_LENGTH_BYTES: Final = 4


class Peers(msgspec.Struct, frozen=True):
    """What a directory knows of its peers' directories, by node id; `incarnation` is its own."""

    incarnation: str
    known: dict[int, Acquaintance]


def encode_starts(starts: bytes) -> bytes:
    """Value of the record that lists the starts of a directory."""
    return encode_value(STARTS, starts)


def decode_starts(value: bytes | None) -> bytes:
    """The starts of a directory, checked; None stands for a record that is not there."""
    body = _checked(STARTS, value)
    if len(body) % START_BYTES:
        raise DamagedError(f"record 'starts': {len(body)} bytes")
    return body


def encode_peers(peers: Peers) -> bytes:
    """One copy of what is known of peers. Raises `ValueError` if that is more than it holds."""
    packed = msgspec.msgpack.encode(peers)
    body = len(packed).to_bytes(_LENGTH_BYTES, "big") + packed
    copy = encode_value(_PEERS, body.ljust(COPY_BYTES - _CRC_BYTES, b"\0"))
    if len(copy) != COPY_BYTES:
        raise ValueError(f"{len(peers.known)} peers take {len(copy)} bytes")
    return copy


def decode_peers(copy: bytes) -> Peers:
    """What is known of peers, of one copy, checked."""
    body = _checked(_PEERS, copy)
    stop = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    try:
        return msgspec.msgpack.decode(body[_LENGTH_BYTES:stop], type=Peers)
    except msgspec.DecodeError as error:
        raise DamagedError(f"record 'peers': {error}") from None


# --- Tables -------------------------------------------------------------------------------


def encode_value(key: bytes, record: bytes) -> bytes:
    """Value of a key's record; `key` carries its prefix."""
    return _CRC.pack(crc32c(record, crc32c(key))) + record


def decode_value(key: bytes, value: bytes) -> bytes:
    """The record of a key, checked; `key` carries its prefix."""
    record = value[_CRC_BYTES:]
    if len(value) < _CRC_BYTES or _CRC.unpack_from(value)[0] != crc32c(record, crc32c(key)):
        raise DamagedError(f"{_owner(key)}: its crc32c does not match")
    return record


def _owner(key: bytes) -> str:
    """Whose record stands under `key`, which carries its prefix."""
    row = ROW_OF.get(key[:1])
    if row is KEYS:
        return f"record of key {key[1:]!r}"
    if row is SESSIONS:
        return f"record of session {int.from_bytes(key[1:], 'big')}"
    if row is HISTORY:
        return f"record of a change of revision {int.from_bytes(key[1:9], 'big')}"
    return f"record {key.hex()}"
