"""The checker of client histories: it knows good ones from bad ones, and agrees with brute force.

Law: brute force shares nothing with the checker. It tries every order of every choice of
unknown operations, on the production state machine; so the checker's own model, too, is
held against the one that it judges.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.sim.checkers.linearizability import check_history, describe
from kvstore.sim.history import Operation
from kvstore.storage.base import Applied, Identity
from kvstore.storage.memory import MemoryState

K = b"k"
IDENTITY = Identity(
    format_version=1, cluster_id="test", node_id=1, members=(1,), incarnation="0" * 32
)
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


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_a_history_that_an_order_explains_passes(history: list[Operation]) -> None:
    assert check_history(history) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_a_history_that_no_order_explains_is_a_finding(history: list[Operation]) -> None:
    assert len(check_history(history)) == 1


@pytest.mark.parametrize("history", [*GOOD.values(), *BAD.values()], ids=[*GOOD, *BAD])
def test_brute_force_agrees_on_the_examples(history: list[Operation]) -> None:
    assert bool(check_history(history)) != is_explained_by_brute_force(history)


# --- What it says -------------------------------------------------------------------------


def test_keys_are_judged_apart() -> None:
    other = Operation(1, 2, 3, api.Get((b"other",)), api.GetResult(0, (None,)))
    findings = check_history([put(1, 0, 1, b"a"), other, get(1, 4, 5, None)])
    assert [finding.splitlines()[0] for finding in findings] == [
        "key k: no order explains what clients saw in 2 operations"
    ]


def test_a_finding_tells_where_no_order_goes_on() -> None:
    history = [
        operation(3, 120, 140.2, api.Put(K, b"a"), api.PutResult(7, True)),
        lost(5, 125, api.Put(K, b"c"), until_ms=2_625),
        operation(2, 150, 151.25, api.Increment(K, 4), NO_INTEGER),
        operation(4, 160, 170, api.Get((K,)), api.GetResult(8, (api.KeyValue(K, b"b", 8, 8, 1),))),
        put(1, 180, 190, b"d"),
        lost(6, 130, api.Get((K,))),
        operation(6, 131, 132, api.Get((K,)), UNKNOWN),
    ]
    (finding,) = check_history(history)
    assert finding.splitlines() == [
        "key k: no order explains what clients saw in 4 operations",
        "  the longest order found explains 2 of them, and ends",
        "    client 3 [120.0 .. 140.2 ms] put k = 'a' -> revision 7",
        "    client 2 [150.0 .. 151.2 ms] increment k by 4"
        " -> refused, ERR value is not an integer or out of range",
        "  so k is 'a', and none of these can come next",
        "    client 4 [160.0 .. 170.0 ms] get k -> 'b' of revision 8, revision 8",
        "  with or without 1 whose outcome is unknown, the latest",
        "    client 5 [125.0 .. 2625.0 ms] put k = 'c' -> outcome unknown",
    ]


def test_a_finding_shows_the_clients_own_values() -> None:
    """Though the search took one for the other, as nobody told them apart."""
    (finding,) = check_history([put(1, 0, 1, b"a"), put(1, 2, 3, b"b"), get(1, 4, 5, b"c")])
    assert "so k is 'b'" in finding


def test_a_long_order_is_cut_in_a_finding() -> None:
    history = [put(1, 2 * n, 2 * n + 1, b"%d" % n) for n in range(50)]
    (finding,) = check_history([*history, get(1, 200, 201, None)])
    lines = finding.splitlines()
    assert lines[1] == "  the longest order found explains 50 of them, and ends"
    assert lines[13] == f"    {describe(history[-1])}"
    assert len(lines) == 2 + 12 + 2


@pytest.mark.parametrize(
    ("request_", "result", "line"),
    [
        (ABSENT, api.PutResult(3, False), "put k = 'new' if absent -> not written, revision 3"),
        (
            FROM_A_TO_B,
            api.PutResult(3, True, api.KeyValue(K, b"a", 1, 2, 2)),
            "put k = 'b' if it is 'a' -> revision 3, previous 'a' of revision 2",
        ),
        (
            api.Delete((K, b"\xff")),
            api.DeleteResult(3, 1),
            "delete k \\xff -> deleted 1, revision 3",
        ),
        (api.Increment(K, -2), api.IncrementResult(3, 40), "increment k by -2 -> 40, revision 3"),
        (api.Get((K,)), api.GetResult(3, (None,)), "get k -> absent, revision 3"),
        (
            api.Get((K,), with_values=False),
            api.GetResult(3, (api.KeyValue(K, b"", 1, 2, 2),)),
            "get without values k -> '' of revision 2, revision 3",
        ),
        (api.Get((K,)), BUSY, "get k -> refused, BUSY too many requests"),
        (api.Get((K,)), UNKNOWN, "get k -> outcome unknown"),
    ],
)
def test_an_operation_is_one_readable_line(
    request_: api.Request, result: api.Result, line: str
) -> None:
    assert describe(operation(1, 0, 1, request_, result)) == f"client 1 [0.0 .. 1.0 ms] {line}"


@pytest.mark.parametrize(
    "request_",
    [
        api.PutMany(((K, b"a"),)),
        api.Delete((K, K)),
        api.Get((K, b"other")),
        api.Get(()),
        api.Scan(),
        api.Count(),
    ],
)
def test_requests_that_are_not_of_one_key_are_not_judged(request_: api.Request) -> None:
    with pytest.raises(ValueError, match="is not modelled"):
        check_history([lost(1, 0, request_)])


# --- Bounds -------------------------------------------------------------------------------


def hard_history(writes: int) -> list[Operation]:
    """Unknown increments of all sizes, to reach a sum that is out of their reach by one."""
    unknown = [lost(n, n, api.Increment(K, 2 * 3**n)) for n in range(writes)]
    return [*unknown, get(99, 100, 101, b"%d" % (3**writes))]


def test_a_search_that_is_too_long_is_a_finding_and_never_a_pass() -> None:
    history = hard_history(12)
    (finding,) = check_history(history, steps_max=500)
    assert finding.startswith("key k: not decided within 500 steps whether an order explains")


def test_a_decided_search_does_not_say_undecided() -> None:
    (finding,) = check_history(hard_history(6), steps_max=10_000)
    assert "no order explains" in finding


def test_long_histories_need_no_recursion() -> None:
    history = [put(1, 2 * n, 2 * n + 1, b"%d" % n) for n in range(3_000)]
    assert check_history(history) == []


def rounds_with_a_useless_unknown_write(rounds: int) -> list[Operation]:
    """In each, two writes fit in one order by themselves, and in the other with the unknown one."""
    history = []
    for n in range(rounds):
        old, new, at = b"old %d" % n, b"new %d" % n, 10 * n
        history += [
            put(1, at, at + 1, old),
            put_if(2, at + 2, at + 9, api.Put(K, new, api.When.EQUAL, old), True),
            put(1, at + 3, at + 9, new),
            lost(3, at + 4, api.Put(K, old)),
        ]
    return history


CHEAP = {
    "reads at one time": (50, [get(n, 0, 90, None) for n in range(16)]),
    "writes at one time": (10_000, [put(n, 0, 90, b"%d" % n) for n in range(8)]),
    "unknown writes that nobody saw": (
        1_000,
        [lost(n, n, api.Put(K, b"lost %d" % n)) for n in range(60)]
        + [put(99, 60 + n, 60.5 + n, b"%d" % n) for n in range(30)],
    ),
    "unknown writes that were seen": (
        2_000,
        [lost(n, n, api.Put(K, b"lost %d" % n)) for n in range(40)]
        + [get(99, 50 + n, 50.5 + n, b"lost %d" % (7 * n % 40)) for n in range(40)],
    ),
    "unknown writes that ask for the same": (
        1_000,
        [lost(n, n, api.Increment(K, 1)) for n in range(24)] + [get(99, 50, 51, b"12")],
    ),
    "unknown writes that might have been spent": (1_000, rounds_with_a_useless_unknown_write(9)),
    "an unknown write of what is there": (4, [put(1, 0, 1, b"a"), lost(2, 0, api.Put(K, b"a"))]),
    "an unknown write before a known one": (
        5,
        [lost(1, 0, api.Put(K, b"a")), put(2, 0, 1, b"b"), get(2, 2, 3, b"b")],
    ),
}
"""What could take 2^n steps, and the steps that must do."""


@pytest.mark.parametrize(("steps_max", "history"), CHEAP.values(), ids=CHEAP)
def test_a_search_takes_few_steps(steps_max: int, history: list[Operation]) -> None:
    """Most of all where there is nothing to find, and every way must be gone."""
    assert check_history(history, steps_max) == []
    (finding,) = check_history([*history, get(99, 100, 101, b"nowhere")], steps_max)
    assert "no order explains" in finding


# --- Random histories ---------------------------------------------------------------------


class Copy:
    """The production state machine over one key, without replication."""

    def __init__(self) -> None:
        self.machine = StateMachine(MemoryState(IDENTITY), Applied(), 1 << 20, api.SessionRules())

    def answer(self, request: api.Request) -> api.Result:
        if isinstance(request, api.COMMANDS):
            data = msgspec.msgpack.encode(request)
            return self.machine.apply(self.machine.last_applied + 1, data)
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
        history.append(Operation(client, invoked_ms, returned_ms, request, seen))
    rng.shuffle(history)
    return history


def mutated(rng: random.Random, history: list[Operation]) -> list[Operation]:
    """The history with one lie: another answer, other times, or another request."""
    history = list(history)
    at = rng.randrange(len(history))
    one, other = history[at], rng.choice(history)
    changes: list[dict[str, object]] = [
        {"result": lie(rng, one.result)},
        {"result": BUSY if one.result is None else None},
        {"request": other.request, "result": other.result},
        {"invoked_ms": other.invoked_ms, "returned_ms": other.returned_ms},
    ]
    history[at] = msgspec.structs.replace(one, **rng.choice(changes[:1] * 3 + changes))
    return history


def lie(rng: random.Random, result: api.Result | None) -> api.Result | None:
    item = rng.choice([None, record(rng.choice(VALUES))])
    match result:
        case api.PutResult(written=written, previous=previous):
            if rng.random() < 0.5:
                return api.PutResult(0, not written, previous)
            return api.PutResult(0, written, item)
        case api.DeleteResult(deleted=deleted):
            return api.DeleteResult(0, 1 - deleted)
        case api.IncrementResult(value=value):
            if rng.random() < 0.5:
                return NO_INTEGER
            return api.IncrementResult(0, value + rng.choice([1, -1]))
        case api.GetResult():
            return api.GetResult(0, (item,))
    return result


def is_explained_by_brute_force(history: Sequence[Operation]) -> bool:
    return any(
        is_explained_by(order)
        for chosen in choices_of_unknown(history)
        for order in itertools.permutations(chosen)
        if keeps_real_time(order)
    )


def choices_of_unknown(history: Sequence[Operation]) -> Iterator[list[Operation]]:
    known = [one for one in history if not one.is_unknown and takes_part(one)]
    unknown = [one for one in history if one.is_unknown]
    for size in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, size):
            yield [*known, *chosen]


def takes_part(one: Operation) -> bool:
    """Refused operations do not, but for increments that met a value they cannot add to."""
    if not one.is_refused:
        return True
    assert isinstance(one.result, api.Failure)
    return isinstance(one.request, api.Increment) and one.result.code is not BUSY.code


def keeps_real_time(order: Sequence[Operation]) -> bool:
    return not any(
        later.returned_ms < earlier.invoked_ms and not later.is_unknown
        for earlier, later in itertools.combinations(order, 2)
    )


def is_explained_by(order: Sequence[Operation]) -> bool:
    copy = Copy()
    for one in order:
        result = copy.answer(one.request)
        if not one.is_unknown and essence(one.request, result) != essence(one.request, one.result):
            return False
    return True


def essence(request: api.Request, result: api.Result | None) -> object:
    """What an answer says, without the store's history numbers."""
    match result:
        case api.PutResult(written=written, previous=previous):
            return "put", written, None if previous is None else (previous.key, previous.value)
        case api.DeleteResult(deleted=deleted):
            return "delete", deleted
        case api.IncrementResult(value=value):
            return "increment", value
        case api.GetResult(items=(item,)):
            assert isinstance(request, api.Get)
            return "get", item and (item.key, request.with_values and item.value)
    return "failure"


@pytest.mark.parametrize("seed", range(20))
def test_histories_of_a_sequential_copy_pass(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        history = random_history(rng, rng.randrange(1, 60), rng.choice([5.0, 50.0]), (K, b"other"))
        assert check_history(history) == []


@pytest.mark.parametrize("seed", range(20))
def test_brute_force_over_all_orders_agrees(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = set()
    for _ in range(120):
        history = random_history(rng, rng.randrange(2, 7), rng.choice([5.0, 20.0, 60.0]))
        for _ in range(rng.randrange(1, 3)):
            history = mutated(rng, history)
        is_explained = is_explained_by_brute_force(history)
        assert bool(check_history(history)) != is_explained, "\n".join(map(describe, history))
        verdicts.add(is_explained)
    assert verdicts == {True, False}
