"""The typed command: `KV <msgpack of a request>`, answered by a bulk with a result.

Law: what comes out of `decode_request` is within every limit; failures travel as
results, so that a typed client never parses error texts. It must not know sockets.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.config import Limits
from kvstore.errors import ProtocolError
from kvstore.wire import resp
from kvstore.wire.limits import check_request

_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec passes on what the text decoder raises, and how deep it may look."""
_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(api.Request).decode
_decode_result = msgspec.msgpack.Decoder(api.Result).decode


def encode_request(request: api.Request) -> bytes:
    """The frame of one request."""
    return resp.command(b"KV", _encode(request))


def decode_request(payload: bytes, limits: Limits) -> api.Request | api.Failure:
    """The request, or why it is refused."""
    try:
        request: api.Request = _decode_request(payload)
    except _UNDECODABLE as error:
        return api.Failure(api.FailureCode.INVALID, f"malformed request: {error}")
    return check_request(request, limits) or request


def encode_result(result: api.Result) -> bytes:
    """The reply to a typed request; the same in every RESP version."""
    return resp.bulk(_encode(result))


def decode_result(payload: bytes) -> api.Result:
    """The result in a reply. Raises `ProtocolError`."""
    try:
        result: api.Result = _decode_result(payload)
    except _UNDECODABLE as error:
        raise ProtocolError(f"the node's reply is malformed: {error}") from None
    return result
