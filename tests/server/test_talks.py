"""Whatever clients send, in whatever pieces, each gets every reply that it must, and no other."""

from __future__ import annotations

import contextlib
import random
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from kvstore.server.connection import Connection

from .accounts import check_accounts
from .line import LIMITS, Line, tcp_pair
from .talk import REQUEST_BYTES_MAX, VALUE_BYTES_MAX, Talk, agrees, split

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def small_limits(rng: random.Random) -> Line:
    """A server of which every bound that makes clients wait is soon reached."""
    return Line(
        limits=msgspec.structs.replace(
            LIMITS,
            value_bytes_max=VALUE_BYTES_MAX,
            request_bytes_max=REQUEST_BYTES_MAX,
            pipeline_requests_max=rng.choice((1, 3, 20)),
            turn_steps_max=rng.choice((50, 300, 3_000)),
            slice_steps_max=rng.choice((10, 60, 600)),
            pinned_steps_max=rng.choice((1, 30, 3_000)),
            clients_output_bytes_max=rng.choice((5_000, 20_000, 200_000)),
        )
    )


class NarrowSocket(socket.socket):
    """Takes a little at a time, or nothing, as one whose client reads slowly."""

    rng: random.Random
    takes: int

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        size = self.rng.randrange(self.takes)
        if not size:
            raise BlockingIOError
        return super().send(memoryview(data)[:size], flags)


class Talker:
    """A client that sends and reads a little at a time."""

    def __init__(self, rng: random.Random, line: Line, own: bytes) -> None:
        self._rng = rng
        self._socket, accepted = tcp_pair()
        self._socket.setblocking(False)
        ours = NarrowSocket(fileno=accepted.detach())
        ours.rng, ours.takes = rng, rng.choice((400, 5_000, 1 << 20))
        self.talk = Talk(
            rng, own, Connection(ours, "test", line.context, line.selector).state.number
        )
        self._unsent = self.talk.sent
        self._sends_pieces_of = rng.choice((60, 1_000, 100_000))
        self._awaited = len(self.talk.expected) if rng.random() < 0.5 else 0
        """With so many replies it half-closes; -1 when it has."""
        self.got = b""
        self.is_over = False

    def go_on(self) -> None:
        """Send a piece, read, and half-close: at once, or as one that waits for its replies."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._unsent:
                size = self._rng.randrange(self._sends_pieces_of)
                self._unsent = self._unsent[self._socket.send(self._unsent[:size]) :]
            elif not self._awaited or len(split(self.got)[0]) == self._awaited:
                self._awaited = -1
                self._socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(BlockingIOError):
            data = self._socket.recv(1 << 20)
            self.got += data
            self.is_over = not data

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("seed", range(15))
def test_each_client_gets_the_replies_to_all_that_it_said_in_order(seed: int) -> None:
    rng = random.Random(seed)
    line = small_limits(rng)
    talkers = [Talker(rng, line, b"c%d" % n) for n in range(rng.randrange(1, 4))]
    try:
        for _ in range(10_000):
            for talker in talkers:
                if not talker.is_over:
                    talker.go_on()
            line.turn()
            if all(talker.is_over for talker in talkers):
                break
        check_accounts(line.context)
        for talker in talkers:
            replies, rest = split(talker.got)
            expected = talker.talk.expected
            for number, (reply, wanted) in enumerate(zip(replies, expected, strict=False)):
                assert agrees(reply, wanted), (number, reply[:200], wanted)
            assert (len(replies), rest, talker.is_over) == (len(expected), b"", True)
    finally:
        for talker in talkers:
            talker.close()
        line.close()
