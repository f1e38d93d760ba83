"""What a peer says first: a hello, and from then on messages, which go to its link.

Law: a hello is the first that comes on a connection, or it is none: behind other requests,
messages could be taken in the middle of a turn. It must not know what a message means.
"""

from __future__ import annotations

from functools import partial

from kvstore import api
from kvstore.errors import ProtocolError
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Said, Upgrade
from kvstore.server.context import Context
from kvstore.server.greeting import greet
from kvstore.server.incoming_link import IncomingLink
from kvstore.wire import commands, resp


class PeerCodec:
    """One hello, and what was read behind it."""

    under_way = "a hello"

    def __init__(self, state: ClientState, context: Context) -> None:
        self._address = state.address
        self._context = context
        self._parser = resp.RequestParser(resp.Bounds.of_client(context.settings.limits))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return self._parser.is_empty

    @property
    def held_bytes(self) -> int:
        """The memory that is taken by what was fed and has not been returned."""
        return self._parser.held_bytes

    @property
    def is_in_request(self) -> bool:
        """Whether the hello has begun and is not whole."""
        return self._parser.is_in_request

    def feed(self, data: bytes, *, is_thrifty: bool) -> None:
        """Take bytes as they arrived."""
        self._parser.feed(data, is_thrifty=is_thrifty)

    def give_up(self, failure: api.Failure) -> bytes:
        """Forget what is held; what the peer is told instead."""
        self._parser = resp.RequestParser(self._parser.bounds)
        return commands.render_failure(failure)

    def next(self) -> Said | Upgrade | None:
        """Answer the hello of a node of our cluster; from then on it sends only messages."""
        context = self._context
        try:
            if (args := self._parser.next_command()) is None:
                return None
            greeting = greet(context, args[2], self._address)
        except ProtocolError as error:
            return Said(resp.error(f"ERR {error}"), is_last=True)
        if greeting.node_id is None:
            return Said(greeting.reply, is_last=True)
        self._parser.bounds = resp.Bounds.of_peer(context.settings.limits)
        link = IncomingLink(greeting.node_id, self._address, context, self._parser)
        return Upgrade(partial(link.begin, greeting.reply))
