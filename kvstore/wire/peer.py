"""Peer frames: the hello that opens a link, and Raft messages with a checksum.

Law: a frame is whole, unaltered and well-formed, or it is refused with
`ProtocolError`; which node may say what is for the caller to judge. It must not
know sockets.

    RAFT HELLO <msgpack of Hello>          answered by a bulk with the other's Hello
    RAFT <msgpack of Message> <crc32c>     no answer; the crc is 4 bytes, big-endian
"""

from __future__ import annotations

import re
from typing import Final

import crc32c
import hiredis
import msgspec

from kvstore.address import parse_address, quoted
from kvstore.cluster_names import CHARACTERS_MAX
from kvstore.errors import ConfigError, ProtocolError
from kvstore.raft.messages import Message
from kvstore.raft.versions import FIRST_VERSION, SPOKEN, VERSION_MAX, Versions
from kvstore.wire import resp

_FINAL: Final = "FINAL"
"""First word of a refusal that no new attempt of the same directory and program will change."""
_ADDRESS_CHARACTERS_MAX: Final = 300
_INCARNATION: Final = re.compile(r"[0-9a-f]{32}")
_START_BYTES: Final = 8
_HELLO_BYTES_MAX: Final = 16 << 10
_HELLO_BEGINS: Final = resp.command(b"RAFT", b"HELLO", b"").removesuffix(b"$0\r\n\r\n")


class Hello(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Who is speaking, and to whom it believes it speaks.

    It may grow at its end, as messages do: every version reads every other's.
    """

    speaks: Versions = SPOKEN
    cluster_id: str
    node_id: int
    incarnation: str
    starts: bytes
    """8 random bytes for each start of a server on this directory, latest last."""
    admitted_at: int
    """Index of the entry that admitted this directory as its node's; 0 for its first one,
    -1 for one that waits for it."""
    address: str
    """Where the speaker can be reached."""
    configured_at: int
    """Index of the entry with the configuration by which the speaker is a member; 0 for that
    of the founders, -1 if it is none by what it knows."""
    recipient: int = 0
    """0 until the link is known."""
    cluster_version: int = FIRST_VERSION
    """As far as the speaker has applied the log."""
    is_elsewhere: bool = False
    """The configuration has the speaker at another address than that at which it is."""


_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec passes on what the text decoder raises, and how deep it may look."""
_encode = msgspec.msgpack.Encoder().encode
_decode_hello = msgspec.msgpack.Decoder(Hello).decode
_decode_message = msgspec.msgpack.Decoder(Message).decode


def begins_hello(first: bytes) -> bool | None:
    """Whether what came first is a hello; None if it takes more to tell."""
    if first.startswith(_HELLO_BEGINS):
        return True
    return None if _HELLO_BEGINS.startswith(first) else False


def encode_hello(hello: Hello) -> bytes:
    """The frame that opens a link."""
    return resp.command(b"RAFT", b"HELLO", _encode(hello))


def encode_hello_answer(hello: Hello) -> bytes:
    """The acceptor's reply to a hello."""
    return resp.bulk(_encode(hello))


def decode_hello(payload: bytes) -> Hello:
    """A hello or its answer. Raises `ProtocolError`."""
    if len(payload) > _HELLO_BYTES_MAX:
        raise ProtocolError("the peer's hello is too long")
    try:
        hello = _decode_hello(payload)
    except _UNDECODABLE as error:
        raise ProtocolError(f"the peer's hello is malformed: {error}") from None
    if len(hello.cluster_id) > CHARACTERS_MAX:
        raise ProtocolError("the peer's cluster id is too long")
    if not _INCARNATION.fullmatch(hello.incarnation):
        raise ProtocolError("the peer's incarnation is not 32 hex digits")
    if not hello.starts or len(hello.starts) % _START_BYTES:
        raise ProtocolError("the starts of the peer's directory are malformed")
    if hello.admitted_at < -1:
        raise ProtocolError("the peer's admission is malformed")
    if hello.configured_at < -1:
        raise ProtocolError("the peer's configuration is malformed")
    _check_address(hello.address)
    if not 0 < hello.cluster_version <= VERSION_MAX:
        raise ProtocolError("the peer's version of the cluster is malformed")
    return hello


def _check_address(text: str) -> None:
    """What is dialled must be what this program would have been told."""
    try:
        address = str(parse_address(text[:_ADDRESS_CHARACTERS_MAX], default_port=None))
    except ConfigError as error:
        raise ProtocolError(f"the peer's address is malformed: {error}") from None
    if address != text:
        raise ProtocolError(f"the peer's address is malformed: {quoted(text)}")


class HelloAnswer:
    """Reads the reply to a hello, and the error that may end the link after it.

    * hiredis sees bulks and errors only. For other kinds it would make room as soon as
      their size is announced, or call itself as deep as they are nested.
    """

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=ProtocolError, replyError=ProtocolError)
        self._bytes = 0
        self._begins = True
        """The next byte is the first of a reply, and tells its kind."""

    def feed(self, data: bytes) -> Hello | None:
        """The other side's hello, once it is whole. Raises `ProtocolError`, a refusal included."""
        self._bytes += len(data)
        if self._bytes > _HELLO_BYTES_MAX:
            raise ProtocolError("the answer to our hello is too long")
        if not data:
            return None
        if self._begins and data[:1] not in (b"$", b"-"):
            raise ProtocolError("the answer to our hello is no hello")
        self._reader.feed(data)
        reply = self._reader.gets()
        self._begins = reply is not False
        if not self._begins:
            return None
        if isinstance(reply, ProtocolError):
            raise reply
        if reply is None or self._reader.has_data():
            raise ProtocolError("the answer to our hello is no hello")
        return decode_hello(reply)


