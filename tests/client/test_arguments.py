"""Whatever callers give, they get a request, or a clear error of the kind that is documented.

Never an error from inside: those tell of the code, and not of what was wrong.
"""

from __future__ import annotations

import importlib.metadata
import math
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_node import ClosedPort

import kvstore
from kvstore import Client, ConfigError, KvstoreError, RefusedError, UnreachableError, api

CHECKS = Path(kvstore.__file__).with_name("client") / "arguments.py"

HOSTILE: dict[str, object] = {
    "none": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "64 bits and one": 1 << 64,
    "huge": 10**5_000,
    "minus huge": -(10**5_000),
    "nan": math.nan,
    "infinite": math.inf,
    "empty": "",
    "no bytes": b"",
    "nul": "a\x00b",
    "half a surrogate pair": "\ud800",
    "not utf-8": b"\xff\xfe",
    "long": "k" * 1_000,
    "array": bytearray(b"x"),
    "view": memoryview(b"x"),
    "nothing in it": [],
    "tuple": ("a", "b"),
    "a list of numbers": [1, 2],
    "dict": {"a": 1},
    "nested": [["a", "b", "c"]],
    "set": {"a"},
    "class": object,
    "function": len,
    "request": api.Put(b"k", b"v"),
    "wrong request": api.Put(1, None),  # type: ignore[arg-type]
    "huge in a tuple": ("k", 10**5_000),
    "huge in a request": api.HandOver(10**5_000),
    "wrong guard": api.Put(b"k", b"v", guard=("k", 1)),  # type: ignore[arg-type]
    "a call": api.Call(api.Count()),
}

METHODS: dict[str, Callable[[Client, object], object]] = {
    "put key": lambda client, it: client.put(it, "v"),  # type: ignore[arg-type]
    "put value": lambda client, it: client.put("k", it),  # type: ignore[arg-type]
    "put if_absent": lambda client, it: client.put("k", "v", if_absent=it),  # type: ignore[arg-type]
    "put if_present": lambda client, it: client.put("k", "v", if_present=it),  # type: ignore[arg-type]
    "put if_value": lambda client, it: client.put("k", "v", if_value=it),  # type: ignore[arg-type]
    "put guard": lambda client, it: client.put("k", "v", guard=it),  # type: ignore[arg-type]
    "guard key": lambda client, it: client.put("k", "v", guard=(it, 1)),  # type: ignore[arg-type]
    "guard revision": lambda client, it: client.put("k", "v", guard=("k", it)),  # type: ignore[arg-type]
    "put_many": lambda client, it: client.put_many(it),  # type: ignore[arg-type]
    "put_many pair": lambda client, it: client.put_many([it]),  # type: ignore[list-item]
    "put_many key": lambda client, it: client.put_many([(it, "v")]),  # type: ignore[list-item]
    "put_many value": lambda client, it: client.put_many({"k": it}),  # type: ignore[dict-item]
    "put_many guard": lambda client, it: client.put_many({}, guard=it),  # type: ignore[arg-type]
    "delete": lambda client, it: client.delete(it),  # type: ignore[arg-type]
    "delete guard": lambda client, it: client.delete("k", guard=it),  # type: ignore[arg-type]
    "increment key": lambda client, it: client.increment(it),  # type: ignore[arg-type]
    "increment by": lambda client, it: client.increment("k", it),  # type: ignore[arg-type]
    "increment guard": lambda client, it: client.increment("k", guard=it),  # type: ignore[arg-type]
    "get": lambda client, it: client.get(it),  # type: ignore[arg-type]
    "get stale": lambda client, it: client.get("k", stale=it),  # type: ignore[arg-type]
    "get_many": lambda client, it: client.get_many(it),  # type: ignore[arg-type]
    "get_many key": lambda client, it: client.get_many([it]),  # type: ignore[list-item]
    "get_many stale": lambda client, it: client.get_many(["k"], stale=it),  # type: ignore[arg-type]
    "scan prefix": lambda client, it: client.scan(it),  # type: ignore[arg-type]
    "scan start": lambda client, it: client.scan(start=it),  # type: ignore[arg-type]
    "scan limit": lambda client, it: client.scan(limit=it),  # type: ignore[arg-type]
    "scan reverse": lambda client, it: client.scan(reverse=it),  # type: ignore[arg-type]
    "scan with_values": lambda client, it: client.scan(with_values=it),  # type: ignore[arg-type]
    "scan stale": lambda client, it: client.scan(stale=it),  # type: ignore[arg-type]
    "range key": lambda client, it: client.range(it),  # type: ignore[arg-type]
    "range prefix": lambda client, it: client.range(prefix=it),  # type: ignore[arg-type]
    "range end": lambda client, it: client.range("k", end=it),  # type: ignore[arg-type]
    "range revision": lambda client, it: client.range(revision=it),  # type: ignore[arg-type]
    "range limit": lambda client, it: client.range(limit=it),  # type: ignore[arg-type]
    "range by": lambda client, it: client.range(by=it),  # type: ignore[arg-type]
    "range reverse": lambda client, it: client.range(reverse=it),  # type: ignore[arg-type]
    "range keys_only": lambda client, it: client.range(keys_only=it),  # type: ignore[arg-type]
    "range count_only": lambda client, it: client.range(count_only=it),  # type: ignore[arg-type]
    "range bound": lambda client, it: client.range(max_mod_revision=it),  # type: ignore[arg-type]
    "range stale": lambda client, it: client.range(stale=it),  # type: ignore[arg-type]
    "history key": lambda client, it: client.history(it),  # type: ignore[arg-type]
    "history before": lambda client, it: client.history("k", before=it),  # type: ignore[arg-type]
    "history limit": lambda client, it: client.history("k", limit=it),  # type: ignore[arg-type]
    "history stale": lambda client, it: client.history("k", stale=it),  # type: ignore[arg-type]
    "count stale": lambda client, it: client.count(stale=it),  # type: ignore[arg-type]
    "status": lambda client, it: client.status(it),  # type: ignore[arg-type]
    "transfer_leader": lambda client, it: client.transfer_leader(it),  # type: ignore[arg-type]
    "execute": lambda client, it: client.execute(it),  # type: ignore[arg-type]
    "execute stale": lambda client, it: client.execute(api.Count(), stale=it),  # type: ignore[arg-type]
}

