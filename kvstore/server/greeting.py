"""What a server says to a connection that claims to be a peer's.

Law: who is not a node of this cluster, or comes with another directory than was seen
last, is refused with a reason; what was seen of the others is durable before anything
that they say counts. It must not know sockets.
"""

from __future__ import annotations

import msgspec

from kvstore.address import parse_address
from kvstore.server.context import Context
from kvstore.server.replaced import removed
from kvstore.wire import peer


class Greeting(msgspec.Struct, frozen=True):
    """The answer to a hello; the node whose link this is from now on, None if refused."""

    reply: bytes
    node_id: int | None = None


def greet(context: Context, hello: bytes, address: str) -> Greeting:
    """Answer RAFT HELLO.

    Raises `ProtocolError` for what is none, `DiskWriteError`, and `DirectoryRefusedError` if it
    shows that this node's own program is too old for its cluster.
    """
    theirs = peer.decode_hello(hello)
    ours = context.acquaintances.hello_to(theirs.node_id)
    complaint = peer.check_hello(ours, theirs)
    final = None
    if complaint is None:
        complaint = final = context.acquaintances.reason_to_refuse(theirs)
    if complaint is None and (
        index := context.roster.removed_at(theirs.node_id, theirs.configured_at)
    ):
        complaint = final = removed(theirs.node_id, index)
    if complaint is None and not context.roster.believes(theirs.node_id, theirs.configured_at):
        complaint = (
            f"node {theirs.node_id} is no member of the cluster, as node {ours.node_id} knows it: "
            f"`kvstore member add {theirs.node_id} {theirs.address}` makes it one"
        )
    if final is not None:
        context.refused[theirs.node_id] = final
    if complaint is None:
        context.acquaintances.check_own_version(theirs)
        complaint = peer.check_versions(ours, theirs)
    if complaint is not None:
        return Greeting(refuse(context, complaint, address, is_final=final is not None))
    context.refused.pop(theirs.node_id, None)
    at = parse_address(theirs.address)
    context.roster.meet(theirs.node_id, at, theirs.configured_at, is_elsewhere=theirs.is_elsewhere)
    context.acquaintances.remember(theirs)
    return Greeting(peer.encode_hello_answer(ours), theirs.node_id)


def refuse(context: Context, complaint: str, address: str, *, is_final: bool) -> bytes:
    """Tell a peer why it is not heard, or no longer; `is_final` ends it."""
    if context.complaints.is_due(complaint, context.now_ms):
        context.log.warning(f"refused a peer: {complaint}", code="peer_refused", address=address)
    return peer.encode_refusal(complaint, is_final=is_final)
