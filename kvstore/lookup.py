"""Finding the addresses behind a host's name without keeping anybody from their work.

Law: a name is looked up in a thread that does nothing else and touches nothing of who asks;
who asks may wait, for as long as it likes, or come back. A resolver that hangs, or fails in
whatever way, costs a connection, and no deadline; so does a system that has no thread to give.

This module must not know who connects, nor for what.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - see below
import errno
import socket
import threading
from typing import Any, TypeAlias

from kvstore.address import Address

# The first `getaddrinfo` of a process would load `encodings.idna`, while other threads wait for
# that; and one that is interrupted there has the others wait for ever, by a flaw of Python.

Found: TypeAlias = tuple[socket.AddressFamily, Any]
"""What a socket needs: its family, and where to connect it."""


class Lookup:
    """One question; `is_done` says whether `result` may be asked for."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._found: list[Found] = []
        self._failure: OSError | None = None
        self._under_way = threading.Lock()
        """Held until it is done. No Event: that is not for signal handlers, which may fork."""
        self._under_way.acquire()
        with contextlib.suppress(OSError, UnicodeError):
            self._look_up(socket.AI_NUMERICHOST)
        if self._found:
            self._under_way.release()
        else:
            self._begin()

    def _begin(self) -> None:
        """It is a name. The process does not wait for this thread when it ends."""
        try:
            threading.Thread(target=self._look_up_name, daemon=True).start()
        except RuntimeError as error:
            self._fail(OSError(errno.EAGAIN, str(error)))

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, or none will come."""
        return not self._under_way.locked()

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; whether it is done."""
        if self._under_way.acquire(timeout=seconds):
            self._under_way.release()
            return True
        return False

    def abandon(self) -> None:
        """This process was forked meanwhile: the thread is its parent's, and answers there."""
        if not self.is_done:
            self._fail(OSError(errno.ECANCELED, "the look-up is the parent's"))

    def result(self) -> list[Found]:
        """The addresses that were found, the best first. Raises `OSError` if there is none."""
        if self._failure is not None:
            raise self._failure
        assert self._found
        return self._found

    def _look_up_name(self) -> None:
        try:
            self._look_up(0)
        except OSError as error:
            self._fail(error)
        except Exception as error:
            # Nobody else would hear of it. UnicodeError, for one: `a..b` cannot be a name.
            self._fail(OSError(errno.EINVAL, f"cannot look up the name: {error}"))
        else:
            self._under_way.release()

    def _fail(self, failure: OSError) -> None:
        self._failure = failure
        self._under_way.release()

    def _look_up(self, flags: int) -> None:
        host, port = self._address.host, self._address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        self._found = [(family, address) for family, _, _, _, address in found]
