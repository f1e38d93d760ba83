"""Nodes that are known by name: a resolver that hangs costs no deadline."""

from __future__ import annotations

import contextlib
import copy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from process.cluster import eventually
from scripted_node import OK, ClosedPort, ScriptedNode

from kvstore import Client, UnreachableError

from .answers import FOO, FOUND

pytestmark = pytest.mark.timeout(60)
"""A look-up that never ends is what these tests are about."""
DEADLINE_S = 15.0


class Resolver:
    """Stands in for the system's: some names hang, others have the addresses given here."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.answers = threading.Event()
        self._real = socket.getaddrinfo

    def look_up(self, host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags"):
            return self._real(host, port, **options)
        self.asked.append(host)
        if host.startswith("hangs"):
            assert self.answers.wait(DEADLINE_S * 3)
        found: list[Any] = []
        for address in self.addresses[host]:
            where, _, other_port = address.partition(":")
            found += self._real(where, int(other_port), type=socket.SOCK_STREAM)
        return found


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver.look_up)
    yield resolver
    resolver.answers.set()


def time_of(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def test_a_look_up_that_hangs_does_not_hide_why_the_one_before_failed(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_first(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags") or resolver.asked:
            return resolver.look_up(host, port, **options)
        resolver.asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "No resolver for now")

    monkeypatch.setattr(socket, "getaddrinfo", fails_first)
    with (
        Client("hangs.example", timeout_ms=2_000) as client,
        pytest.raises(UnreachableError, match="cannot connect: no resolver for now"),
    ):
        client.get("k")
    assert len(resolver.asked) == 2


@pytest.mark.parametrize("exactly_once", [True, False])
def test_the_deadline_holds_though_the_resolver_does_not_answer(
    resolver: Resolver, exactly_once: bool
) -> None:
    with Client("hangs.example", timeout_ms=300, exactly_once=exactly_once) as client:

        def put() -> None:
            with pytest.raises(UnreachableError, match="its name is still being looked up"):
                client.put("k", "v")

        assert 0.25 < time_of(put) < 5
        for _ in range(3):
            with pytest.raises(UnreachableError):
                client.get("k")
        with pytest.raises(UnreachableError, match="still being looked up"):
            client.status("hangs.example")
    assert resolver.asked == ["hangs.example"], "who is being asked is not asked again"


def test_other_nodes_are_asked_in_half_of_the_time(resolver: Resolver) -> None:
    with (
        ScriptedNode(FOUND, OK) as node,
        Client(["hangs.example", node.address], timeout_ms=6_000) as client,
    ):
        assert client.get("foo") == FOO
        assert client.put("k", "v") == OK


def test_a_name_that_is_found_late_is_used_from_then_on(resolver: Resolver) -> None:
    with ScriptedNode(FOUND) as node, Client("hangs.example", timeout_ms=30_000) as client:
        resolver.addresses["hangs.example"] = [node.address]
        client._timeout_ms = 100
        with pytest.raises(UnreachableError):
            client.get("foo")
        client._timeout_ms = 30_000
        timer = threading.Timer(0.2, resolver.answers.set)
        timer.start()
        assert client.get("foo") == FOO
        timer.join()
    assert resolver.asked == ["hangs.example"]


def test_a_copy_asks_for_itself(resolver: Resolver) -> None:
    with Client("hangs.example", timeout_ms=100) as client:
        with pytest.raises(UnreachableError):
            client.get("foo")
        with copy.copy(client) as other, pytest.raises(UnreachableError):
            other.get("foo")
    eventually(lambda: resolver.asked == ["hangs.example"] * 2, "both have asked")


# --- Names with several addresses ---------------------------------------------------------


@pytest.mark.usefixtures("skipped_pauses")
def test_all_addresses_of_a_name_are_tried(resolver: Resolver) -> None:
    with ClosedPort() as dead, ScriptedNode(FOUND) as node, Client("two.example") as client:
        resolver.addresses["two.example"] = [dead.address, node.address]
        assert client.get("foo") == FOO
    with ClosedPort() as dead, Client("none.example") as client:
        resolver.addresses["none.example"] = [dead.address]
        with pytest.raises(UnreachableError, match="cannot connect: connection refused"):
            client.get("foo")


def test_an_address_that_does_not_answer_has_a_share_of_the_time(resolver: Resolver) -> None:
    """A full backlog drops what comes, as a firewall does."""
    with contextlib.ExitStack() as stack, ScriptedNode(FOUND) as node:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        host, port = silent.getsockname()
        with contextlib.suppress(TimeoutError):
            while True:
                waits = stack.enter_context(socket.socket())
                waits.settimeout(0.3)
                waits.connect((host, port))
        resolver.addresses["two.example"] = [f"{host}:{port}", node.address]
        with Client("two.example", timeout_ms=6_000) as client:
            found = []
            assert time_of(lambda: found.append(client.get("foo"))) < 5
            assert found == [FOO]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_name_without_addresses_is_told_in_the_words_of_the_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with (
        Client("nobody.example", exactly_once=False) as client,
        pytest.raises(UnreachableError, match="cannot connect: name or service not known"),
    ):
        client.put("k", "v")
