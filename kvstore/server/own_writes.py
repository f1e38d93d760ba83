"""What a connection's reads must see: the write before them that the node took.

Law: a read that a client sends after its own write sees it, though the write is not yet
answered; a write that the node refused in between changes nothing about that.
"""

from __future__ import annotations

from kvstore import api
from kvstore.server.node import Node
from kvstore.server.ticket import Ticket
from kvstore.server.waiting.writes import EntryName


class OwnWrites:
    """One connection's way to the node, for what the order of its requests matters to."""

    def __init__(self) -> None:
        self._last: EntryName | None = None

    def submit_command(self, node: Node, command: api.Command, ticket: Ticket) -> None:
        """Propose a write."""
        self._last = node.submit_command(command, ticket) or self._last

    def submit_query(
        self, node: Node, query: api.Query, ticket: Ticket, *, from_any: bool = False
    ) -> None:
        """Ask for a read that sees this connection's writes before it."""
        node.submit_query(query, ticket, self._last, from_any=from_any)
