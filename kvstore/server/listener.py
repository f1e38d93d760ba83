"""The door: accepts connections, within bounds.

Law: running out of file descriptors, or having clients enough, neither spins nor kills; new
connections wait in the kernel, or are told why they cannot come in.
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from kvstore.address import Address
from kvstore.errors import ConfigError
from kvstore.server import refusals
from kvstore.server.doorkeeper import Doorkeeper
from kvstore.wire.commands import render_failure

_ACCEPTS_PER_EVENT: Final = 64
_BACKLOG: Final = 1024
_PAUSE_MS: Final = 500.0
_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind(address: Address) -> socket.socket:
    """A socket that has the address, and refuses callers before `listen`.

    Raises `ConfigError` if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise _not_to_be_had(address, error) from None
    sock.setblocking(False)
    return sock


def listen(sock: socket.socket, address: Address) -> None:
    """From now on, callers are accepted. Raises `ConfigError` if somebody else was faster.

    Two may bind an address while neither listens.
    """
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        raise _not_to_be_had(address, error) from None


def _not_to_be_had(address: Address, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        hint = "another process uses it; stop that one or choose another --port"
    elif error.errno == errno.EACCES:
        hint = "this user may not have it; choose a --port of 1024 or more"
    else:
        hint = (
            "choose a --host of this machine and a free --port; or, if the others reach this "
            "node by another address than its own, --bind 0.0.0.0"
        )
    return ConfigError(f"cannot listen on {address}: {error.strerror}; {hint}")


class Listener:
    """Hands each accepted socket to `welcome`, as long as the doorkeeper takes it.

    * When there is none for clients, some come in that may be peers: nobody can tell
      before they speak. `welcome` is told so.
    """

    comes_first = False
    served = 0

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        welcome: Callable[[socket.socket, str, bool], None],
        doorkeeper: Doorkeeper,
        note_rejected: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._sock = sock
        self._selector = selector
        self._welcome = welcome
        self._doorkeeper = doorkeeper
        self._note_rejected = note_rejected
        self._log = log
        self._is_watching = False
        self._open_again_ms: float | None = 0.0
        """None: open. Otherwise `tick` opens the door then."""

    def tick(self, now_ms: float) -> None:
        """Open the door, at first and after a pause."""
        if self._open_again_ms is None:
            if not self._is_watching:
                self._open_again_ms = now_ms + _PAUSE_MS
        elif now_ms >= self._open_again_ms:
            self._open_again_ms = None
            self._is_watching = True
            self._selector.register(self._sock, selectors.EVENT_READ, self)

    def on_events(self, _mask: int) -> None:
        """Accept who waits, a bounded number at a time."""
        for _ in range(_ACCEPTS_PER_EVENT):
            try:
                sock, (host, port, *_) = self._sock.accept()
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause(error)
                return
            if self._doorkeeper.takes_clients():
                self._welcome(sock, str(Address(host, port)), False)
            elif self._doorkeeper.takes_newcomers():
                self._welcome(sock, str(Address(host, port)), True)
            else:
                self._turn_away(sock)

    def _pause(self, error: OSError) -> None:
        self._log.warning(
            f"accepts no connections for a moment: {error.strerror}", code="accepting_paused"
        )
        self._selector.unregister(self._sock)
        self._is_watching = False

    def _turn_away(self, sock: socket.socket) -> None:
        self._note_rejected()
        with sock:
            sock.setblocking(False)
            try:
                sock.send(render_failure(refusals.TOO_MANY_CLIENTS))
            except OSError:
                return
