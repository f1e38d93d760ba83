"""Who carries out what a client asks: the one order in which a request is looked at.

Law: a read that a client sends after its own write sees it, though the write is not yet
answered; a write that the node refused in between changes nothing about that. It must not know
sockets or languages, nor when a request may start: its caller decides that.
"""

from __future__ import annotations

from typing import TypeAlias

from kvstore import api
from kvstore.server import refusals
from kvstore.server.asked import Asked
from kvstore.server.node import Node
from kvstore.server.node_status import members_of, status_of
from kvstore.server.ticket import Ticket
from kvstore.server.waiting.writes import EntryName
from kvstore.server.watching.subscriber import Listener, Subscriber

PlainRequest: TypeAlias = (
    api.Command
    | api.Query
    | api.NodeQuery
    | api.HandOver
    | api.CheckReplicas
    | api.Members
    | api.Change
    | api.KeepAlive
)


class Router:
    """One connection's way to the node, for what the order of its requests matters to.

    * `subscriber`: its watches, once it has asked for any. Then it serves nothing else.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        """`listener` hears of what its watches are told; without one it has none."""
        self._last_write: EntryName | None = None
        self._listener = listener
        self.subscriber: Subscriber | None = None

    def dispatch(self, node: Node, asked: Asked, ticket: Ticket) -> None:
        """Refuse what is not meant for this node; answer at once, or hand it to the node.

        A node that does not lead refuses what only a leader may carry out, and says who leads
        (`Node.redirect`). To forward it instead would be a branch here.
        """
        request = asked.request
        if (asked.min_term or asked.cluster_id) and (refusal := _refusal_of(node, asked)):
            ticket.fill(refusal)
        elif isinstance(request, api.WATCHING):
            ticket.fill(self._watch(node, request))
        elif self.subscriber is not None:
            ticket.fill(refusals.WATCHES_ALONE)
        else:
            self._carry_out(node, asked, request, ticket)

    def leave(self, node: Node) -> None:
        """The connection is gone, with its watches."""
        if self.subscriber is not None:
            node.watches.leave(self.subscriber)

    def _watch(self, node: Node, request: api.WatchRequest) -> api.Result:
        if self._listener is None:
            return refusals.NO_WATCHES_HERE
        if self.subscriber is None:
            self.subscriber = node.watches.subscribe(self._listener)
        if isinstance(request, api.CancelWatch):
            return node.watches.cancel(self.subscriber, request.watch)
        if isinstance(request, api.AskProgress):
            return node.watches.progress(self.subscriber)
        if node.raft.log.lacks_base:
            return node.divergence.refusal
        if request.needs_leader and not node.raft.is_led:
            return refusals.NO_LEADER_TO_WATCH
        return node.watches.create(self.subscriber, request)

    def _carry_out(self, node: Node, asked: Asked, request: PlainRequest, ticket: Ticket) -> None:
        if isinstance(request, api.COMMANDS):
            self._last_write = node.submit_command(request, ticket) or self._last_write
        elif isinstance(request, api.QUERIES) and not asked.is_stale:
            node.submit_query(request, ticket, self._last_write, from_any=asked.from_any)
        elif isinstance(request, api.HandOver):
            node.hand_over(request, ticket)
        elif isinstance(request, api.CHANGES):
            node.change_members(request, ticket)
        elif isinstance(request, api.CheckReplicas):
            node.check_replicas(request, ticket)
        elif isinstance(request, api.KeepAlive):
            node.keep_alive(request, ticket)
        elif isinstance(request, api.Members):
            ticket.fill(members_of(node, is_stale=asked.is_stale))
        elif not ticket.takes_over(request):
            ticket.fill(answer_of(node, request))


def answer_of(node: Node, request: api.Query | api.NodeQuery) -> api.Result:
    """What this node has applied by now, or what it says of itself, whoever leads."""
    if isinstance(request, api.Status):
        return status_of(node)
    if isinstance(request, api.FetchBackup):
        return node.backups.fetch(request)
    return node.answer(request)


def _refusal_of(node: Node, asked: Asked) -> api.Failure | None:
    """Why the node must not serve the client, whatever it asks; None if it may."""
    cluster_id, term = node.settings.cluster_id, node.durable_term
    if asked.cluster_id not in ("", cluster_id):
        return refusals.of_another_cluster(cluster_id, asked.cluster_id)
    return refusals.of_an_older_term(term, asked.min_term) if term < asked.min_term else None
