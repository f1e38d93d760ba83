"""The typed command: `KV <msgpack of a Call>`, answered by a bulk with a Reply.

Law: what comes out of `decode_call` is within every limit; failures travel as
results, so that a typed client never parses error texts. It must not know sockets.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.wire import resp

_CLUSTER_ID_CHARACTERS_MAX: Final = 64
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
    complaint = _complaint_about(call, limits)
    return api.Failure(api.FailureCode.INVALID, complaint) if complaint else call


def _complaint_about(call: api.Call, limits: Limits) -> str | None:
    """Why the call is refused, None if it is within every limit."""
    if not 0 <= call.min_term <= api.REVISION_MAX:
        return f"the lowest term must be 0 to {api.REVISION_MAX}, not {call.min_term}"
    if len(call.cluster_id) > _CLUSTER_ID_CHARACTERS_MAX:
        return f"a cluster's name has at most {_CLUSTER_ID_CHARACTERS_MAX} characters"
    return api.complaint_about(call.request, limits)


def encode_reply(reply: api.Reply) -> bytes:
    """The reply to a typed request; the same in every RESP version."""
    return resp.bulk(_encode(reply))


def encode_events(events: tuple[api.Event, ...]) -> bytes:
    """What a reply has where it says what happened, to be put there many times."""
    return _encode(events)


def decode_reply(payload: bytes) -> api.Reply:
    """The reply. Raises `ProtocolError`."""
    try:
        reply: api.Reply = _decode_reply(payload)
    except _UNDECODABLE as error:
        raise ProtocolError(f"the node's reply is malformed: {error}") from None
    return reply
