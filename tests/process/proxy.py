"""A TCP proxy whose links can be cut while it runs.

Law: when a call that changes a link returns, not one more byte passes under the
old mode. A stream that lost bytes is never patched up: its connections are closed,
so that both ends must dial again.
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 16


class Mode(enum.Enum):
    """What a link does with traffic."""

    FORWARD = "forward"
    DROP = "drop"
    """Swallow: connections stand, bytes vanish, as behind a firewall."""
    REFUSE = "refuse"
    """Nobody listens, and what was connected is reset."""


class Reservation:
    """A port that is ours until `release`: bound, never listening.

    With SO_REUSEADDR on both sides a server may listen on it meanwhile, while the
    kernel hands it to nobody who asks for any free port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()


@dataclass(eq=False)
class _End:
    """One side of a connection, and what still has to be sent to it."""

    socket: socket.socket
    link: Link
    other: _End | None = None
    output: bytearray = field(default_factory=bytearray)


class Link:
    """One direction between two nodes: connects to `port` arrive at `target`.

    * `swallowed_bytes` counts what DROP took, so that a test can wait for a loss.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode = Mode.FORWARD
        self.swallowed_bytes = 0
        self.ends: set[_End] = set()
        self.listener: socket.socket | None = None
        self._reservation = Reservation()
        self.port = self._reservation.port

    def listen(self) -> socket.socket:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(128)
        self.listener.setblocking(False)
        return self.listener

    def release(self) -> None:
        self._reservation.release()


class Proxy:
    """All links of a cluster, served by one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._links: list[Link] = []
        self._calls: list[tuple[Callable[[], None], threading.Event]] = []
        self._lock = threading.Lock()
        self._running = True
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._on_wake)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def link(self, target: int) -> Link:
        """Open a link to a port of this machine."""
        link = Link(target)
        self._links.append(link)
        self._call(lambda: self._listen(link))
        return link

    def set_mode(self, link: Link, mode: Mode) -> None:
        """Switch a link; when this returns, the new mode holds for every byte."""
        self._call(lambda: self._switch(link, mode))

    def close(self) -> None:
        self._call(self._stop)
        self._thread.join(10)
        for link in self._links:
            link.release()

    # --- What follows runs in the proxy's thread ------------------------------------------

    def _call(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        with self._lock:
            self._calls.append((action, done))
        self._wake_in.send(b".")
        if not done.wait(10):
            raise RuntimeError("the proxy thread does not answer")

    def _run(self) -> None:
        while self._running:
            for key, events in self._selector.select():
                # An earlier action of this turn may have closed the socket.
                if key.fd in self._selector.get_map():
                    key.data(events)

    def _on_wake(self, _events: int) -> None:
        self._wake_out.recv(CHUNK_BYTES)
        with self._lock:
            calls, self._calls = self._calls, []
        for action, done in calls:
            action()
            done.set()

    def _stop(self) -> None:
        for link in self._links:
            self._refuse(link)
        self._selector.unregister(self._wake_out)
        self._wake_in.close()
        self._wake_out.close()
        self._selector.close()
        self._running = False

    def _switch(self, link: Link, mode: Mode) -> None:
        if mode is link.mode:
            return
        if mode is Mode.REFUSE:
            self._refuse(link)
        elif link.mode is Mode.DROP:
            self._reset_all(link)
        link.mode = mode
        if mode is Mode.DROP:
            for end in link.ends:
                self._swallow(end, end.output)
                self._watch(end)
        if link.listener is None and mode is not Mode.REFUSE:
            self._listen(link)

    def _listen(self, link: Link) -> None:
        self._selector.register(
            link.listen(), selectors.EVENT_READ, lambda _events: self._accept(link)
        )

    def _refuse(self, link: Link) -> None:
        if link.listener is not None:
            self._selector.unregister(link.listener)
            link.listener.close()
            link.listener = None
        self._reset_all(link)

    def _reset_all(self, link: Link) -> None:
        for end in list(link.ends):
            self._reset(end)

    def _accept(self, link: Link) -> None:
        assert link.listener is not None
        with contextlib.suppress(OSError):
            near = _End(link.listener.accept()[0], link)
            if link.mode is Mode.FORWARD and not self._dial(near):
                near.socket.close()
                return
            self._add(near)

    def _dial(self, near: _End) -> bool:
        """Connect to the target; false if it refuses, which a link must pass on."""
        try:
            far = _End(socket.create_connection(("127.0.0.1", near.link.target), 5), near.link)
        except OSError:
            return False
        near.other, far.other = far, near
        self._add(far)
        return True

    def _add(self, end: _End) -> None:
        end.socket.setblocking(False)
        end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.link.ends.add(end)
        self._selector.register(
            end.socket, selectors.EVENT_READ, lambda events: self._serve(end, events)
        )

    def _serve(self, end: _End, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(end)
            if events & selectors.EVENT_READ:
                self._receive(end)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._reset(end)

    def _receive(self, end: _End) -> None:
        chunk = end.socket.recv(CHUNK_BYTES)
        if not chunk:
            self._close_side(end)
            # A firewall that swallows bytes swallows the FIN too.
            if end.other is not None and end.link.mode is not Mode.DROP:
                self._close_side(end.other)
        elif end.link.mode is Mode.DROP or end.other is None:
            self._swallow(end, bytearray(chunk))
        elif end.other in end.link.ends:
            end.other.output += chunk
            self._flush(end.other)

    def _swallow(self, end: _End, lost: bytearray) -> None:
        end.link.swallowed_bytes += len(lost)
        lost.clear()

    def _flush(self, end: _End) -> None:
        with contextlib.suppress(BlockingIOError):
            while end.output:
                del end.output[: end.socket.send(end.output)]
        self._watch(end)

    def _watch(self, end: _End) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.output else 0)
        data = self._selector.get_map()[end.socket.fileno()].data
        self._selector.modify(end.socket, events, data)

    def _reset(self, end: _End) -> None:
        """Close both sides the hard way: half a stream is of no use to anybody."""
        for side in (end, end.other):
            if side is not None and side in side.link.ends:
                abort = struct.pack("ii", 1, 0)
                with contextlib.suppress(OSError):
                    side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
                self._close_side(side)

    def _close_side(self, side: _End) -> None:
        if side in side.link.ends:
            side.link.ends.discard(side)
            self._selector.unregister(side.socket)
            side.socket.close()
