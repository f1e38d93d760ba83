"""A peer's link to this node: its messages in, and hardly anything out.

Law: a peer that has said hello sends messages of its own, whole and unaltered, or it is hung up
on. It is heard before clients, and is neither counted nor held back by what they cost. It must
not know what a message means.
"""

from __future__ import annotations

import selectors
from typing import Final

from kvstore.errors import ProtocolError
from kvstore.raft.messages import Message
from kvstore.server.context import Context
from kvstore.server.greeting import refuse
from kvstore.server.stream import READ_BYTES, Stream
from kvstore.wire import peer, resp

_READS_OF_PEER: Final = 4
"""In one turn: messages may be long."""


class IncomingLink:
    """The link that one peer has dialled, from its hello on.

    * `_said` leaves at the end of the turn, as all replies do.
    * Once `_is_refused`, what comes is read and forgotten: to hang up on it would reset the
      connection, and take with it what the peer is told.
    """

    comes_first = True
    served = 0
    _stream: Stream

    def __init__(
        self, node_id: int, address: str, context: Context, parser: resp.RequestParser
    ) -> None:
        """`parser` holds what was read behind the hello."""
        self.node_id = node_id
        self._address = address
        self._context = context
        self._parser = parser
        self._said = b""
        self._is_refused = False

    def begin(self, greeting: bytes, stream: Stream) -> None:
        """Take over the stream on which the hello came."""
        self._stream = stream
        stream.give_to(self)
        stream.detect_dead_link()
        self._context.doorkeeper.link(self.node_id, self)
        self._say(greeting)
        self._go_on()

    def on_events(self, mask: int) -> None:
        """The selector says what the socket can do."""
        stream = self._stream
        if not stream.is_open:
            return
        if mask & selectors.EVENT_WRITE:
            stream.flush()
        if mask & selectors.EVENT_READ and stream.is_open:
            self._read()
        self._go_on()

    def _read(self) -> None:
        for _ in range(_READS_OF_PEER):
            data = self._stream.read()
            if not self._is_refused:
                self._parser.feed(data)
            if len(data) < READ_BYTES:
                break

    def _go_on(self) -> None:
        """Take every message that is whole; hang up when all is done."""
        stream = self._stream
        while stream.is_open and not self._is_refused and (message := self._next()):
            self._take(message)
        if not stream.is_open:
            self.close()
        elif self._is_refused or stream.is_at_end:
            self._hang_up_if_done()

    def _next(self) -> Message | None:
        """The next message, None if it is not whole yet, or if there will be none."""
        try:
            args = self._parser.next_command()
            if args is None:
                return None
            message = peer.decode_message(args)
            if message.sender != self.node_id:
                raise ProtocolError(f"a message of node {message.sender} on its link")
        except ProtocolError as error:
            text = f"hung up on node {self.node_id}: {error}"
            self._context.log.warning(text, code="peer_broke_protocol", peer=self.node_id)
            self.close()
            return None
        return message

    def _take(self, message: Message) -> None:
        context = self._context
        replaced = context.acquaintances.reason_to_hang_up(message.sender, message.admitted_at)
        if replaced is None:
            context.node.receive(message)
        else:
            self._say(refuse(context, replaced, self._address, is_final=True))
            self._is_refused = True

    def _say(self, words: bytes) -> None:
        self._said += words
        self._context.dirty[self] = None

    def send_ready_replies(self) -> None:
        """The turn ends: what was said in it may leave."""
        said, self._said = self._said, b""
        self._stream.write(said)
        if self._is_refused or self._stream.is_at_end:
            self._go_on()

    def _hang_up_if_done(self) -> None:
        if not (self._said or self._stream.unsent_bytes):
            self._context.doorkeeper.see_out(self, self._stream)

    def close(self) -> None:
        """Hang up now."""
        self._stream.close()
        self._context.doorkeeper.unlink(self.node_id, self)
