"""Finding the address behind a host's name without keeping the loop from its work.

Law: a name is looked up in a thread that does nothing else and touches nothing of the
server; the loop asks it whether it is done. A resolver that hangs, or fails in whatever
way, costs the link to one peer, and no heartbeat; so does a system that has no thread
to give.
"""

from __future__ import annotations

import contextlib
import errno
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
        with contextlib.suppress(OSError, UnicodeError):
            self._look_up(socket.AI_NUMERICHOST)
        if self._found is None:
            self._begin()

    def _begin(self) -> None:
        """It is a name. The process does not wait for this thread when it ends."""
        try:
            threading.Thread(target=self._look_up_name, daemon=True).start()
        except RuntimeError as error:
            self._failure = OSError(errno.EAGAIN, str(error))

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
        except Exception as error:
            # Nobody else would hear of it. UnicodeError, for one: `a..b` cannot be a name.
            self._failure = OSError(errno.EINVAL, f"cannot look up the name: {error}")

    def _look_up(self, flags: int) -> None:
        host, port = self._address.host, self._address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        family, _, _, _, address = found[0]
        self._found = family, address
