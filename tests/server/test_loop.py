"""The loop of the server, under a clock and a sleep of the test's own."""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from founding import founders
from until import until

from kvstore.address import Address
from kvstore.client.blocking import Client
from kvstore.config.limits import Limits
from kvstore.config.settings import Settings
from kvstore.logs import logger_for
from kvstore.server import loop
from kvstore.server.node import Node
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLineage, MemoryLog, MemoryState
from kvstore.wire.resp import command

TURN_MS = 50.0


class Clock:
    """Time stands still but in the selector, which sleeps as long as the test says."""

    now_ms = 0.0
    sleep_ms = TURN_MS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            clock.now_ms += clock.sleep_ms
            # What was sent to a server that stands still is there when it wakes.
            return super().select(5.0 if clock.sleep_ms > TURN_MS else 0.0)

    monkeypatch.setattr(loop, "_clock_ms", lambda: clock.now_ms)
    monkeypatch.setattr(selectors, "DefaultSelector", Selector)
    return clock


def lone_server(listening: socket.socket, limits: Limits = Limits()) -> loop.Server:  # noqa: B008 - frozen
    """A cluster of one node, which leads and has committed its no-op."""
    listening.setblocking(False)
    identity = Identity(1, "test", 1, f"{1:032x}")
    settings = Settings(
        node_id=1,
        members={1: Address(*listening.getsockname())},
        cluster_id="test",
        data_dir=Path("unused"),
        limits=limits,
    )
    node = Node(
        settings,
        MemoryLog(identity, configuration=founders((1,))),
        MemoryState(identity),
        random.Random(1),
    )
    server = loop.Server(node, MemoryLineage(b"1" * 8), listening, random.Random(1), logger_for(1))
    until(lambda: node.raft.has_committed_in_term, server._take_turn, "it leads")
    return server


def test_a_request_read_after_a_standstill_is_dated_when_it_was_read(clock: Clock) -> None:
    """The process stood still in its sleep, and the request came in the meantime."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = lone_server(listening)
        with server._selector, socket.create_connection(listening.getsockname()) as client:
            until(lambda: server._context.doorkeeper.connections, server._take_turn, "it accepts")
            client.sendall(command(b"SET", b"k", b"v"))
            clock.sleep_ms = 10.0 * server._node.settings.request_timeout_ms
            server._take_turn()
            clock.sleep_ms = TURN_MS
            server._take_turn()
            client.settimeout(5.0)
            assert client.recv(100) == b"+OK\r\n"
            server._hang_up()


def test_replies_that_are_made_while_others_are_delivered_leave_too(clock: Clock) -> None:
    """The delivery makes room, and what starts then is answered at once: no event tells."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = lone_server(listening, Limits(pipeline_requests_max=4))
        with server._selector, socket.create_connection(listening.getsockname()) as client:
            client.setblocking(False)
            client.sendall(command(b"SET", b"k", b"v") * 4 + command(b"PING") * 20)
            got = b""
            for _ in range(40):
                server._take_turn()
                with contextlib.suppress(BlockingIOError):
                    got += client.recv(1 << 10)
            assert got == b"+OK\r\n" * 4 + b"+PONG\r\n" * 20
            server._hang_up()


@pytest.mark.parametrize("is_pressed", [False, True])
@pytest.mark.usefixtures("signals_as_before")
def test_who_is_told_again_to_stop_makes_no_checkpoint(tmp_path: Path, is_pressed: bool) -> None:
    """It could take long, and the next start applies again what it finds in the log."""
    log = logger_for(1)
    with (
        loop.bind(Address("127.0.0.1", 0)) as sock,
        loop.Signals(loop._clock_ms, log) as signals,
        ThreadPoolExecutor(1) as callers,
    ):
        address = Address(*sock.getsockname())
        settings = Settings(
            node_id=1,
            members={1: address},
            cluster_id="test",
            data_dir=tmp_path / "n1",
            checkpoint_interval_ms=1 << 40,
        )

        def put_and_stop() -> None:
            with Client([str(address)], 30_000) as client:
                client.put("k", "v")
            signals.is_pressed = is_pressed
            os.kill(os.getpid(), signal.SIGTERM)

        called = callers.submit(put_and_stop)
        assert loop._run(settings, signals, sock, log) == 0
        called.result()
    with contextlib.closing(loop._open_directory(settings, log)) as directory:
        is_level = directory.state.applied().last_applied == directory.log.last_index
        assert is_level is not is_pressed