SETTINGS = (
    *("addresses", "timeout_ms", "follow", "on_redirect", "exactly_once", "reads_from_any"),
    "an address",
)


@pytest.fixture(scope="module")
def nobody() -> object:
    with ClosedPort() as port:
        yield port.address


def told(ask: Callable[[], object]) -> Exception | None:
    """What a caller is told; fails if it comes from deeper inside than where it is checked."""
    error: Exception | None = None
    try:
        ask()
    except (KvstoreError, TypeError) as raised:
        error = raised
    if isinstance(error, TypeError):
        assert Path(traceback.extract_tb(error.__traceback__)[-1].filename) == CHECKS, error
    assert "\n" not in str(error)
    assert len(str(error)) < 400
    return error


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("method", METHODS)
def test_each_argument_is_taken_or_refused_in_words(nobody: str, method: str, name: str) -> None:
    with Client(nobody, timeout_ms=1) as client:
        told(lambda: METHODS[method](client, HOSTILE[name]))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting_is_taken_or_refused_in_words(setting: str, name: str) -> None:
    hostile = HOSTILE[name]
    settings = {"addresses": [hostile]} if setting == "an address" else {setting: hostile}
    error = told(lambda: Client(**settings).close())  # type: ignore[arg-type]
    assert error is None or isinstance(error, ConfigError | TypeError)


