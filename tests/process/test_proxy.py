"""The proxy does to traffic what its modes say, before the tests of the cluster rely on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from .cluster import eventually
from .proxy import Link, Mode, Proxy, Reservation


class Echo:
    """A server that returns what it gets, and remembers it.

    * Its port is its own until `release`, also while nobody listens there.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self._reservation = Reservation()
        self.port = self._reservation.port
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65_536):
                    self.received += chunk
                    connection.sendall(chunk)
            except OSError:
                return

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def release(self) -> None:
        self.close()
        self._reservation.release()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.release()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def dial(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), 5)


def is_reset(connection: socket.socket) -> bool:
    """Whether the other side has ended it; fails after the socket's timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(65_536)
    return data


def test_a_forwarding_link_passes_bytes_both_ways(echo: Echo, proxy: Proxy) -> None:
    blob = bytes(range(256)) * 8_192
    with dial(proxy.link(echo.port)) as connection:
        threading.Thread(target=connection.sendall, args=(blob,), daemon=True).start()
        assert receive(connection, len(blob)) == blob


def test_a_dropping_link_keeps_connections_and_swallows_bytes(echo: Echo, proxy: Proxy) -> None:
    link = proxy.link(echo.port)
    with dial(link) as old:
        old.sendall(b"before")
        assert receive(old, 6) == b"before"
        proxy.set_mode(link, Mode.DROP)
        with dial(link) as new:
            old.sendall(b"lost1")
            new.sendall(b"lost2")
            eventually(lambda: link.swallowed_bytes == 10, "ten bytes swallowed")
            assert echo.received == b"before"
            proxy.set_mode(link, Mode.FORWARD)
            assert is_reset(old)
            assert is_reset(new)
    with dial(link) as connection:
        connection.sendall(b"after")
        assert receive(connection, 5) == b"after"
    assert echo.received == b"beforeafter"


def test_a_refusing_link_resets_connections_and_lets_nobody_in(echo: Echo, proxy: Proxy) -> None:
    link = proxy.link(echo.port)
    with dial(link) as connection:
        connection.sendall(b"x")
        assert receive(connection, 1) == b"x"
        proxy.set_mode(link, Mode.REFUSE)
        assert is_reset(connection)
    with pytest.raises(ConnectionRefusedError):
        dial(link)
    proxy.set_mode(link, Mode.FORWARD)
    with dial(link) as connection:
        connection.sendall(b"y")
        assert receive(connection, 1) == b"y"


def test_links_are_cut_one_by_one(echo: Echo, proxy: Proxy) -> None:
    cut, whole = proxy.link(echo.port), proxy.link(echo.port)
    proxy.set_mode(cut, Mode.DROP)
    with dial(whole) as connection:
        connection.sendall(b"z")
        assert receive(connection, 1) == b"z"


def test_a_target_that_is_down_ends_the_connection(echo: Echo, proxy: Proxy) -> None:
    link = proxy.link(echo.port)
    echo.close()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", echo.port))
    with dial(link) as connection:
        assert is_reset(connection)
