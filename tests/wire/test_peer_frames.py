"""A peer frame arrives as it was sent, or it is refused."""

from __future__ import annotations

from typing import Any

import crc32c
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.raft.messages import (
    INDEX_MAX,
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
)
from kvstore.raft.types import Entry, EntryKind
from kvstore.wire import peer, resp
from kvstore.wire.peer import Hello, HelloAnswer

from .golden import ENVELOPE, MESSAGES

INCARNATION = "0123456789abcdef" * 2


def arguments(frame: bytes) -> list[bytes]:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    parser.feed(frame)
    args = parser.next_command()
    assert args is not None
    assert parser.next_command() is None
    return args


def messages_of(stream: bytes) -> list[Message]:
    """What a node would take from a peer, up to the first refusal."""
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    parser.feed(stream)
    messages: list[Message] = []
    try:
        while (args := parser.next_command()) is not None:
            messages.append(peer.decode_message(args))
    except ProtocolError:
        pass
    return messages


def payload_args(payload: bytes) -> list[bytes]:
    """A frame whose checksum is right, whatever the payload."""
    return [b"RAFT", payload, crc32c.crc32c(payload).to_bytes(4, "big")]


# --- Messages -----------------------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    assert peer.decode_message(arguments(peer.encode_message(message))) == message


def test_a_frame_is_the_payload_and_its_crc32c_in_big_endian() -> None:
    name, payload, checksum = arguments(peer.encode_message(MESSAGES[0]))
    assert name == b"RAFT"
    assert msgspec.msgpack.decode(payload)[0] == "pre_vote"
    assert int.from_bytes(checksum, "big") == crc32c.crc32c(payload)


@given(
    st.lists(st.binary(max_size=300), max_size=20),
    st.integers(0, INDEX_MAX - 100),
    st.integers(1, INDEX_MAX),
)
def test_entries_of_any_bytes_round_trip(data: list[bytes], prev_index: int, term: int) -> None:
    entries = tuple(
        Entry(index, term, EntryKind.COMMAND, item)
        for index, item in enumerate(data, start=prev_index + 1)
    )
    message = AppendEntries(
        cluster_id="c1",
        sender=1,
        recipient=2,
        term=term,
        prev_log_index=prev_index,
        prev_log_term=0,
        entries=entries,
        leader_commit=prev_index,
    )
    assert peer.decode_message(arguments(peer.encode_message(message))) == message


@pytest.mark.parametrize("message", MESSAGES)
def test_every_flipped_bit_of_a_frame_is_refused(message: Message) -> None:
    frame = peer.encode_message(message)
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        # A frame of the same kind follows: the damage must not be healed by what comes next.
        assert messages_of(bytes(flipped) + frame) == [], bit


@pytest.mark.parametrize("message", MESSAGES)
def test_a_truncated_frame_gives_no_message(message: Message) -> None:
    frame = peer.encode_message(message)
    for length in range(len(frame)):
        assert messages_of(frame[:length]) == []


def test_frames_in_a_row_are_told_apart() -> None:
    stream = b"".join(map(peer.encode_message, MESSAGES))
    assert messages_of(stream) == MESSAGES


