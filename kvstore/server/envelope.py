"""What goes around typed requests and results: for whom they are, and how far the node is.

Law: a client is told of no term that is not on this node's disk. It must not know sockets, nor
how either is written.
"""

from __future__ import annotations

from kvstore import api
from kvstore.server import refusals
from kvstore.server.node import Node


def refusal_of(node: Node, call: api.Call) -> api.Failure | None:
    """Why the node must not serve the call, whatever it asks; None if it may."""
    return refusals.of_call(call, node.settings.cluster_id, node.raft.current_term)


def reply_of(node: Node, result: api.Result) -> api.Reply:
    """A result with what a typed client is told beside it."""
    return api.Reply(
        node.settings.cluster_id, node.raft.id, node.durable_term, node.machine.revision, result
    )
