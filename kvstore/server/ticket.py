"""What a node and its clients' connections share: a claim to one result, and its redemption.

Law: to the node a ticket is opaque; it gives it back with the result, once, or lets its
owner ask for the result later.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from kvstore import api


class Ticket(Protocol):
    """A client's claim to one result."""

    def fill(self, result: api.Result) -> None:
        """For whoever delivers the answer."""
        ...

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        """A read may be answered from now on: whether its owner will see to that itself.

        It may, by `Node.answer`, at any later time; but a client's read must not see what
        the same client wrote after it.
        """
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The result for the client that gave `ticket`."""

    ticket: Ticket
    result: api.Result
