"""The typed command: `KV <msgpack of a Call>`, answered by a bulk with a Reply.

Law: what comes out of `decode_call` is within every limit; failures travel as
results, so that a typed client never parses error texts. It must not know sockets.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.wire import resp
from kvstore.wire.limits import check_call

_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec passes on what the text decoder raises, and how deep it may look."""
_encode = msgspec.msgpack.Encoder().encode
_decode_call = msgspec.msgpack.Decoder(api.Call).decode
_decode_reply = msgspec.msgpack.Decoder(api.Reply).decode


def encode_call(call: api.Call) -> bytes:
    """The frame of one request."""
    return resp.command(b"KV", _encode(call))


def decode_call(payload: bytes, limits: Limits) -> api.Call | api.Failure:
    """The call, or why it is refused."""
    try:
        call: api.Call = _decode_call(payload)
    except _UNDECODABLE as error:
        return api.Failure(api.FailureCode.INVALID, f"malformed request: {error}")
    return check_call(call, limits) or call


def encode_reply(reply: api.Reply) -> bytes:
    """The reply to a typed request; the same in every RESP version."""
    return resp.bulk(_encode(reply))


def decode_reply(payload: bytes) -> api.Reply:
    """The reply. Raises `ProtocolError`."""
    try:
        reply: api.Reply = _decode_reply(payload)
    except _UNDECODABLE as error:
        raise ProtocolError(f"the node's reply is malformed: {error}") from None
    return reply
