"""What a server says to a connection that claims to be a peer's.

Law: who is not a node of this cluster, or comes with another directory than was seen
last, is refused with a reason; what was seen of the others is durable before anything
that they say counts. It must not know sockets.
"""

from __future__ import annotations

import msgspec

from kvstore.server.context import Context
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
    if complaint is None and theirs.node_id not in context.roster.peers:
        complaint = f"node {theirs.node_id} is not a peer of node {ours.node_id}"
    if complaint is None:
        complaint = final = context.acquaintances.reason_to_refuse(theirs)
    if final is not None:
        context.refused[theirs.node_id] = final
    if complaint is None:
        context.acquaintances.check_own_version(theirs)
        complaint = peer.check_versions(ours, theirs)
    if complaint is not None:
        return Greeting(refuse(context, complaint, address, is_final=final is not None))
    context.refused.pop(theirs.node_id, None)
    context.acquaintances.remember(theirs)
    return Greeting(peer.encode_hello_answer(ours), theirs.node_id)


def refuse(context: Context, complaint: str, address: str, *, is_final: bool) -> bytes:
    """Tell a peer why it is not heard, or no longer; `is_final` ends it."""
    context.log.warning(f"refused a peer: {complaint}", code="peer_refused", address=address)
    return peer.encode_refusal(complaint, is_final=is_final)
