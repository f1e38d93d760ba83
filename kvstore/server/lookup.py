"""Finding the address behind a host's name without keeping the loop from its work.

Law: a name is looked up in a thread that does nothing else and touches nothing of the
server; the loop asks it whether it is done. A resolver that hangs costs the link to one
peer, and no heartbeat.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, TypeAlias

from kvstore.address import Address

Found: TypeAlias = tuple[socket.AddressFamily, Any]
"""What a socket needs: its family, and where to connect it."""


class Lookup:
    """One question; `is_done` says whether `result` may be asked for."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._found: Found | None = None
        self._failure: OSError | None = None
        try:
            self._look_up(socket.AI_NUMERICHOST)
        except OSError:
            # A name. The process does not wait for this thread when it ends.
            threading.Thread(target=self._look_up_name, daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, or none will come."""
        return self._found is not None or self._failure is not None

    def result(self) -> Found:
        """The first address that was found. Raises `OSError` if there is none."""
        if self._failure is not None:
            raise self._failure
        assert self._found is not None
        return self._found

    def _look_up_name(self) -> None:
        try:
            self._look_up(0)
        except OSError as error:
            self._failure = error

    def _look_up(self, flags: int) -> None:
        host, port = self._address.host, self._address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        family, _, _, _, address = found[0]
        self._found = family, address
