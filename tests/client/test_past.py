"""What a client asks for ranges and for versions of a key, and what comes of the answers."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_node import ScriptedNode

from kvstore import Client, CompactedError, ConfigError, ProtocolError, RefusedError, api

EMPTY = api.RangeResult(7, (), False, 0)
A = api.Version(9, api.KeyValue(b"k", b"new", 2, 9, 2))
GONE = api.Version(5, None)
B = api.Version(2, api.KeyValue(b"k", b"old", 2, 2, 1))


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ({}, api.Range(b"", b"\0")),
        ({"key": "a"}, api.Range(b"a")),
        ({"key": "a", "end": "b"}, api.Range(b"a", b"b")),
        ({"end": "b"}, api.Range(b"", b"b")),
        ({"prefix": "a"}, api.Range(b"a", b"b")),
        ({"prefix": b"a\xff"}, api.Range(b"a\xff", b"b")),
        ({"prefix": b"\xff"}, api.Range(b"\xff", b"\0")),
        ({"prefix": ""}, api.Range(b"", b"\0")),
        ({"key": "a", "revision": 7, "keys_only": True}, api.Range(b"a", None, 7, keys_only=True)),
        ({"key": "a", "by": "mod"}, api.Range(b"a", target=api.Target.MOD)),
        ({"key": "a", "reverse": True}, api.Range(b"a", order=api.Order.DESCEND)),
        (
            {
                "limit": 3,
                "count_only": True,
                "min_mod_revision": 1,
                "max_mod_revision": 2,
                "min_create_revision": 3,
                "max_create_revision": 4,
            },
            api.Range(
                *(b"", b"\0"),
                limit=3,
                count_only=True,
                min_mod=1,
                max_mod=2,
                min_create=3,
                max_create=4,
            ),
        ),
    ],
)
def test_a_range_is_asked_for_in_etcds_words(words: dict[str, Any], asked: api.Range) -> None:
    with ScriptedNode(EMPTY) as node, Client([node.address]) as client:
        assert client.range(**words) == EMPTY
        assert node.requests == [asked]


def test_what_contradicts_itself_is_not_asked() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        with pytest.raises(ConfigError, match="give a prefix, or a key"):
            client.range("a", prefix="a")
        with pytest.raises(ConfigError, match="ordered by one of key, version"):
            client.range(by="size")  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match="a revision is 0 to"):
            client.range(revision=-1)
        with pytest.raises(RefusedError, match="key has 481 bytes"):
            client.range("k" * 482)
        assert node.requests == []


def test_versions_come_page_by_page() -> None:
    pages = [api.HistoryResult(9, (A, GONE), True, 0), api.HistoryResult(9, (B,), False, 0)]
    with ScriptedNode(*pages) as node, Client([node.address]) as client:
        assert list(client.history("k")) == [A, GONE, B]
        assert node.requests == [api.History(b"k"), api.History(b"k", 5)]


def test_a_limit_of_versions_asks_for_no_more_than_that() -> None:
    page = api.HistoryResult(9, (A, GONE), True, 0)
    with ScriptedNode(page) as node, Client([node.address]) as client:
        assert list(client.history("k", limit=2, before=12)) == [A, GONE]
        assert node.requests == [api.History(b"k", 12, 2)]


def test_what_is_dropped_meanwhile_is_told_no_more() -> None:
    """But whoever begins there is told where history begins."""
    page = api.HistoryResult(9, (A, GONE), True, 0)
    gone = api.Failure(api.FailureCode.COMPACTED, "not kept", compacted=6)
    with ScriptedNode(page, gone, gone) as node, Client([node.address]) as client:
        assert list(client.history("k")) == [A, GONE]
        with pytest.raises(CompactedError, match="not kept") as told:
            list(client.history("k", before=4))
    assert (told.value.floor, told.value.code, told.value.retryable) == (6, "COMPACTED", False)


@pytest.mark.parametrize("versions", [(), (api.Version(5, None),)])
def test_a_history_that_does_not_advance_ends_with_an_error(versions: tuple[Any, ...]) -> None:
    page = api.HistoryResult(9, versions, True, 0)
    with (
        ScriptedNode(page, page) as node,
        Client([node.address]) as client,
        pytest.raises(ProtocolError, match="does not advance"),
    ):
        list(client.history("k"))


def test_a_revision_that_is_not_there_yet_is_refused_at_once() -> None:
    future = api.Failure(api.FailureCode.FUTURE, "revision 9 is not there yet")
    with ScriptedNode(future) as node, Client([node.address]) as client:
        with pytest.raises(RefusedError, match="not there yet") as told:
            client.range("k", revision=9)
        assert (told.value.code, len(node.requests)) == ("FUTURE", 1)
