"""A non-blocking TCP connection with a bounded output buffer.

Law: no call blocks, and a closed connection stays closed: writing to it is
silently lost, as a network may lose it. It must not know protocols or peers.
"""

from __future__ import annotations

import selectors
import socket
from typing import Final, Protocol

_SCRATCH: Final = memoryview(bytearray(256 << 10))
"""Where every read lands first: a fresh buffer of this size each time would cost more."""
_WRITE_BYTES: Final = 1 << 20
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    # In ms: TCP alone would go on for minutes, with ever longer pauses after the link is back.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3_000),
)


class Owner(Protocol):
    """Whom the selector calls for a socket."""

    @property
    def comes_first(self) -> bool:
        """Whether it is heard before those of whom this is false."""
        ...

    def on_events(self, mask: int) -> None:
        """The socket can be read or written; the owner may close it."""
        ...


class Connection:
    """One socket in the selector, connected or connecting.

    * While open, it is registered for reads unless `pause_reading` or the end of
      the stream stopped them, and for writes while output waits.
    """

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        owner: Owner,
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._selector = selector
        self._owner = owner
        self._output = bytearray()
        self._mask = 0
        self._wants_reads = True
        self.is_open = True
        self.is_at_end = False
        """The other side will send nothing more, or the connection is closed."""
        self.failure = "connection closed"
        """Why it closed, in words."""
        self._watch()

    def detect_dead_link(self) -> None:
        """Notice within seconds that the other side is gone, also when nothing is sent."""
        for level, option, value in _KEEPALIVE:
            self._sock.setsockopt(level, option, value)

    def read(self) -> bytes:
        """What has arrived; empty if nothing has, or (see `is_at_end`) nothing will."""
        try:
            size = self._sock.recv_into(_SCRATCH)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._fail(error)
            return b""
        if not size:
            self.is_at_end = True
            self._watch()
        return bytes(_SCRATCH[:size])

    def write(self, data: bytes) -> None:
        """Send now what the socket takes, and keep the rest for later."""
        if not self.is_open:
            return
        rest = memoryview(data)
        if not self._output:
            rest = rest[self._send(rest) :]
        if rest and self.is_open:
            self._output += rest
            self._watch()

    def flush(self) -> None:
        """The socket takes bytes again."""
        with memoryview(self._output) as waiting:
            sent = self._send(waiting[:_WRITE_BYTES])
        del self._output[:sent]
        self._watch()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the socket has not taken yet."""
        return len(self._output)

    def pause_reading(self, paused: bool) -> None:
        """Leave bytes unread: they fill the sender's window, and that slows the sender."""
        self._wants_reads = not paused
        self._watch()

    def close(self) -> None:
        """Let go of the socket; unsent output is lost."""
        if not self.is_open:
            return
        self.is_open = False
        self.is_at_end = True
        self._watch()
        self._sock.close()
        self._output = bytearray()

    def _send(self, data: memoryview) -> int:
        """How many bytes the socket took; a broken connection takes, and loses, none."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(error)
            return 0

    def _fail(self, error: OSError) -> None:
        self.failure = error.strerror or str(error)
        self.close()

    def _watch(self) -> None:
        """Tell the selector what is wanted now; a socket that wants nothing leaves it."""
        mask = 0
        if self.is_open:
            reads = self._wants_reads and not self.is_at_end
            mask = (selectors.EVENT_READ if reads else 0) | (
                selectors.EVENT_WRITE if self._output else 0
            )
        if mask == self._mask:
            return
        if not mask:
            self._selector.unregister(self._sock)
        elif not self._mask:
            self._selector.register(self._sock, mask, self._owner)
        else:
            self._selector.modify(self._sock, mask, self._owner)
        self._mask = mask
