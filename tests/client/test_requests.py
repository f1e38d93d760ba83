"""What the client asks for, and what it makes of the answers."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from scripted_node import (
    OK,
    Misbehave,
    ScriptedNode,
    Step,
)

from kvstore import Client, ProtocolError, api
from kvstore.client.arguments import Text

from .answers import FOO, FOUND
from .numbers import numbers


def test_text_is_sent_as_utf8_and_bytes_untouched() -> None:
    with ScriptedNode(OK, OK) as node, Client([node.address]) as client:
        assert client.put("clé", "é") == OK
        client.put(b"\x00\xff", b"\r\n\x00")
        assert node.requests == [
            api.Put("clé".encode(), "é".encode()),
            api.Put(b"\x00\xff", b"\r\n\x00"),
        ]
        assert node.connections == 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_sent_as_they_are_now(kind: Callable[[bytes], Text]) -> None:
    with ScriptedNode(*[OK] * 5) as node, Client([node.address]) as client:
        node.extend(api.IncrementResult(1, 1), FOUND, api.ScanResult(1, (), None))
        key, value = kind(b"k\x00"), kind(b"v\xff")
        client.put(key, value)
        client.put(key, value, if_value=value, guard=(key, 3))
        client.put_many({"a": value})
        client.put_many([(key, value), ("a", "1")], guard=(key, 3))
        client.execute(api.Put(key, value))  # type: ignore[arg-type]
        client.increment(key)
        client.get(key)
        list(client.scan(key, start=key))
        k, v = b"k\x00", b"v\xff"
        assert node.requests == [
            api.Put(k, v),
            api.Put(k, v, api.When.EQUAL, v, guard=api.Guard(k, 3)),
            api.PutMany(((b"a", v),)),
            api.PutMany(((k, v), (b"a", b"1")), guard=api.Guard(k, 3)),
            api.Put(k, v),
            api.Increment(k, 1),
            api.Get((k,)),
            api.Scan(k, k, 100),
        ]


def test_what_is_changed_after_it_was_given_is_sent_as_it_was() -> None:
    """A retry of a write must be the same write."""
    value = bytearray(b"one")

    def lose() -> Misbehave:
        value[:] = b"two"
        return Misbehave.HANG_UP

    with ScriptedNode(lose, OK) as node, Client([node.address]) as client:
        client.put("k", value)
        assert node.requests == [api.Put(b"k", b"one")] * 2


def test_put_many_is_one_request_under_a_session_like_others() -> None:
    nothing = api.PutResult(1, False)
    with ScriptedNode(OK, nothing) as node, Client([node.address]) as client:
        assert client.put_many({"a": "1", b"b": b"2"}) == OK
        assert client.put_many(()) == nothing
        assert numbers(node) == [(1, 1), (1, 2)]
        assert node.requests == [api.PutMany(((b"a", b"1"), (b"b", b"2"))), api.PutMany(())]


def test_each_condition_is_sent() -> None:
    refused = api.PutResult(revision=1, written=False)
    with ScriptedNode(refused, OK, OK) as node, Client([node.address]) as client:
        assert client.put("k", "v", if_absent=True).written is False
        client.put("k", "v", if_present=True)
        client.put("k", "v", if_value="")
        assert node.requests == [
            api.Put(b"k", b"v", api.When.ABSENT),
            api.Put(b"k", b"v", api.When.PRESENT),
            api.Put(b"k", b"v", api.When.EQUAL, b""),
        ]


def test_two_conditions_at_once_are_a_mistake_of_the_caller() -> None:
    with Client() as client, pytest.raises(ValueError, match="at most one"):
        client.put("k", "v", if_absent=True, if_value="")


def test_a_number_is_not_a_key() -> None:
    with Client() as client, pytest.raises(TypeError, match="int"):
        client.get(1)  # type: ignore[arg-type]


def test_what_is_not_an_integer_is_refused_before_anything_is_sent() -> None:
    with Client() as client:
        for wrong in (1.5, "1", True, None):
            with pytest.raises(TypeError, match="an increment is an int, not "):
                client.increment("n", wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="a guard's revision is an int, not"):
                client.put("k", "v", guard=("lock", wrong))  # type: ignore[arg-type]


def test_get_returns_the_record_or_none() -> None:
    with (
        ScriptedNode(FOUND, api.GetResult(2, (None,))) as node,
        Client([node.address]) as client,
    ):
        assert client.get("foo") == FOO
        assert client.get("absent") is None


def test_get_many_keeps_the_order() -> None:
    answer = api.GetResult(2, (None, FOO))
    with ScriptedNode(answer) as node, Client([node.address]) as client:
        assert client.get_many(["absent", b"foo"]) == [None, FOO]
        assert node.requests == [api.Get((b"absent", b"foo"))]


def test_delete_increment_and_count_return_their_numbers() -> None:
    script: list[Step] = [
        api.DeleteResult(3, 1),
        api.IncrementResult(4, 42),
        api.CountResult(4, 7),
    ]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        assert client.delete("a", b"b").deleted == 1
        assert client.increment("n", -3) == 42
        assert client.count() == 7
        assert node.requests == [
            api.Delete((b"a", b"b")),
            api.Increment(b"n", -3),
            api.Count(),
        ]


def test_scan_asks_for_page_after_page() -> None:
    def record(key: bytes) -> api.KeyValue:
        return api.KeyValue(key, b"", 1, 1, 1)

    first = api.ScanResult(1, (record(b"a1"), record(b"a2")), next_start=b"a2\x00")
    second = api.ScanResult(2, (record(b"a3"),), next_start=None)
    with ScriptedNode(first, second) as node, Client([node.address]) as client:
        keys = [item.key for item in client.scan("a", with_values=False)]
        assert keys == [b"a1", b"a2", b"a3"]
        assert [r.start for r in node.requests if isinstance(r, api.Scan)] == [None, b"a2\x00"]
        assert all(isinstance(r, api.Scan) and r.prefix == b"a" for r in node.requests)


def page_of(*keys: bytes, next_start: bytes | None = None) -> api.ScanResult:
    return api.ScanResult(1, tuple(api.KeyValue(key, b"", 1, 1, 1) for key in keys), next_start)


@pytest.mark.parametrize(
    ("start", "reverse", "next_start"),
    [
        (None, False, b""),
        ("b", False, b"b"),
        ("b", False, b"a"),
        ("b", True, b"b"),
        ("", True, b""),
    ],
)
def test_a_scan_that_does_not_advance_ends_with_an_error(
    start: str | None, reverse: bool, next_start: bytes
) -> None:
    stuck = page_of(next_start=next_start)
    with (
        ScriptedNode(stuck, stuck) as node,
        Client([node.address]) as client,
        pytest.raises(ProtocolError),
    ):
        list(client.scan(start=start, reverse=reverse))


def test_a_scan_in_reverse_goes_on_down_to_the_empty_key() -> None:
    pages = [page_of(b"b", b"a", next_start=b""), page_of(b"")]
    with ScriptedNode(*pages) as node, Client([node.address]) as client:
        assert [item.key for item in client.scan(reverse=True)] == [b"b", b"a", b""]
        assert node.requests == [api.Scan(reverse=True), api.Scan(b"", reverse=True)]


def test_a_scan_with_a_limit_asks_for_no_more_than_that() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        keys = [b"%03d" % n for n in range(150)]
        node.extend(page_of(*keys[:100], next_start=keys[100]), page_of(*keys[100:120]))
        found = [item.key for item in client.scan(limit=120, start="000")]
        assert found == keys[:120]
        assert [r.limit for r in node.requests if isinstance(r, api.Scan)] == [100, 20]
        node.extend(page_of(b"a", next_start=b"b"))
        assert [item.key for item in client.scan(limit=1)] == [b"a"]
        assert len(node.requests) == 3


def test_a_large_answer_in_pieces_is_put_together() -> None:
    value = os.urandom(3 << 20)
    record = api.KeyValue(b"k", value, 1, 1, 1)
    with (
        ScriptedNode(api.GetResult(1, (record,))) as node,
        Client([node.address]) as client,
    ):
        assert client.get("k") == record
