"""What no node takes is refused by the client, with the numbers, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scripted_node import OK, ClosedPort, ScriptedNode

from kvstore import Client, RefusedError, api
from kvstore.config.limits import VALUE_BYTES_CEILING, Limits

KEY = b"k" * (api.KEY_BYTES_MAX + 1)
VALUE = bytes(VALUE_BYTES_CEILING + 1)
HUGE = bytes(200_000_000)
KEY_LIMIT = f"key has {len(KEY)} bytes, the limit is {api.KEY_BYTES_MAX}"
VALUE_LIMIT = f"value has {len(VALUE)} bytes, the limit is {VALUE_BYTES_CEILING}"
MANY = [b"k"] * (Limits().request_arguments_max + 1)

TOO_MUCH: list[tuple[str, Callable[[Client], object]]] = [
    (KEY_LIMIT, lambda client: client.put(KEY, b"v")),
    (VALUE_LIMIT, lambda client: client.put(b"k", VALUE)),
    ("value has 200000000 bytes, the limit is ", lambda client: client.put(b"k", HUGE)),
    (VALUE_LIMIT, lambda client: client.put(b"k", b"v", if_value=VALUE)),
    (f"the guard's {KEY_LIMIT}", lambda client: client.put(b"k", b"v", guard=(KEY, 1))),
    (f"the guard's {KEY_LIMIT}", lambda client: client.increment(b"k", guard=(KEY, 1))),
    ("a guard's revision is 0 to ", lambda client: client.delete(b"k", guard=(b"l", 1 << 63))),
    (
        f"the pairs have {len(VALUE) + 1} bytes together, the limit is {VALUE_BYTES_CEILING}",
        lambda client: client.execute(api.PutMany(((b"k", VALUE),))),
    ),
    (KEY_LIMIT, lambda client: client.execute(api.PutMany(((KEY, b"v"),)))),
    (KEY_LIMIT, lambda client: client.delete(b"k", KEY)),
    ("too many keys, the limit is ", lambda client: client.delete(*MANY)),
    (KEY_LIMIT, lambda client: client.increment(KEY)),
    ("increment is not a signed 64-bit integer", lambda client: client.increment(b"k", 1 << 64)),
    (VALUE_LIMIT, lambda client: client.execute(api.Once(1, 1, api.Put(b"k", VALUE)))),
    (KEY_LIMIT, lambda client: client.get(KEY)),
    (KEY_LIMIT, lambda client: client.get(KEY, stale=True)),
    (KEY_LIMIT, lambda client: client.get_many([b"k", KEY])),
    ("too many keys, the limit is ", lambda client: client.get_many(MANY)),
    (KEY_LIMIT, lambda client: next(client.scan(KEY))),
    (KEY_LIMIT, lambda client: next(client.scan(b"k", start=KEY))),
]


@pytest.mark.parametrize(
    ("words", "ask"), TOO_MUCH, ids=[str(number) for number in range(len(TOO_MUCH))]
)
def test_what_no_node_takes_is_refused_before_anything_is_sent(
    words: str, ask: Callable[[Client], object]
) -> None:
    with ClosedPort() as nobody, Client([nobody.address]) as client:
        for _ in range(2):
            with pytest.raises(RefusedError, match="nothing was sent") as caught:
                ask(client)
            assert words in str(caught.value)


def test_the_longest_key_and_value_that_a_node_may_take_are_sent() -> None:
    put = api.Put(KEY[1:], VALUE[1:])
    with ScriptedNode(OK) as node, Client([node.address], timeout_ms=60_000) as client:
        assert client.put(put.key, put.value) == OK
        assert node.requests == [put]
