"""What a node and its clients' connections share: a claim to one result, and its redemption.

Law: to the node a ticket is opaque; it gives it back with the result, once.
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


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The result for the client that gave `ticket`."""

    ticket: Ticket
    result: api.Result
