"""The bytes of one TCP connection, both ways, without blocking.

Law: no call blocks, and a closed stream stays closed: writing to it is
silently lost, as a network may lose it. It must not know protocols or peers.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
from collections import deque
from typing import Final, NamedTuple, Protocol

from kvstore.address import Address

READ_BYTES: Final = 64 << 10
"""Read at once: memory for much more would take longer to find than it saves."""
_WRITE_BYTES: Final = 1 << 20
_STUCK_BYTES: Final = 8 << 10
"""With less unsent, a client keeps nobody waiting: 4,096 of them hold less than half of what all
may."""
_CHUNK_BYTES: Final = 64 << 10
"""Short pieces of output are put together up to this size."""
_CLIENT_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
)
"""Two minutes: a client that vanished holds a place that others may want."""
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    # In ms: TCP alone would go on for minutes, with ever longer pauses after the link is back.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3_000),
)


_LAST_DATA_MS: Final = struct.Struct("=52xI")
"""Where `tcp_info` of Linux has for how long nothing came."""


class SocketFacts(NamedTuple):
    """What the system knows of a connection; of a closed one, nothing."""

    local_address: str = ""
    descriptor: int = -1
    idle_ms: int = 0
    """Since something came."""


class Owner(Protocol):
    """Whom the selector calls for a socket."""

    @property
    def comes_first(self) -> bool:
        """Whether it is heard before those of whom this is false."""
        ...

    @property
    def served(self) -> int:
        """Of those who do not come first, who was served least comes before the others."""
        ...

    def on_events(self, mask: int) -> None:
        """The socket can be read or written; the owner may close it."""
        ...


class Stream:
    """One socket in the selector, connected or connecting.

    * While open, it is registered for reads unless `pause_reading` or the end of
      the stream stopped them, and for writes while output waits.
    * `_output` is what waits, in the pieces in which it came; `_sent` bytes of the first
      have left. Nothing is copied, but short pieces.
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
        self._output: deque[bytes | bytearray] = deque()
        self._sent = 0
        self.unsent_bytes = 0
        """Bytes that the socket has not taken yet."""
        self._taken_bytes = 0
        self._stuck_at, self._stuck_since_ms = -1, 0.0
        self._mask = 0
        self._wants_reads = True
        self.is_open = True
        self.is_at_end = False
        """The other side will send nothing more, or the connection is closed."""
        self.failure = "connection closed"
        """Why it closed, in words."""
        self._watch()

    def give_to(self, owner: Owner) -> None:
        """From now on, somebody else is called for it."""
        self._owner = owner
        if self._mask:
            self._selector.modify(self._sock, self._mask, owner)

    def detect_dead_link(self) -> None:
        """Notice within seconds that the other side is gone, also when nothing is sent."""
        for level, option, value in _KEEPALIVE:
            self._sock.setsockopt(level, option, value)

    def detect_vanished_client(self) -> None:
        """Notice within minutes that the other side is gone, if nothing is sent."""
        for level, option, value in _CLIENT_KEEPALIVE:
            self._sock.setsockopt(level, option, value)

    def read(self, bytes_max: int = READ_BYTES) -> bytes:
        """What has arrived; empty if nothing has, or (see `is_at_end`) nothing will."""
        try:
            data = self._sock.recv(bytes_max)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._fail(error)
            return b""
        if not data:
            self.is_at_end = True
            self._watch()
        return data

    def write(self, data: bytes) -> None:
        """Send now what the socket takes, and keep the rest for later."""
        if not self.is_open:
            return
        if not self._output:
            sent = self._send(data)
            data = data[sent:] if sent else data
        if data and self.is_open:
            self._keep(data)
            self._watch()

    def _keep(self, data: bytes) -> None:
        self.unsent_bytes += len(data)
        if len(data) >= _CHUNK_BYTES:
            self._output.append(data)
            return
        last = self._output[-1] if self._output else None
        if isinstance(last, bytearray) and len(last) < _CHUNK_BYTES:
            last += data
        else:
            self._output.append(bytearray(data))

    def flush(self) -> None:
        """The socket takes bytes again: give it some."""
        left = _WRITE_BYTES
        while left > 0 and self._output:
            piece = self._output[0]
            offered = memoryview(piece)[self._sent : self._sent + left]
            sent = self._send(offered)
            if not self.is_open:
                return
            is_refused = sent < len(offered)
            offered.release()
            self.unsent_bytes -= sent
            self._sent += sent
            left -= sent
            if self._sent == len(piece):
                self._output.popleft()
                self._sent = 0
            if is_refused:
                break
        self._watch()

    def stop_writing(self) -> None:
        """Tell the other side that nothing more will come."""
        if self.is_open:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def stuck_ms(self, now_ms: float) -> float:
        """For how long nothing of what waits was taken, if that is much, and as far as seen."""
        if self.unsent_bytes < _STUCK_BYTES or self._taken_bytes != self._stuck_at:
            self._stuck_at, self._stuck_since_ms = self._taken_bytes, now_ms
        return now_ms - self._stuck_since_ms

    def facts(self) -> SocketFacts:
        """What the system knows; asked for when it is wanted, as nothing is noted here."""
        if not self.is_open:
            return SocketFacts()
        host, port, *_ = self._sock.getsockname()
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_MS.size)
        [idle_ms] = _LAST_DATA_MS.unpack(info)
        return SocketFacts(str(Address(host, port)), self._sock.fileno(), idle_ms)

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
        self._output.clear()
        self._sent = self.unsent_bytes = 0

    def _send(self, data: bytes | memoryview) -> int:
        """How many bytes the socket took; a broken connection takes, and loses, none."""
        try:
            sent = self._sock.send(data)
            self._taken_bytes += sent
            return sent
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
