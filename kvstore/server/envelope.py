"""What goes around typed results: who answers, and how far that node is.

Law: a client is told of no term that is not on this node's disk. It must not know sockets, nor
how it is written.
"""

from __future__ import annotations

from kvstore import api
from kvstore.server.node import Node


def reply_of(node: Node, result: api.Result) -> api.Reply:
    """A result with what a typed client is told beside it."""
    return api.Reply(
        node.settings.cluster_id,
        node.raft.id,
        node.durable_term,
        node.machine.revision,
        result,
        node.roster.committed_at,
    )
