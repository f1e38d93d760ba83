"""A name that cannot be looked up costs a link, whatever goes wrong."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from kvstore.address import Address
from kvstore.lookup import Lookup


def wait(lookup: Lookup) -> Lookup:
    assert lookup.wait(10.0)
    assert lookup.is_done
    return lookup


def test_an_address_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _self: pytest.fail("a thread"))
    lookup = Lookup(Address("127.0.0.1", 80))
    assert lookup.is_done
    assert lookup.result() == [(socket.AF_INET, ("127.0.0.1", 80))]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "\udcff"])
def test_a_name_that_can_be_none_is_a_failure(name: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        wait(Lookup(Address(name, 80))).result()


def test_a_resolver_that_fails_oddly_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, flags: int, **_options: object) -> None:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        raise MemoryError("odd")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match="odd"):
        wait(Lookup(Address("some.name", 80))).result()


def test_who_waits_for_a_resolver_that_hangs_waits_no_longer_than_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, real = threading.Event(), socket.getaddrinfo

    def hang(host: str, port: int, *, flags: int, **options: Any) -> Any:
        if not flags:
            assert answers.wait(30.0)
            host = "127.0.0.1"
        return real(host, port, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    lookup = Lookup(Address("some.name", 80))
    assert not lookup.wait(0.01)
    assert not lookup.is_done
    answers.set()
    assert wait(lookup).result() == [(socket.AF_INET, ("127.0.0.1", 80))]


def test_a_system_without_threads_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="can't start new thread"):
        wait(Lookup(Address("some.name", 80))).result()