# --- Which error it is, and in which words ------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "kind", "words"),
    [
        (lambda c: c.put("k", "v", guard=("k", "x")), TypeError, 'as ("lock", 17): a guard\'s rev'),
        (lambda c: c.put("k", "v", guard="kx"), TypeError, "a guard is a key and the mod_revision"),
        (
            lambda c: c.put("k", "v", guard=("k",)),
            TypeError,
            "a guard is a key and the mod_revision",
        ),
        (lambda c: c.put(3, "v"), TypeError, "keys and values are str or bytes, not int"),
        (lambda c: c.put("k", "v", if_absent=1), TypeError, "if_absent is True or False, not int"),
        (lambda c: c.put("k", "v", if_absent=True, if_value=""), ConfigError, "at most one of"),
        (lambda c: c.put("\ud800", "v"), RefusedError, "has no UTF-8"),
        (lambda c: c.get_many("ab"), TypeError, "several keys are wanted: give a list"),
        (lambda c: c.get_many(b"ab"), TypeError, "several keys are wanted: give a list"),
        (lambda c: c.get_many(bytearray(b"ab")), TypeError, "several keys are wanted"),
        (
            lambda c: c.get_many(7),
            TypeError,
            "several keys are wanted: give a list of them, not int",
        ),
        (
            lambda c: c.delete(["a", "b"]),
            TypeError,
            "each key, as in delete(*keys), is str or bytes, not list",
        ),
        (lambda c: c.put_many("ab"), TypeError, "give a mapping, or a list of pairs, not str"),
        (lambda c: c.put_many(["ab"]), TypeError, "give a mapping, or a list of pairs, not str"),
        (lambda c: c.increment("n", 2**64), RefusedError, "not a signed 64-bit integer"),
        (lambda c: c.increment("n", 1.0), TypeError, "an increment is an int, not float (1.0)"),
        (lambda c: c.scan(limit=0), ConfigError, "a limit is at least 1, not 0"),
        (lambda c: c.scan(limit=True), TypeError, "a limit is an int, not bool"),
        (lambda c: c.scan("k" * 481), RefusedError, "key has 481 bytes, the limit is 480"),
        (lambda c: c.transfer_leader(1 << 64), RefusedError, "a node's id is 1 to 65535"),
        (lambda c: c.transfer_leader("2"), TypeError, "a node's id is an int, not str ('2')"),
        (lambda c: c.status(9001), TypeError, "an address is a str, not int (9001)"),
        (lambda c: c.status("a..b:1"), ConfigError, "'a..b' is not a host name or IP address"),
        (lambda c: c.execute("get k"), TypeError, "no request that a node understands"),
        (lambda c: c.execute(api.Put(1, 2)), TypeError, "Expected `bytes`, got `int`"),
        (lambda c: c.execute(api.Put(b"", b""), stale=True), ConfigError, "cannot be stale"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(
    nobody: str, ask: Callable[[Client], object], kind: type[Exception], words: str
) -> None:
    with Client(nobody, timeout_ms=1) as client:
        error = told(lambda: ask(client))
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"addresses": "redis://localhost:6379"}, ConfigError, "no URL: write localhost:6379"),
        ({"addresses": "redis://"}, ConfigError, "no URL: write host:port"),
        ({"addresses": ["http://[::1]:9001/x"]}, ConfigError, "no URL: write [::1]:9001"),
        ({"addresses": [9001]}, TypeError, "an address is a str, not int (9001)"),
        ({"addresses": 9001}, TypeError, "addresses are text, as 'host:9001', or a list of such"),
        ({"addresses": b"9001"}, TypeError, "addresses are text, as 'host:9001', or a list"),
        ({"addresses": "a..b:9001"}, ConfigError, "'a..b' is not a host name"),
        ({"addresses": "[fe80::1%\x00]:9001"}, ConfigError, "is not a host name or IP address"),
        ({"timeout_ms": 2.5}, TypeError, "a timeout in ms is an int, not float (2.5)"),
        ({"timeout_ms": 10**5_000}, ConfigError, "to 3600000 ms, not a number of 16610 bits"),
        ({"on_redirect": "print"}, TypeError, "on_redirect is called, and cannot be str"),
        ({"follow": "no"}, TypeError, "follow is True or False, not str ('no')"),
    ],
)
def test_a_wrong_setting_is_told_when_the_client_is_made(
    settings: dict[str, object], kind: type[Exception], words: str
) -> None:
    error = told(lambda: Client(**settings))  # type: ignore[arg-type]
    assert type(error) is kind
    assert words in str(error)


# --- From the environment -----------------------------------------------------------------


def test_the_environment_has_settings_unless_they_are_given(
    nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVSTORE_TO", nobody)
    monkeypatch.setenv("KVSTORE_TIMEOUT_MS", "37")
    with Client.from_env() as client, pytest.raises(UnreachableError) as caught:
        client.get("k")
    assert f"within 37 ms ({nobody}: " in str(caught.value)
    with Client.from_env(timeout_ms=41) as client, pytest.raises(UnreachableError, match="41 ms"):
        client.get("k")
    monkeypatch.setenv("KVSTORE_TIMEOUT_MS", "soon")
    with pytest.raises(ConfigError, match=r"^KVSTORE_TIMEOUT_MS: 'soon' is not"):
        Client.from_env()
    with Client.from_env(timeout_ms=43) as client:
        assert client._timeout_ms == 43, "what is given is not asked of the environment"
    monkeypatch.setenv("KVSTORE_TO", "nobody:soon")
    with pytest.raises(ConfigError, match=r"^KVSTORE_TO: 'soon' is not a port"):
        Client.from_env(timeout_ms=43)
    monkeypatch.setenv("KVSTORE_TIMEOUT_MS", "")
    monkeypatch.setenv("KVSTORE_TO", "")
    with Client.from_env() as client:
        assert client._timeout_ms == 5_000


# --- What a programmer sees of a client ---------------------------------------------------


def test_a_client_tells_which_nodes_it_asks(nobody: str) -> None:
    assert repr(Client([nobody, "db2.example"])) == f"Client('{nobody},db2.example:9001')"


def test_the_package_tells_its_version() -> None:
    assert kvstore.__version__ == importlib.metadata.version("kvstore")
    assert "__version__" in dir(kvstore)
