"""What a peer of another version says is understood as far as this one can, and no further.

The golden frames (`golden.py`) are those of version 2: whatever comes later must read them, and be
read where it says no more.
"""

from __future__ import annotations

from typing import Any, get_args

import crc32c
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import ProtocolError
from kvstore.raft.messages import Message, TimeoutNow
from kvstore.wire import peer

from .golden import ENVELOPE, GOLDEN, MESSAGES


def framed(value: object) -> list[bytes]:
    """A frame's arguments, the checksum right, whatever it holds."""
    payload = msgspec.msgpack.encode(value)
    return [b"RAFT", payload, crc32c.crc32c(payload).to_bytes(4, "big")]


def fields_of(message: Message) -> list[Any]:
    """A message as it travels."""
    fields: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(message))
    return fields


def test_there_is_a_golden_frame_of_every_kind() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


@pytest.mark.parametrize(("message", "golden"), GOLDEN)
def test_a_golden_frame_is_read_and_is_what_is_written(message: Message, golden: str) -> None:
    fields = msgspec.msgpack.decode(bytes.fromhex(golden))
    assert peer.decode_message(framed(fields)) == message
    assert fields_of(message)[: len(fields)] == fields


def test_the_envelope_never_grows_as_the_fields_of_each_kind_stand_behind_it() -> None:
    names = tuple(ENVELOPE)
    for message in MESSAGES:
        assert message.__struct_fields__[: len(names)] == names
    assert TimeoutNow.__struct_fields__ == names


@pytest.mark.parametrize("message", MESSAGES)
def test_fields_that_an_older_node_leaves_out_have_their_defaults(message: Message) -> None:
    fields = fields_of(message)
    names = message.__struct_fields__
    required = sum(
        field.default is msgspec.NODEFAULT for field in msgspec.structs.fields(type(message))
    )
    # `admitted_at` has a default, and what stands behind it need not.
    required = max(required + 1, len(ENVELOPE)) if len(names) > len(ENVELOPE) else required
    for count in range(required, len(names) + 1):
        read = peer.decode_message(framed(fields[: 1 + count]))
        expected = {name: getattr(message, name) for name in names[:count]}
        assert read == type(message)(**expected)
    with pytest.raises(ProtocolError):
        peer.decode_message(framed(fields[:required]))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(MESSAGES), st.lists(ANYTHING, min_size=1, max_size=4))
def test_fields_of_a_newer_node_are_ignored(message: Message, more: list[object]) -> None:
    assert peer.decode_message(framed([*fields_of(message), *more])) == message


@given(st.sampled_from(MESSAGES), st.binary(min_size=1, max_size=60))
def test_what_follows_a_message_must_be_fields_of_it(message: Message, more: bytes) -> None:
    """Bytes behind the array are no field: that payload is not what a peer wrote."""
    payload = msgspec.msgpack.encode(message) + more
    with pytest.raises(ProtocolError):
        peer.decode_message([b"RAFT", payload, crc32c.crc32c(payload).to_bytes(4, "big")])


def test_what_is_ignored_is_under_the_checksum_all_the_same() -> None:
    args = framed([*fields_of(MESSAGES[0]), "more"])
    spoilt = args[1].replace(b"more", b"mode")
    with pytest.raises(ProtocolError, match="checksum"):
        peer.decode_message([args[0], spoilt, args[2]])


def test_a_field_that_is_nested_without_end_is_refused() -> None:
    fields = fields_of(MESSAGES[0])
    payload = msgspec.msgpack.encode([*fields, None])[:-1] + b"\x91" * 5_000 + b"\xc0"
    with pytest.raises(ProtocolError):
        peer.decode_message([b"RAFT", payload, crc32c.crc32c(payload).to_bytes(4, "big")])


@pytest.mark.parametrize(
    "entries", [[[8, 3, 1, b"x", 0]], [[8, 3, 9, b"x"]], [[8, 3, 1]], [[8, 3, 1, b"x"], []]]
)
def test_of_an_entry_nothing_is_ignored_and_nothing_made_up(entries: list[object]) -> None:
    """It rests in logs, and its checksum covers each field."""
    fields = [*fields_of(MESSAGES[4])]
    fields[8] = entries
    with pytest.raises(ProtocolError):
        peer.decode_message(framed(fields))


def test_a_kind_that_this_version_does_not_know_is_refused() -> None:
    with pytest.raises(ProtocolError):
        peer.decode_message(framed(["bring_tea", *fields_of(MESSAGES[0])[1:]]))