def check_hello(ours: Hello, theirs: Hello) -> str | None:
    """Why the two may not talk, None if they may.

    Both sides say it, each in its own log, so it names the nodes. Of versions not a word: they
    mean nothing before it is certain that both belong together.
    """
    if theirs.cluster_id != ours.cluster_id:
        return (
            f"node {theirs.node_id} belongs to cluster {theirs.cluster_id}, node {ours.node_id} to "
            f"{ours.cluster_id}; compare their --peers and --cluster"
        )
    if theirs.recipient != ours.node_id:
        return (
            f"node {theirs.node_id} looks for node {theirs.recipient} where node {ours.node_id} is"
        )
    if theirs.node_id != ours.recipient:
        return f"node {theirs.node_id} answers where node {ours.recipient} was expected"
    return None


def check_versions(ours: Hello, theirs: Hello) -> str | None:
    """Why the two cannot understand each other, None if they can."""
    if theirs.speaks.meets(ours.speaks):
        return None
    older, newer = sorted((theirs, ours), key=lambda hello: hello.speaks.newest)
    return (
        f"node {older.node_id} speaks protocol {older.speaks}, node {newer.node_id} "
        f"{newer.speaks}; start node {older.node_id} with a release that speaks "
        f"{newer.speaks.oldest}, or node {newer.node_id} with one that still speaks "
        f"{older.speaks.newest}"
    )


def reason_outdated(one: Hello, other: Hello) -> str | None:
    """Why the first one's program is too old for the cluster, as the second knows it; else None."""
    if one.speaks.newest >= other.cluster_version:
        return None
    return (
        f"the cluster has version {other.cluster_version} of the protocol, and node {one.node_id} "
        f"speaks {one.speaks}: start it with a release that speaks {other.cluster_version}, as "
        f"node {other.node_id} does"
    )


def encode_refusal(complaint: str, *, is_final: bool) -> bytes:
    """The acceptor's reply to a hello that it refuses."""
    return resp.error(f"{_FINAL if is_final else 'ERR refused:'} {complaint}")


def says_final(refusal: str) -> str | None:
    """What the other side holds against us for good; None if that is not why it refused."""
    return refusal.removeprefix(_FINAL).strip() if refusal.startswith(f"{_FINAL} ") else None


def encode_message(message: Message) -> bytes:
    """The frame of one Raft message."""
    payload = _encode(message)
    return resp.command(b"RAFT", payload, crc32c.crc32c(payload).to_bytes(4, "big"))


def decode_message(args: list[bytes]) -> Message:
    """The message of one frame's arguments. Raises `ProtocolError`."""
    if len(args) != 3 or args[0] != b"RAFT":
        raise ProtocolError("a peer may send nothing but RAFT messages")
    payload, checksum = args[1], args[2]
    if crc32c.crc32c(payload).to_bytes(4, "big") != checksum:
        raise ProtocolError("a peer message fails its checksum")
    try:
        message: Message = _decode_message(payload)
    except _UNDECODABLE as error:
        raise ProtocolError(f"a peer message is malformed: {error}") from None
    return message
