"""Who a client is, and what it has said of itself: the state of its conversation.

Law: plain state. It must not know sockets, nor who else is connected.
"""

from __future__ import annotations


class ClientState:
    """What HELLO, CLIENT, READONLY and MULTI have set, and what the next requests go by.

    * `follows_moved`: it has said which library it is, or asked for the nodes: MOVED tells it
      who leads.
    * `refuses_transaction`: a MULTI was refused, so what comes before its EXEC must not be
      carried out.
    * `has_quit`: it wants to be hung up on.
    * `steps`: what its commands cost beside their arguments and replies, until somebody books it.
    """

    __slots__ = (
        *("address", "follows_moved", "has_quit", "library", "name", "number", "reads_stale"),
        *("refuses_transaction", "resp_version", "steps"),
    )

    def __init__(self, number: int, address: str) -> None:
        self.number = number
        self.address = address
        self.name = b""
        self.library: dict[str, str] = {}
        """What it says of its library, by CLIENT SETINFO."""
        self.follows_moved = False
        self.resp_version = 2
        self.reads_stale = False
        self.refuses_transaction = False
        self.has_quit = False
        self.steps = 0
