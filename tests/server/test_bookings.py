"""Whatever clients do, what is booked for them is what they hold, and it is bounded."""

from __future__ import annotations

import contextlib
import random
import socket

import msgspec
import pytest

from kvstore import api
from kvstore.wire import typed
from kvstore.wire.resp import command

from .accounts import check_accounts
from .line import LIMITS, Line

SMALL = msgspec.structs.replace(
    LIMITS,
    value_bytes_max=200_000,
    request_bytes_max=400_000,
    reply_bytes_max=400_000,
    clients_input_bytes_max=60_000,
    clients_output_bytes_max=2_000_000,
    pipeline_requests_max=50,
    turn_steps_max=2_000,
    slice_steps_max=300,
    pinned_steps_max=1_000,
    scan_cursors_max=2,
)


class Crowd:
    """Clients that come, send what a seed says, read or do not, and go."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.line = Line(limits=SMALL)
        self.clients: dict[socket.socket, bytes] = {self.line.client: b""}

    def request(self) -> bytes:
        rng = self.rng
        key = b"k%d" % rng.randrange(8)
        value = bytes(rng.choice((0, 3, 1_000, 60_000, 150_000, 250_000)))
        return rng.choice(
            (
                command(b"GET", key),
                command(b"GET", key) * rng.randrange(1, 40),
                command(b"GET", key) + command(b"SET", key, value),
                command(b"SET", key, value),
                command(b"SET", key, value, b"GET"),
                command(b"MGET", *[b"k%d" % n for n in range(8)]),
                command(b"SCAN", b"%d" % (rng.randrange(30) * rng.randrange(2)), b"COUNT", b"1"),
                command(b"SCAN", b"0", b"MATCH", b"k[0-9]*", b"COUNT", b"2"),
                command(b"DEL", *[b"k%d" % n for n in range(rng.randrange(1, 9))]),
                command(b"INCR", b"n"),
                command(b"PING") * rng.randrange(1, 100),
                command(b"ECHO", value[:1_000]),
                command(b"INFO"),
                command(b"READONLY"),
                command(b"QUIT"),
                typed.encode_call(api.Call(api.Scan(limit=5))),
                typed.encode_call(api.Call(api.Put(key, value[:1_000]))),
                b"a line of words\r\n",
                command(b"SET", key, bytes(600_000)),
                b"*1\r\n$x\r\n" if rng.random() < 0.1 else b"*0\r\n",
            )
        )

    def step(self) -> None:
        """Whoever was hung up on makes place for another."""
        rng, line = self.rng, self.line
        if not self.clients or (rng.random() < 0.1 and len(self.clients) < 12):
            self.clients[line.connect()] = b""
        client = rng.choice([*self.clients])
        chance = rng.random()
        if chance < 0.5:
            self.clients[client] += self.request()
        elif chance < 0.7:
            self.read(client)
        elif chance < 0.72:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
        elif chance < 0.75:
            self.leave(client)
        for client, rest in [*self.clients.items()]:
            size = rng.choice((0, 1, 100, 1 << 20))
            try:
                self.clients[client] = rest[client.send(rest[:size]) :]
            except BlockingIOError:
                continue
            except ConnectionError:
                self.leave(client)

    def read(self, client: socket.socket) -> None:
        try:
            is_at_end = not client.recv(self.rng.choice((10, 1 << 20)))
        except BlockingIOError:
            return
        except ConnectionError:
            is_at_end = True
        if is_at_end:
            self.leave(client)

    def leave(self, client: socket.socket) -> None:
        client.close()
        del self.clients[client]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.line.close()


@pytest.mark.parametrize("seed", range(6))
def test_every_account_is_the_sum_of_what_it_counts(seed: int) -> None:
    crowd = Crowd(seed)
    line = crowd.line
    try:
        for _ in range(300):
            crowd.step()
            line.turn()
            check_accounts(line.context)
            load = line.context.load
            many = len(crowd.clients) + 1
            assert load.input_bytes <= SMALL.clients_input_bytes_max + many * 200_000
            assert load.output_bytes <= SMALL.clients_output_bytes_max + SMALL.request_bytes_max
        for client in crowd.clients:
            client.close()
        for _ in range(20):
            line.turn()
        check_accounts(line.context)
        load = line.context.load
        assert (load.input_bytes, load.output_bytes, load.pinned_steps) == (0, 0, 0)
        assert not line.context.doorkeeper.connections
    finally:
        crowd.close()
