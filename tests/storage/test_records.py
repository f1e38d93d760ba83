"""Bytes on the disk: what was written comes back, and what was changed is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import DamagedError, DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.types import Entry, EntryKind, HardState
from kvstore.storage import records
from kvstore.storage.base import Identity
from storage.samples import IDENTITY

U64 = st.integers(0, (1 << 64) - 1)
ENTRIES = st.builds(Entry, U64, U64, st.sampled_from(EntryKind), st.binary(max_size=40))


def flips(value: bytes) -> list[bytes]:
    """Every value that differs from this one in a single bit."""
    number = int.from_bytes(value, "big")
    return [(number ^ (1 << bit)).to_bytes(len(value), "big") for bit in range(len(value) * 8)]


@given(ENTRIES)
def test_an_entry_comes_back_as_it_was_written(entry):
    assert records.decode_entry(*records.encode_entry(entry)) == entry


@given(U64, U64)
def test_log_keys_sort_as_their_indexes_do(one, two):
    assert (records.log_key(one) < records.log_key(two)) == (one < two)


def test_the_bytes_of_a_log_record_do_not_change_between_releases():
    key, value = records.encode_entry(Entry(1, 2, EntryKind.COMMAND, b"data"))
    assert key.hex() == "0000000000000001"
    assert value.hex() == "9f7fccae" + "0000000000000002" + "01" + b"data".hex()


def test_every_flipped_bit_of_a_log_record_is_noticed():
    key, value = records.encode_entry(Entry(7, 3, EntryKind.COMMAND, b"some data"))
    for damaged in flips(value):
        with pytest.raises(DamagedError, match="log record 7"):
            records.decode_entry(key, damaged)
    for damaged in flips(key):
        with pytest.raises(DamagedError):
            records.decode_entry(damaged, value)


def test_every_shortened_log_record_is_noticed():
    key, value = records.encode_entry(Entry(7, 3, EntryKind.COMMAND, b"some data"))
    for size in range(len(value)):
        with pytest.raises(DamagedError):
            records.decode_entry(key, value[:size])
    for size in range(len(key)):
        with pytest.raises(DamagedError):
            records.decode_entry(key[:size], value)


def test_an_entry_of_unknown_kind_is_refused():
    key, value = records.encode_entry(Entry(7, 3, 9, b""))  # type: ignore[arg-type]
    with pytest.raises(DirectoryRefusedError, match=r"not know \(9\): use the kvstore release"):
        records.decode_entry(key, value)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (records.HARD_STATE, HardState(3, None)),
        (records.HARD_STATE, HardState((1 << 63) - 1, 2)),
        (records.IDENTITY, IDENTITY),
        (records.APPLIED, Applied(5, 6)),
    ],
)
def test_a_named_record_comes_back_and_every_change_is_noticed(name, record):
    value = records.encode_named(name, record)
    assert records.decode_named(name, value, type(record)) == record
    for damaged in [*flips(value), *(value[:size] for size in range(len(value))), None]:
        with pytest.raises(DamagedError, match=name.decode()):
            records.decode_named(name, damaged, type(record))


def test_a_record_under_another_name_is_refused():
    value = records.encode_named(records.APPLIED, HardState(1, 1))
    with pytest.raises(DamagedError, match="crc32c"):
        records.decode_named(records.HARD_STATE, value, HardState)


def test_a_sound_record_of_another_shape_is_refused():
    value = records.encode_named(records.IDENTITY, HardState(1, 1))
    with pytest.raises(DamagedError, match="identity"):
        records.decode_named(records.IDENTITY, value, Identity)


def test_a_commit_record_names_its_transaction_and_every_change_is_noticed():
    value = records.encode_commit(77)
    assert records.decode_commit(value) == 77
    for damaged in [*flips(value), *(value[:size] for size in range(len(value))), None]:
        with pytest.raises(DamagedError, match="commit"):
            records.decode_commit(damaged)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_record_of_the_key_space_comes_back(key, record):
    assert records.decode_value(key, records.encode_value(key, record)) == record


def test_every_flipped_bit_of_a_record_of_the_key_space_is_noticed():
    key, record = b"k" + b"some key", b"some record"
    value = records.encode_value(key, record)
    for damaged in flips(value):
        with pytest.raises(DamagedError, match="some key"):
            records.decode_value(key, damaged)
    for other in flips(key):
        with pytest.raises(DamagedError):
            records.decode_value(other, value)
