"""A name that cannot be looked up costs a link, whatever goes wrong."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from kvstore.address import Address
from kvstore.server.lookup import Lookup


def wait(lookup: Lookup) -> Lookup:
    until = time.monotonic() + 10.0
    while not lookup.is_done:
        assert time.monotonic() < until
    return lookup


def test_an_address_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _self: pytest.fail("a thread"))
    assert Lookup(Address("127.0.0.1", 80)).result()[1] == ("127.0.0.1", 80)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "\udcff"])
def test_a_name_that_can_be_none_is_a_failure(name: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        wait(Lookup(Address(name, 80))).result()


def test_a_resolver_that_fails_oddly_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise MemoryError("odd")

    lookup = Lookup(Address("127.0.0.1", 80))
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    lookup._found = None
    lookup._look_up_name()
    with pytest.raises(OSError, match="odd"):
        lookup.result()


def test_a_system_without_threads_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="can't start new thread"):
        wait(Lookup(Address("some.name", 80))).result()
