"""A turn does so much and no more, whoever asks; what is left goes on in the next."""

from __future__ import annotations

import contextlib
import gc
import socket
import time
from collections.abc import Iterator

import msgspec
import pytest

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.wire.resp import command

from .accounts import check_accounts
from .cluster import Claim, Cluster
from .line import Line

TURN_S = 0.25
"""Processor time; a turn that is not bounded takes seconds here."""
KEYS = [b"%048d" % n for n in range(4_000)]


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(limits=Limits())
    # As the server does when it starts: what other tests left is not this turn's work.
    gc.collect()
    gc.freeze()
    yield line
    gc.unfreeze()
    line.close()


FLOODS = {
    "slow patterns": command(
        b"SCAN", b"0", b"MATCH", b"*" + b"[^b]" * 120 + b"c", b"COUNT", b"10000"
    ),
    "long pages": command(b"SCAN", b"0", b"COUNT", b"10000") * 11,
    "patterns to compile": b"".join(
        command(b"SCAN", b"0", b"MATCH", b"*a" * 250 + b"%d" % n) for n in range(200)
    ),
    "INFO": command(b"INFO") * 1_024,
    "COMMAND": command(b"COMMAND") * 1_024,
    "settings": command(b"CONFIG", b"GET", *[b"*a*b*c*d*e*f*g*h*i*j*k*l*m*n*"] * 8) * 256,
    "many keys": command(b"MGET", *KEYS) * 10,
    "whether many exist": command(b"EXISTS", *KEYS) * 10,
    "short requests": command(b"PING") * 20_000,
    "deletes": command(b"DEL", *KEYS) * 10,
    "lines of words": (b'"" ' * 1_300 + b"\r\n") * 30,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_whatever_is_asked_turns_are_short_and_others_are_served(line: Line, flood: bytes) -> None:
    line.send(command(b"MSET", *[part for key in KEYS for part in (key, b"v")]))
    assert line.receive() == b"+OK\r\n"
    clients = [line.connect() for _ in range(8)]
    rests = dict.fromkeys(clients, memoryview(flood))
    turns = answered = 0
    line.client.send(command(b"PING"))
    waits = 0
    while answered < 5 or turns < 20:
        for client, rest in rests.items():
            with contextlib.suppress(BlockingIOError):
                rests[client] = rest[client.send(rest) :]
            with contextlib.suppress(BlockingIOError):
                client.recv(1 << 20)
        began = time.process_time()
        line.turn()
        assert time.process_time() - began < TURN_S
        check_accounts(line.context)
        turns, waits = turns + 1, waits + 1
        assert waits <= 12
        with contextlib.suppress(BlockingIOError):
            assert line.client.recv(100) == b"+PONG\r\n"
            answered, waits = answered + 1, 0
            line.client.send(command(b"PING"))
    for client in clients:
        client.close()


def test_entries_are_applied_over_several_turns() -> None:
    cluster = Cluster(size=1, limits=msgspec.structs.replace(Limits(), pending_writes_max=1 << 20))
    node = cluster.elect()
    claims = [Claim() for _ in range(4)]
    for claim in claims:
        node.submit_command(api.Delete(tuple(KEYS)), claim)
    answered = []
    for _ in range(5):
        cluster.turn(1)
        answered.append(sum(map(len, (claim.results for claim in claims))))
    assert answered[0] < 4, "one entry is more than a turn's work"
    assert answered[-1] == 4
    assert not node.is_busy


def three(line: Line, other: socket.socket, *requests: bytes) -> list[bytes]:
    other.sendall(b"".join(requests))
    got = b""
    for _ in range(60):
        line.turn()
        with contextlib.suppress(BlockingIOError):
            got += other.recv(1 << 20)
    return got.split(b"\r\n")


def test_no_read_sees_what_its_client_wrote_after_it() -> None:
    """Also not one that had to wait for room, or for its turn."""
    limits = Limits(turn_steps_max=100, slice_steps_max=30, pinned_steps_max=40)
    line = Line(limits=limits)
    try:
        get, increment = command(b"GET", b"n"), command(b"INCR", b"n")
        line.client.sendall((increment + get * 5) * 30)
        got = line.receive(turns=600)
        expected = b"".join(
            b":%d\r\n" % n + (b"$%d\r\n%d\r\n" % (len(str(n)), n)) * 5 for n in range(1, 31)
        )
        assert got == expected
    finally:
        line.close()


@pytest.mark.parametrize("slice_steps_max", [30, 45, 60, 110])
@pytest.mark.parametrize("turn_steps_max", [60, 100, 200])
def test_a_stale_read_does_not_see_a_later_write_either(
    turn_steps_max: int, slice_steps_max: int
) -> None:
    """Wherever its client's share of the work ends."""
    limits = Limits(turn_steps_max=turn_steps_max, slice_steps_max=slice_steps_max)
    line = Line(limits=limits)
    try:
        get, increment = command(b"GET", b"n"), command(b"INCR", b"n")
        line.client.sendall(command(b"READONLY") + (get * 5 + increment) * 20)
        got = line.receive(turns=400)
        assert b"$2\r\n20\r\n" not in got
        values = [int(part) for part in got.split(b"\r\n") if part.isdigit()]
        assert values == sorted(values)
        assert got.endswith(b":20\r\n")
    finally:
        line.close()


def test_a_mixed_pipeline_goes_on_in_few_turns(line: Line) -> None:
    """Reads that are cheap for sure do not hold up the writes behind them."""
    pair = command(b"EXISTS", b"n") + command(b"INCR", b"n")
    line.client.sendall(pair * 50)
    assert line.receive(turns=4).count(b"\r\n") == 100


def test_reads_that_are_answered_at_the_end_of_a_turn_are_its_work_too() -> None:
    limits = msgspec.structs.replace(Limits(), turn_steps_max=2_000, slice_steps_max=1_000)
    line = Line(limits=limits)
    clients = [line.connect() for _ in range(20)]
    try:
        line.send(command(b"SET", b"k", bytes(900_000)))
        assert line.receive(40) == b"+OK\r\n"
        for client in clients:
            client.sendall(command(b"GET", b"k"))
        most = 0
        for _ in range(40):
            line.turn()
            most = max(most, line.context.load.steps)
            for client in clients:
                with contextlib.suppress(BlockingIOError):
                    client.recv(1 << 22)
        # One answer more than fits, at most.
        assert 1_000 < most <= 4_000
    finally:
        line.close()
        for client in clients:
            client.close()
