"""One connection of the client to one node: a request out, a reply in, and what failed.

Law: from the moment at which the kernel has taken the last byte of a request, nothing is
`NotSent` any more (`attempt.py`).

This module must not know what a request says, nor try anything twice.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Final

import hiredis

from kvstore.client.attempt import NotSent, Unanswered
from kvstore.lookup import Found, Lookup

_RECEIVE_BYTES: Final = 1 << 18
_MORE: Final = object()


class Link:
    """One connection to one node. After any exception it is good for nothing but `close`.

    * `_is_in_step`: no request was sent in part, which another one must not follow.
    """

    def __init__(self, lookup: Lookup, until: float) -> None:
        if not lookup.wait(_rest_of(until)):
            reason = "cannot connect: its name is still being looked up"
            raise NotSent(reason, is_silence=True)
        try:
            self._socket = _connected(lookup.result(), until)
        except OSError as error:
            is_silence = isinstance(error, TimeoutError)
            raise NotSent(f"cannot connect: {_reason(error)}", is_silence=is_silence) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_in_step = True
        self._reader = hiredis.Reader(notEnoughData=_MORE)

    def is_idle(self) -> bool:
        """Whether a request may be sent: not if the node has hung up since, or babbles."""
        if not self._is_in_step:
            return False
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._reader.has_data()
        except OSError:
            return False
        return False

    def ask(self, frame: bytes, send_until: float, reply_until: float) -> object:
        """Send one request and return the reply; an error reply is returned, not raised.

        A node may refuse a request that it has in part, and hang up: that is the reply.
        """
        self._is_in_step = False
        try:
            self.send(frame, send_until)
        except NotSent:
            refusal = self._refusal()
            if refusal is None:
                raise
            return refusal
        self._is_in_step = True
        return self.receive(reply_until)

    def send(self, frame: bytes, until: float) -> None:
        """A failure before the last byte left is NotSent.

        That is certain: the frame says its length first, so a node that has a part
        of it cannot carry it out, and the rest will never come.
        """
        left = memoryview(frame)
        try:
            while left:
                self._socket.settimeout(_rest_of(until))
                left = left[self._socket.send(left) :]
        except OSError as error:
            reason = f"cannot send all of the request: {_reason(error)}"
            raise NotSent(reason, is_silence=isinstance(error, TimeoutError)) from None

    def _refusal(self) -> hiredis.ReplyError | None:
        """The error reply to a request that was sent in part, if one has come.

        What a node sent before it hung up is here before the news that it did.
        """
        with contextlib.suppress(OSError, hiredis.ProtocolError):
            self._socket.settimeout(0)
            self._reader.feed(self._socket.recv(_RECEIVE_BYTES))
            reply = self._reader.gets()
            if isinstance(reply, hiredis.ReplyError):
                return reply
        return None

    def receive(self, until: float) -> object:
        """The next reply, or Unanswered."""
        try:
            while (reply := self._reader.gets()) is _MORE:
                self._socket.settimeout(_rest_of(until))
                received = self._socket.recv(_RECEIVE_BYTES)
                if not received:
                    raise Unanswered("the connection was closed before the reply")
                self._reader.feed(received)
        except TimeoutError:
            raise Unanswered("no reply came in time", is_silence=True) from None
        except OSError as error:
            raise Unanswered(f"the connection broke: {_reason(error)}") from None
        except hiredis.ProtocolError:
            raise Unanswered("the reply is not of the Redis protocol") from None
        return reply

    def interrupt(self) -> None:
        """Have whoever waits for a reply, in another thread, wait no longer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _connected(found: Sequence[Found], until: float) -> socket.socket:
    """A connection to the first of these addresses that takes one, each in its share of the time.

    Raises the OSError of the last one.
    """
    for left in range(len(found), 0, -1):
        family, address = found[-left]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_rest_of(until) / left)
            sock.connect(address)
        except BaseException as error:
            sock.close()
            if left == 1 or not isinstance(error, OSError):
                raise
        else:
            break
    return sock


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return (error.strerror or str(error)).lower()


def _rest_of(until: float) -> float:
    """Seconds left; never 0, which would mean non-blocking."""
    return max(0.001, until - time.monotonic())
