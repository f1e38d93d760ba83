"""Histories as tests write them: one operation of a client after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.sim.history import Operation
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

K = b"k"
IDENTITY = Identity(format_version=1, cluster_id="test", node_id=1, incarnation="0" * 32)
BUSY = api.Failure(api.FailureCode.BUSY, "too many requests")
UNKNOWN = api.Failure(api.FailureCode.UNKNOWN, "the leader changed")
TOO_LONG = api.Failure(api.FailureCode.INVALID, "value has 9 bytes, the limit is 8")
NO_INTEGER = api.Failure(api.FailureCode.INVALID, "value is not an integer or out of range")


# --- Building histories -------------------------------------------------------------------


def record(value: bytes) -> api.KeyValue:
    return api.KeyValue(K, value, 1, 1, 1)


def operation(
    client: int, from_ms: float, until_ms: float, request: api.Request, result: api.Result | None
) -> Operation:
    return Operation(client, from_ms, until_ms, request, result)


def put(client: int, from_ms: float, until_ms: float, value: bytes) -> Operation:
    return operation(client, from_ms, until_ms, api.Put(K, value), api.PutResult(0, True))


def put_if(
    client: int,
    from_ms: float,
    until_ms: float,
    put: api.Put,
    written: bool,
    previous: bytes | None = None,
) -> Operation:
    met = None if previous is None else record(previous)
    return operation(client, from_ms, until_ms, put, api.PutResult(0, written, met))


def get(client: int, from_ms: float, until_ms: float, value: bytes | None) -> Operation:
    item = None if value is None else record(value)
    return operation(client, from_ms, until_ms, api.Get((K,)), api.GetResult(0, (item,)))


def exists(client: int, from_ms: float, until_ms: float, is_present: bool) -> Operation:
    item = record(b"") if is_present else None
    return operation(
        client, from_ms, until_ms, api.Get((K,), with_values=False), api.GetResult(0, (item,))
    )


def delete(client: int, from_ms: float, until_ms: float, deleted: int) -> Operation:
    return operation(client, from_ms, until_ms, api.Delete((K,)), api.DeleteResult(0, deleted))


def add(client: int, from_ms: float, until_ms: float, by: int, value: int | None) -> Operation:
    """An increment; its value is None where it was refused."""
    result = NO_INTEGER if value is None else api.IncrementResult(0, value)
    return operation(client, from_ms, until_ms, api.Increment(K, by), result)


def lost(client: int, from_ms: float, request: api.Request, until_ms: float = 0.0) -> Operation:
    """One that nobody can tell the outcome of."""
    return operation(client, from_ms, max(from_ms, until_ms), request, None)


ABSENT = api.Put(K, b"new", api.When.ABSENT)
FROM_A_TO_B = api.Put(K, b"b", api.When.EQUAL, b"a", return_previous=True)

GOOD = {
    "nothing happened": [],
    "one after another": [put(1, 0, 1, b"a"), get(2, 2, 3, b"a")],
    "a read during a write sees the old value": [put(1, 0, 9, b"a"), get(2, 1, 2, None)],
    "a read during a write sees the new value": [put(1, 0, 9, b"a"), get(2, 1, 2, b"a")],
    "a read that touches a write at one instant": [put(1, 0, 5, b"a"), get(2, 5, 6, None)],
    "a read during a write after one that saw it": [
        put(1, 0, 9, b"a"),
        get(2, 1, 4, b"a"),
        get(3, 3, 5, None),
    ],
    "concurrent writes in either order": [
        put(1, 0, 9, b"a"),
        put(2, 0, 9, b"b"),
        get(3, 10, 11, b"a"),
    ],
    "reads need an order against that of invocation": [
        put(1, 0, 9, b"a"),
        put(2, 1, 9, b"b"),
        get(3, 2, 4, b"b"),
        get(3, 5, 7, b"a"),
    ],
    "an unknown write is invoked at the instant at which a read of it returns": [
        lost(1, 5, api.Put(K, b"a")),
        get(2, 1, 5, b"a"),
    ],
    "an unknown increment, and a later one": [
        lost(1, 0, api.Increment(K, 1)),
        get(2, 1, 2, b"1"),
        lost(1, 3, api.Increment(K, 1)),
        get(2, 4, 5, b"2"),
    ],
    "an unknown write is better kept for later": [
        put(1, 0, 1, b"a"),
        put(1, 2, 9, b"b"),
        put_if(2, 3, 9, FROM_A_TO_B, True, b"a"),
        lost(3, 4, api.Put(K, b"a")),
        get(1, 10, 11, b"a"),
    ],
    "a value that is only compared with": [
        put(1, 0, 1, b"c"),
        put(1, 2, 3, b"a"),
        put_if(1, 4, 5, api.Put(K, b"b", api.When.EQUAL, b"a"), True),
    ],
    "a repeated answer says whether the value was replaced, and not what it was": [
        put(1, 0, 1, b"a"),
        operation(1, 2, 3, FROM_A_TO_B, api.Repeated(2, True)),
        operation(2, 4, 5, FROM_A_TO_B, api.Repeated(2, False)),
        get(1, 6, 7, b"b"),
    ],
    "a request beyond the limits leaves no trace": [
        operation(1, 0, 1, api.Put(K, b"a"), TOO_LONG),
        operation(1, 2, 3, api.Get((K,)), TOO_LONG),
        get(1, 4, 5, None),
    ],
    "an unknown write is never seen": [lost(1, 0, api.Put(K, b"a")), get(2, 5, 6, None)],
    "an unknown write is seen": [lost(1, 0, api.Put(K, b"a")), get(2, 5, 6, b"a")],
    "an unknown write takes effect after its client gave up": [
        lost(1, 0, api.Put(K, b"a"), until_ms=1),
        get(2, 5, 6, None),
        get(2, 7, 8, b"a"),
    ],
    "an unknown failure is as good as no answer": [
        operation(1, 0, 1, api.Put(K, b"a"), UNKNOWN),
        get(2, 5, 6, b"a"),
    ],
    "an unknown write overwrites a later known one": [
        lost(1, 0, api.Put(K, b"a")),
        put(2, 2, 3, b"b"),
        get(2, 4, 5, b"b"),
        get(2, 6, 7, b"a"),
    ],
    "an unknown delete explains an absence": [
        put(1, 0, 1, b"a"),
        lost(2, 2, api.Delete((K,))),
        get(3, 4, 5, None),
    ],
    "unknown increments happen twice of three times": [
        *(lost(one, one, api.Increment(K, 5)) for one in range(3)),
        get(3, 10, 11, b"10"),
    ],
    "an unknown write makes a conditional one fail": [
        lost(1, 0, api.Put(K, b"nobody sees it")),
        put_if(2, 2, 3, ABSENT, False),
    ],
    "an unknown write follows from another one": [
        lost(1, 0, api.Put(K, b"a")),
        lost(2, 0, FROM_A_TO_B),
        get(3, 2, 3, b"b"),
    ],
    "two unknown writes that nobody sees, one by one": [
        lost(1, 0, api.Put(K, b"x")),
        lost(2, 0, api.Put(K, b"y")),
        delete(3, 2, 3, 1),
        delete(3, 4, 5, 1),
        delete(3, 6, 7, 0),
    ],
    "an unknown value that nobody saw is an integer": [
        lost(1, 0, api.Put(K, b"x")),
        lost(2, 0, api.Put(K, b"41")),
        add(3, 2, 3, 1, 42),
    ],
    "two clients write the same, and one value is deleted between": [
        put(1, 0, 1, b"a"),
        put(2, 2, 9, b"a"),
        delete(3, 2, 4, 1),
        get(3, 5, 6, None),
        get(3, 10, 11, b"a"),
    ],
    "an unknown read says nothing": [put(1, 0, 1, b"a"), lost(2, 2, api.Get((K,)))],
    "a refused write leaves no trace": [
        operation(1, 0, 1, api.Put(K, b"a"), BUSY),
        get(2, 2, 3, None),
    ],
    "an increment of text is refused": [put(1, 0, 1, b"a"), add(2, 2, 3, 1, None)],
    "an increment beyond the range is refused": [
        put(1, 0, 1, b"%d" % api.INTEGER_MAX),
        add(2, 2, 3, 1, None),
        add(2, 4, 5, -1, api.INTEGER_MAX - 1),
    ],
    "a compare and set": [
        put(1, 0, 1, b"a"),
        put_if(2, 2, 3, FROM_A_TO_B, True, b"a"),
        put_if(3, 4, 5, FROM_A_TO_B, False, b"b"),
    ],
    "presence without values": [
        exists(1, 0, 1, False),
        put(1, 2, 3, b"a"),
        exists(1, 4, 5, True),
    ],
}

BAD = {
    "a repeated answer says that a value was replaced that was not there": [
        put(1, 0, 1, b"c"),
        operation(1, 2, 3, FROM_A_TO_B, api.Repeated(2, True)),
    ],
    "a repeated answer says that a value was not replaced that was there": [
        put(1, 0, 1, b"a"),
        operation(1, 2, 3, FROM_A_TO_B, api.Repeated(1, False)),
    ],
    "a stale read after a completed write": [put(1, 0, 1, b"a"), get(2, 2, 3, None)],
    "a stale read during a longer write, which began after the first": [
        put(1, 0, 3, b"a"),
        put(2, 1, 20, b"b"),
        get(3, 5, 6, None),
    ],
    "a lost update": [
        put(1, 0, 1, b"0"),
        add(1, 2, 5, 1, 1),
        add(2, 2, 5, 1, 1),
    ],
    "a duplicate increment": [add(1, 0, 1, 1, 1), get(2, 2, 3, b"2")],
    "an unknown increment happens twice": [
        lost(1, 0, api.Increment(K, 1)),
        get(2, 2, 3, b"2"),
    ],
    "a read of a refused write": [
        operation(1, 0, 1, api.Put(K, b"a"), BUSY),
        get(2, 2, 3, b"a"),
    ],
    "a value from nowhere": [put(1, 0, 1, b"a"), get(2, 0, 3, b"b")],
    "an unknown write seen, unseen and seen": [
        put(1, 0, 1, b"a"),
        lost(2, 2, api.Put(K, b"b")),
        get(3, 4, 5, b"b"),
        get(3, 6, 7, b"a"),
        get(3, 8, 9, b"b"),
    ],
    "an unknown write takes effect twice": [
        lost(1, 0, api.Put(K, b"a")),
        get(2, 1, 2, b"a"),
        put(2, 3, 4, b"b"),
        get(2, 5, 6, b"a"),
    ],
    "an unknown write takes effect before its invocation": [
        get(1, 0, 1, b"a"),
        lost(2, 2, api.Put(K, b"a")),
    ],
    "conditional puts both succeed": [
        put_if(1, 0, 9, ABSENT, True),
        put_if(2, 0, 9, ABSENT, True),
    ],
    "a compare and set wins twice": [
        put(1, 0, 1, b"a"),
        put_if(2, 2, 9, FROM_A_TO_B, True, b"a"),
        put_if(3, 2, 9, FROM_A_TO_B, True, b"a"),
    ],
    "a conditional put fails without a reason": [put_if(1, 0, 9, ABSENT, False)],
    "a put if present succeeds on nothing": [
        put_if(1, 0, 1, api.Put(K, b"a", api.When.PRESENT), True)
    ],
    "a compare and set succeeds on another value": [
        put(1, 0, 1, b"c"),
        put_if(1, 2, 3, FROM_A_TO_B, True, b"c"),
    ],
    "the previous value is wrong": [
        put(1, 0, 1, b"a"),
        put_if(2, 2, 3, api.Put(K, b"b", return_previous=True), True, b"c"),
    ],
    "the previous value is missing": [
        put(1, 0, 1, b"a"),
        put_if(2, 2, 3, api.Put(K, b"b", return_previous=True), True, None),
    ],
    "a delete counts what is not there": [delete(1, 0, 1, 1)],
    "a delete does not count what is there": [put(1, 0, 1, b"a"), delete(1, 2, 3, 0)],
    "a deleted key is still there": [
        put(1, 0, 1, b"a"),
        delete(1, 2, 3, 1),
        exists(2, 4, 5, True),
    ],
    "reading goes back in time between two clients": [
        put(1, 0, 1, b"a"),
        put(1, 2, 20, b"b"),
        get(2, 3, 4, b"b"),
        get(3, 5, 6, b"a"),
    ],
    "two readers see two writes in two orders": [
        put(1, 0, 9, b"a"),
        put(2, 0, 9, b"b"),
        get(3, 10, 11, b"a"),
        get(4, 12, 13, b"b"),
    ],
    "two unknown writes that nobody sees are deleted thrice": [
        lost(1, 0, api.Put(K, b"x")),
        lost(2, 0, api.Put(K, b"y")),
        delete(3, 2, 3, 1),
        delete(3, 4, 5, 1),
        delete(3, 6, 7, 1),
    ],
    "an increment of an integer is refused": [put(1, 0, 1, b"7"), add(2, 2, 3, 1, None)],
    "text is incremented": [put(1, 0, 1, b"+7"), add(2, 2, 3, 1, 8)],
    "an answer that belongs to another request": [
        operation(1, 0, 1, api.Increment(K, 1), api.DeleteResult(0, 1))
    ],
    "a record of another key": [
        put(1, 0, 1, b"a"),
        operation(
            1, 2, 3, api.Get((K,)), api.GetResult(0, (api.KeyValue(b"other", b"a", 1, 1, 1),))
        ),
    ],
}


# --- By chance ----------------------------------------------------------------------------


class Copy:
    """The production state machine over one key, without replication."""

    def __init__(self) -> None:
        self.machine = StateMachine(MemoryState(IDENTITY), Applied(), 1 << 20, api.SessionRules())

    def answer(self, request: api.Request) -> api.Result:
        if isinstance(request, api.COMMANDS):
            data = msgspec.msgpack.encode(request)
            return self.machine.apply(self.machine.last_applied + 1, data).result
        assert isinstance(request, api.Get)
        return self.machine.query(request)


VALUES = (b"a", b"b", b"c", b"1", b"2", b"%d" % api.INTEGER_MAX)


def random_request(rng: random.Random, key: bytes = K) -> api.Request:
    value, expected = rng.choice(VALUES), rng.choice(VALUES)
    when = rng.choice([*api.When, api.When.ALWAYS])
    requests: list[api.Request] = [
        api.Put(key, value),
        api.Put(
            key,
            value,
            when,
            expected if when is api.When.EQUAL else None,
            rng.random() < 0.5,
        ),
        api.Delete((key,)),
        api.Increment(key, rng.choice([1, 1, 2, -1])),
        api.Get((key,)),
        api.Get((key,), with_values=rng.random() < 0.5),
    ]
    return rng.choice(requests)


def repeated(result: api.Result | None) -> api.Result | None:
    """The answer when the record in it was too large to be kept."""
    if isinstance(result, api.PutResult) and result.previous is not None:
        return api.Repeated(result.revision, result.written)
    return result


def random_history(
    rng: random.Random, size: int, overlap_ms: float, keys: Sequence[bytes] = (K,)
) -> list[Operation]:
    """Operations that took effect one by one, each at a random time of its duration."""
    plans = []
    for client in range(size):
        invoked_ms = float(rng.randrange(10 * size))
        returned_ms = invoked_ms + rng.uniform(0, overlap_ms)
        fate = rng.choice(["told"] * 6 + ["lost", "never", "refused"])
        effect_ms = rng.uniform(invoked_ms, returned_ms)
        if fate == "lost":
            effect_ms = invoked_ms + rng.uniform(0, 10 * size)
        plans.append((effect_ms, client, invoked_ms, returned_ms, fate))
    copy = Copy()
    history = []
    for _, client, invoked_ms, returned_ms, fate in sorted(plans):
        request = random_request(rng, rng.choice(keys))
        result = copy.answer(request) if fate in ("told", "lost") else BUSY
        seen = rng.choice([None, UNKNOWN]) if fate in ("lost", "never") else result
        if rng.random() < 0.3:
            seen = repeated(seen)
        history.append(Operation(client, invoked_ms, returned_ms, request, seen))
    rng.shuffle(history)
    return history