@pytest.mark.parametrize(
    "args",
    [
        [b"RAFT"],
        [b"RAFT", b"x"],
        [b"RAFT", b"", b"", b""],
        [b"SET", b"k", b"v"],
        [b"raft", *payload_args(msgspec.msgpack.encode(MESSAGES[0]))[1:]],
        [b"RAFT", b"", b"\x00\x00\x00"],
        [b"RAFT", msgspec.msgpack.encode(MESSAGES[0]), b""],
    ],
)
def test_other_arguments_are_refused(args: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        peer.decode_message(args)


def test_a_wrong_checksum_is_named_as_such() -> None:
    args = arguments(peer.encode_message(MESSAGES[0]))
    with pytest.raises(ProtocolError, match="checksum"):
        peer.decode_message([args[0], args[1], bytes(4)])


VOTE: dict[str, Any] = {
    **ENVELOPE,
    "kind": "request_vote",
    "last_log_index": 9,
    "last_log_term": 3,
}
APPEND: dict[str, Any] = {
    **ENVELOPE,
    "kind": "append_entries",
    "prev_log_index": 7,
    "prev_log_term": 3,
    "entries": [[8, 3, 1, b"x"]],
    "leader_commit": 7,
    "read_round": 5,
}
REPLY: dict[str, Any] = {
    **ENVELOPE,
    "kind": "append_entries_reply",
    "success": False,
    "prev_log_index": 7,
    "match_index": 0,
    "conflict_term": 3,
    "conflict_index": 5,
    "read_round": 5,
    "has_room": True,
    "has_headroom": True,
    "rejoining": "",
    "needs_snapshot": 0,
}
ORDER = {
    "request_vote": RequestVote.__struct_fields__,
    "append_entries": AppendEntries.__struct_fields__,
    "append_entries_reply": AppendEntriesReply.__struct_fields__,
}


def hand_made(fields: dict[str, Any]) -> list[Any]:
    """A message as it travels, not checked by the class."""
    return [fields["kind"], *(fields[name] for name in ORDER[fields["kind"]])]


def test_the_hand_made_messages_are_sound_before_they_are_spoilt() -> None:
    for fields in (VOTE, APPEND, REPLY):
        peer.decode_message(payload_args(msgspec.msgpack.encode(hand_made(fields))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "request_vote",
        ["request_vote"],
        ["no_such_message", *hand_made(VOTE)[1:]],
        hand_made(VOTE)[:-2],
        hand_made({**VOTE, "term": 0}),
        hand_made({**VOTE, "term": -1}),
        hand_made({**VOTE, "term": 1 << 63}),
        hand_made({**VOTE, "term": "4"}),
        hand_made({**VOTE, "term": 4.5}),
        hand_made({**VOTE, "cluster_id": 1}),
        hand_made({**VOTE, "admitted_at": -2}),
        hand_made({**VOTE, "admitted_at": 1 << 63}),
        hand_made({**VOTE, "last_log_index": -1}),
        hand_made({**VOTE, "last_log_index": 1 << 63}),
        hand_made({**VOTE, "last_log_term": -1}),
        hand_made({**VOTE, "last_log_term": 5}),
        hand_made({**VOTE, "last_log_term": 4}),
        hand_made({**VOTE, "last_log_term": 0}),
        hand_made({**VOTE, "last_log_index": 0}),
        hand_made({**APPEND, "prev_log_index": 6}),
        hand_made({**APPEND, "prev_log_index": -1}),
        hand_made({**APPEND, "prev_log_term": 5}),
        hand_made({**APPEND, "leader_commit": -1}),
        hand_made({**APPEND, "leader_commit": 1 << 63}),
        hand_made({**APPEND, "read_round": -1}),
        hand_made({**APPEND, "read_round": 1 << 63}),
        hand_made({**APPEND, "read_round": "5"}),
        hand_made({**APPEND, "entries": [[8, 5, 1, b"x"]]}),
        hand_made({**APPEND, "entries": [[8, 3, 1, b"x"], [8, 3, 1, b"x"]]}),
        hand_made({**APPEND, "entries": [[8, 3, 1, b"x"], [10, 3, 1, b"x"]]}),
        hand_made({**APPEND, "entries": [[8, 4, 1, b"x"], [9, 3, 1, b"x"]]}),
        hand_made({**APPEND, "entries": [[8, 3, 9, b"x"]]}),
        hand_made({**APPEND, "entries": [[8, 3, 1, b"x", 0]]}),
        hand_made({**APPEND, "entries": [[8, 3, 1, "x", 0]]}),
        hand_made({**APPEND, "entries": [[8, 3, 2, b"x"]]}),
        hand_made({**REPLY, "rejoining": "ab"}),
        hand_made({**REPLY, "admitted_at": -1}),
        hand_made({**REPLY, "admitted_at": -1, "rejoining": "a" * 33}),
        hand_made({**REPLY, "prev_log_index": -1}),
        hand_made({**REPLY, "match_index": -1}),
        hand_made({**REPLY, "match_index": 1 << 63}),
        hand_made({**REPLY, "conflict_index": -1}),
        hand_made({**REPLY, "conflict_index": 1 << 63}),
        hand_made({**REPLY, "conflict_term": -1}),
        hand_made({**REPLY, "conflict_term": 5}),
        hand_made({**REPLY, "read_round": -1}),
        hand_made({**REPLY, "read_round": 1 << 63}),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        peer.decode_message(payload_args(msgspec.msgpack.encode(value)))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x97\xacrequest_vote\x09\x03\xa1\xff\x01\x02\x04",
        b"\x97\xa1\xff\xa1c\x01\x02\x04\x09\x03",
        b"\xdd\xff\xff\xff\xff",
        b"\x99\xaeappend_entries\x07\x03\xdd\xff\xff\xff\xff",
        b"\x91" * 5_000,
    ],
)
def test_bytes_that_are_no_message_are_refused_with_a_right_checksum(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        peer.decode_message(payload_args(payload))


@given(st.binary(max_size=100))
def test_garbage_is_refused_and_raises_nothing_else(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        peer.decode_message(payload_args(payload))


# --- Hello --------------------------------------------------------------------------------


def hello(**changes: Any) -> Hello:
    fields: dict[str, Any] = {
        "cluster_id": "c1",
        "node_id": 1,
        "recipient": 2,
        "incarnation": INCARNATION,
        "starts": b"startone",
        "admitted_at": 7,
        "address": "node-1.example:9001",
        "configured_at": 7,
    }
    return Hello(**{**fields, **changes})


def test_a_hello_comes_back_as_it_was() -> None:
    name, word, payload = arguments(peer.encode_hello(hello()))
    assert (name, word) == (b"RAFT", b"HELLO")
    assert peer.decode_hello(payload) == hello()


def test_nodes_that_expect_each_other_may_talk() -> None:
    assert peer.check_hello(hello(), hello(node_id=2, recipient=1)) is None


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (
            hello(node_id=2, recipient=1, cluster_id="other"),
            "node 2 belongs to cluster other, node 1 to ",
        ),
        (hello(node_id=2, recipient=3), "node 2 looks for node 3 where node 1 is"),
        (hello(node_id=7, recipient=1), "node 7"),
    ],
)
def test_a_stranger_is_told_what_does_not_fit(theirs: Hello, words: str) -> None:
    complaint = peer.check_hello(hello(), theirs)
    assert complaint is not None
    assert words in complaint


@pytest.mark.parametrize(
    "unsound",
    [
        hello(incarnation=""),
        hello(incarnation=INCARNATION[:-1]),
        hello(incarnation=INCARNATION + "0"),
        hello(incarnation=INCARNATION[:-1] + "g"),
        hello(incarnation=INCARNATION + "\n"),
        hello(incarnation=INCARNATION.upper()),
        hello(starts=b""),
        hello(starts=b"x" * 9),
        hello(admitted_at=-2),
        hello(configured_at=-2),
        hello(address=""),
        hello(address="9001"),
        hello(address="h"),
        hello(address="H:9001"),
        hello(address="h:9001 "),
        hello(address="h:0"),
        hello(address="h:70000"),
        hello(address="0.0.0.0:9001"),
        hello(address="a..b:9001"),
        hello(address="h:9001,h:9002"),
        hello(address="h" * 300 + ":9001"),
        hello(cluster_id="c" * 65),
        hello(cluster_id="c" * 100_000),
    ],
)
def test_an_unsound_hello_is_refused(unsound: Hello) -> None:
    payload = arguments(peer.encode_hello(unsound))[2]
    with pytest.raises(ProtocolError):
        peer.decode_hello(payload)


def test_an_answer_that_has_no_python_value_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no hello"):
        HelloAnswer().feed(b"%1\r\n*0\r\n+a\r\n")


HUGE_ARRAY = b"*100000000\r\n"


def test_an_answer_that_announces_a_huge_array_is_refused_before_there_is_room_for_it() -> None:
    """hiredis would make that room at once: seconds in which the node leads nobody."""
    with pytest.raises(ProtocolError, match="no hello"):
        HelloAnswer().feed(HUGE_ARRAY)


def test_after_a_hello_too_no_huge_array_is_announced() -> None:
    answer = peer.encode_hello_answer(hello())
    reader = HelloAnswer()
    assert reader.feed(answer) == hello()
    with pytest.raises(ProtocolError, match="no hello"):
        reader.feed(HUGE_ARRAY)
    with pytest.raises(ProtocolError, match="no hello"):
        HelloAnswer().feed(answer + HUGE_ARRAY)


def test_the_reason_of_a_peer_that_ends_a_link_is_passed_on() -> None:
    """It has said hello, and then finds fault with a frame."""
    reader = HelloAnswer()
    assert reader.feed(peer.encode_hello_answer(hello())) == hello()
    assert reader.feed(b"") is None
    assert reader.feed(b"-") is None
    with pytest.raises(ProtocolError, match="Protocol error"):
        reader.feed(b"ERR Protocol error: invalid bulk length\r\n")


def test_a_hello_may_grow_fields_but_not_without_end() -> None:
    fields = list(msgspec.structs.astuple(hello()))
    assert peer.decode_hello(msgspec.msgpack.encode([*fields, b"new"])) == hello()
    with pytest.raises(ProtocolError, match="too long"):
        peer.decode_hello(msgspec.msgpack.encode([*fields, bytes(16_384)]))


@given(st.binary(max_size=80))
def test_garbage_is_no_hello(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        peer.decode_hello(payload)


def test_a_hello_that_is_not_utf8_is_refused() -> None:
    payload = arguments(peer.encode_hello(hello(cluster_id="@@")))[2]
    with pytest.raises(ProtocolError):
        peer.decode_hello(payload.replace(b"@@", b"\xff\xff"))


def test_the_answer_to_a_hello_is_read_however_it_is_cut() -> None:
    answer = peer.encode_hello_answer(hello(node_id=2, recipient=1))
    for at in range(len(answer)):
        reader = peer.HelloAnswer()
        assert reader.feed(answer[:at]) is None
        assert reader.feed(answer[at:]) == hello(node_id=2, recipient=1)


@pytest.mark.parametrize(
    "answer",
    [b"-ERR this is node 3\r\n", b":1\r\n", b"$-1\r\n", b"$1\r\nx\r\n", b"HTTP/1.1 400\r\n",
     b"$999999999\r\n" + bytes(20_000), b"*1\r\n:1\r\n"],
)  # fmt: skip
def test_an_answer_that_is_no_hello_is_refused(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        peer.HelloAnswer().feed(answer)


def test_the_reason_of_a_refused_hello_is_passed_on() -> None:
    with pytest.raises(ProtocolError, match="this is node 3"):
        peer.HelloAnswer().feed(resp.error("ERR this is node 3"))
