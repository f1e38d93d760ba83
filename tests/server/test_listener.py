"""Who is let in, and when the door opens again."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kvstore.address import Address
from kvstore.config.limits import Limits
from kvstore.errors import ConfigError
from kvstore.server.doorkeeper import Doorkeeper
from kvstore.server.listener import Listener, bind, listen
from kvstore.server.load import Load

ANY = Address("127.0.0.1", 0)
TIMES = 3
NOBODY = 65534
LOW_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@contextlib.contextmanager
def no_rights() -> Iterator[None]:
    """This process is nobody's, for whom ports below 1024 are not."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """The operating system gives this process no descriptor more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def doorkeeper(clients: int) -> Doorkeeper:
    """Of a server without peers, which takes so many clients more, and no newcomers."""
    limits = Limits(connections_max=max(1, clients), newcomers_max=0)
    keeper = Doorkeeper(limits, lambda: 0, Load(limits), structlog.get_logger(), 10_000)
    if not clients:
        keeper.connections[1] = object()  # type: ignore[assignment]
    return keeper


def test_a_door_that_was_shut_for_want_of_descriptors_opens_again_each_time() -> None:
    welcomed: list[socket.socket] = []
    with (
        contextlib.ExitStack() as stack,
        bind(ANY) as door,
        selectors.DefaultSelector() as selector,
    ):
        listen(door, ANY)
        listener = Listener(
            door,
            selector,
            lambda sock, _name, _is_newcomer: welcomed.append(stack.enter_context(sock)),
            doorkeeper(clients=TIMES),
            lambda: None,
            structlog.get_logger(),
        )
        now_ms = 0.0
        listener.tick(now_ms)
        for time in range(TIMES):
            stack.enter_context(socket.create_connection(door.getsockname()))
            with no_descriptors():
                listener.on_events(selectors.EVENT_READ)
            assert len(selector.get_map()) == 0, "it would be called over and over"
            listener.tick(now_ms)
            listener.tick(now_ms + 1)
            assert len(selector.get_map()) == 0, "it made no pause"
            assert len(welcomed) == time
            now_ms += 60_000
            listener.tick(now_ms)
            assert len(selector.get_map()) == 1
            listener.on_events(selectors.EVENT_READ)
            assert len(welcomed) == time + 1


def test_who_is_turned_away_is_told_why_and_counted() -> None:
    rejected: list[None] = []
    with bind(ANY) as door, selectors.DefaultSelector() as selector:
        listen(door, ANY)
        listener = Listener(
            door,
            selector,
            lambda sock, _name, _is_newcomer: sock.close(),
            doorkeeper(clients=0),
            lambda: rejected.append(None),
            structlog.get_logger(),
        )
        with socket.create_connection(door.getsockname(), 5.0) as caller:
            listener.on_events(selectors.EVENT_READ)
            assert caller.recv(100) == b"-ERR max number of clients reached\r\n"
    assert len(rejected) == 1


def test_of_two_that_bind_an_address_before_either_listens_one_is_told_that_it_is_in_use() -> None:
    with bind(ANY) as first:
        address = Address(*first.getsockname())
        with bind(address) as second:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(first.getsockname(), 5.0)
            listen(first, address)
            with pytest.raises(ConfigError, match="another process uses it"):
                listen(second, address)


@pytest.mark.skipif(int(LOW_PORTS.read_text()) <= 80, reason="the system lets everybody have it")
def test_an_address_that_this_user_may_not_have_says_so() -> None:
    with no_rights(), pytest.raises(ConfigError, match="Permission denied; this user may not"):
        bind(Address("127.0.0.1", 80))
