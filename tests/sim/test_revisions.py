"""The rules of revisions: one order over all keys, in step with real time.

Law: brute force compares every two operations, on what the rules say of two.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import msgspec
import pytest

from kvstore import api
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.checkers.serializability import check_real_time
from kvstore.sim.history import Operation

from .histories import random_history

K, OTHER = b"k", b"other"


def judged(history: Sequence[Operation]) -> list[str]:
    """What numbers alone show."""
    return [*check_real_time(history), *check_revisions(history)]


# --- Building histories -------------------------------------------------------------------


def put(
    from_ms: float,
    until_ms: float,
    revision: int,
    value: bytes = b"v",
    *,
    key: bytes = K,
    written: bool = True,
    previous: api.KeyValue | None = None,
) -> Operation:
    request = api.Put(key, value, return_previous=previous is not None)
    return Operation(1, from_ms, until_ms, request, api.PutResult(revision, written, previous))


def get(
    from_ms: float,
    until_ms: float,
    revision: int,
    item: api.KeyValue | None,
    *,
    with_values: bool = True,
) -> Operation:
    request = api.Get((K,), with_values)
    return Operation(2, from_ms, until_ms, request, api.GetResult(revision, (item,)))


def delete(from_ms: float, until_ms: float, revision: int, deleted: int = 1) -> Operation:
    return Operation(3, from_ms, until_ms, api.Delete((K,)), api.DeleteResult(revision, deleted))


def increment(from_ms: float, until_ms: float, revision: int, value: int) -> Operation:
    return Operation(
        4, from_ms, until_ms, api.Increment(K, 1), api.IncrementResult(revision, value)
    )


def record(
    mod_revision: int, value: bytes = b"v", create: int = 1, version: int = 1
) -> api.KeyValue:
    return api.KeyValue(K, value, create, mod_revision, version)


GOOD = {
    "nothing happened": [],
    "one after another": [
        put(0, 1, 1),
        get(2, 3, 1, record(1)),
        increment(4, 5, 2, 7),
        delete(6, 7, 3),
        delete(8, 9, 3, deleted=0),
        put(10, 11, 3, written=False),
        get(12, 13, 3, None),
    ],
    "a repeated answer tells the revision of the first one": [
        put(0, 1, 1),
        msgspec.structs.replace(put(2, 3, 2), result=api.Repeated(2, True)),
        msgspec.structs.replace(put(4, 5, 2), result=api.Repeated(2, False)),
    ],
    "concurrent operations in either order": [put(0, 9, 2), put(0, 9, 1), get(1, 9, 0, None)],
    "operations that touch at one instant": [put(0, 5, 2), put(5, 9, 1)],
    "a read at a later revision, of another key": [
        put(0, 1, 1),
        put(2, 3, 2, key=OTHER),
        get(4, 5, 2, record(1)),
    ],
    "revision 0 says nothing": [
        put(0, 1, 5),
        put(2, 3, 0),
        put(4, 5, 0),
        get(6, 7, 0, record(0, b"x")),
        get(8, 9, 0, record(0, b"y")),
        get(8, 9, 5, record(0, b"z")),
    ],
    "what failed has no revision": [
        put(0, 1, 1),
        msgspec.structs.replace(put(2, 3, 1), result=None),
        msgspec.structs.replace(put(2, 3, 1), result=api.Failure(api.FailureCode.BUSY, "")),
    ],
    "a change met the record before it": [
        put(0, 1, 1, b"a"),
        put(2, 3, 2, b"b", previous=record(1, b"a")),
        put(4, 5, 2, b"c", written=False, previous=record(2, b"b", version=2)),
    ],
    "a record read with and without its value": [
        get(0, 1, 1, record(1, b"a")),
        get(0, 1, 1, record(1, b""), with_values=False),
    ],
    "a change is concurrent with a read at an earlier revision": [
        put(0, 1, 1),
        put(2, 9, 2, b"w"),
        get(3, 8, 1, record(1)),
    ],
    "a deletion of several keys may not have been of this one": [
        put(0, 1, 1),
        Operation(1, 2, 3, api.Delete((K, OTHER)), api.DeleteResult(2, 1)),
        get(4, 5, 2, record(1)),
    ],
}

BAD = {
    "a write before what returned": ("go back in time", [put(0, 1, 2), put(2, 3, 1, key=OTHER)]),
    "a repeated answer before what returned": (
        "go back in time",
        [put(0, 1, 2), msgspec.structs.replace(put(2, 3, 1), result=api.Repeated(1, True))],
    ),
    "a read before what returned": (
        "go back in time",
        [put(0, 1, 2, key=OTHER), get(2, 3, 1, record(1))],
    ),
    "a read before a read": (
        "go back in time",
        [get(0, 1, 5, None), get(2, 3, 4, None)],
    ),
    "far back in time, with much between": (
        "go back in time",
        [put(0, 1, 9), *(get(0, 50, 3, None) for _ in range(9)), get(2, 3, 8, None)],
    ),
    "a write that was seen before it was invoked": (
        "go back in time",
        [get(0, 1, 1, None), put(2, 3, 1)],
    ),
    "a deletion that was seen before it was invoked": (
        "go back in time",
        [get(0, 1, 1, None), delete(2, 3, 1)],
    ),
    "an increment that was seen before it was invoked": (
        "go back in time",
        [get(0, 1, 1, None), increment(2, 3, 1, 1)],
    ),
    "two concurrent writes of one revision": (
        "two changes have revision 1",
        [put(0, 9, 1), put(0, 9, 1, key=OTHER)],
    ),
    "a write and a deletion of one revision": (
        "two changes have revision 2",
        [put(0, 9, 2, key=OTHER), delete(0, 9, 2)],
    ),
    "a record from the future": ("a later revision than 1", [get(0, 1, 1, record(2))]),
    "a change that met its own record": (
        "a later revision than 1",
        [put(0, 9, 2, previous=record(2))],
    ),
    "a read misses a write": (
        "a change is not seen",
        [put(0, 9, 1), put(0, 9, 2, b"w"), get(0, 9, 2, record(1))],
    ),
    "a change misses a write": (
        "a change is not seen",
        [put(0, 9, 1), put(0, 9, 2, b"w"), put(0, 9, 3, b"x", previous=record(1))],
    ),
    "a read misses a deletion": (
        "a change is not seen",
        [put(0, 9, 1), delete(0, 9, 2), get(0, 9, 3, record(1))],
    ),
    "a record with two values": (
        "value of b'k' at revision 1 is both b'a' and b'b'",
        [get(0, 9, 1, record(1, b"a")), get(0, 9, 1, record(1, b"b"))],
    ),
    "a record with two versions": (
        "version of b'k' at revision 1 is both 1 and 2",
        [get(0, 9, 1, record(1)), get(0, 9, 1, record(1, b"", version=2), with_values=False)],
    ),
    "a record created twice": (
        "create_revision of b'k' at revision 3 is both 1 and 2",
        [get(0, 9, 3, record(3)), put(0, 9, 4, previous=record(3, create=2))],
    ),
    "a record that is not what was written": (
        "value of b'k' at revision 1 is both b'a' and b'b'",
        [put(0, 9, 1, b"a"), get(0, 9, 1, record(1, b"b"))],
    ),
    "a record that is not the sum": (
        "value of b'k' at revision 1 is both b'7' and b'8'",
        [increment(0, 9, 1, 7), get(0, 9, 1, record(1, b"8"))],
    ),
    "a record that is a deletion": (
        "value of b'k' at revision 1 is both None and b'v'",
        [delete(0, 9, 1), get(0, 9, 1, record(1))],
    ),
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_revisions_in_one_order_pass(history: list[Operation]) -> None:
    assert judged(history) == []


@pytest.mark.parametrize(("words", "history"), BAD.values(), ids=BAD)
def test_revisions_that_contradict_are_a_finding(words: str, history: list[Operation]) -> None:
    findings = judged(history)
    assert len(findings) == 1
    assert words in findings[0].splitlines()[0]


def test_the_order_of_the_list_does_not_matter() -> None:
    for _, history in BAD.values():
        assert len(judged(history[::-1])) == 1


# --- What it says -------------------------------------------------------------------------


def test_a_finding_shows_both_operations() -> None:
    (finding,) = judged([put(0, 1, 2, b"a"), put(2, 3.5, 1, b"b", key=OTHER)])
    assert finding.splitlines() == [
        "revisions go back in time",
        "  client 1 [0.0 .. 1.0 ms] put k = 'a' -> revision 2",
        "  client 1 [2.0 .. 3.5 ms] put other = 'b' -> revision 1",
    ]


def test_one_revision_that_is_too_high_is_said_once() -> None:
    reads = [get(10 + n, 10.5 + n, 1, None) for n in range(50)]
    assert len(judged([put(0, 1, 1_000, key=OTHER), *reads])) == 1


# --- Random histories ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_histories_of_a_sequential_copy_pass(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        history = random_history(rng, rng.randrange(1, 60), rng.choice([5.0, 50.0]), (K, OTHER))
        assert judged(history) == []


@pytest.mark.parametrize("seed", range(20))
def test_brute_force_over_all_pairs_agrees(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = set()
    for _ in range(60):
        history = random_history(rng, rng.randrange(2, 12), rng.choice([5.0, 50.0]), (K, OTHER))
        history = falsified(rng, history)
        is_contradicted = any(
            contradict(one, other) for one, other in itertools.product(history, repeat=2)
        )
        assert bool(judged(history)) == is_contradicted
        verdicts.add(is_contradicted)
    assert verdicts == {True, False}


def falsified(rng: random.Random, history: Sequence[Operation]) -> list[Operation]:
    """The history with one number off by a little, or one answer for another."""
    history = list(history)
    at = rng.randrange(len(history))
    one = history[at]
    result = one.result
    if rng.random() < 0.3:
        other = rng.choice(history)
        history[at] = msgspec.structs.replace(
            one, invoked_ms=other.invoked_ms, returned_ms=other.returned_ms
        )
    elif result is not None and not isinstance(result, api.Failure | api.StatusResult):
        item = rng.choice(records(one) or [None])
        if item is None or rng.random() < 0.5:
            lie = msgspec.structs.replace(result, revision=result.revision + rng.choice([-1, 1, 2]))
            history[at] = msgspec.structs.replace(one, result=lie)
        else:
            history[at] = msgspec.structs.replace(one, result=with_other(rng, result, item))
    return history


def with_other(rng: random.Random, result: api.Result, item: api.KeyValue) -> api.Result:
    """The answer with one number or the value of its record changed."""
    lies: list[dict[str, object]] = [
        {"value": b"lie"},
        {"mod_revision": item.mod_revision + 1},
        {"mod_revision": max(1, item.mod_revision - 1)},
        {"create_revision": item.create_revision + 1},
        {"version": item.version + 1},
    ]
    lie = msgspec.structs.replace(item, **rng.choice(lies))
    if isinstance(result, api.PutResult):
        return msgspec.structs.replace(result, previous=lie)
    return msgspec.structs.replace(result, items=(lie,))


def records(one: Operation) -> list[api.KeyValue]:
    if isinstance(one.result, api.PutResult):
        items: Sequence[api.KeyValue | None] = [one.result.previous]
    else:
        items = one.result.items if isinstance(one.result, api.GetResult) else []
    return [item for item in items if item is not None]


def contradict(one: Operation, other: Operation) -> bool:
    """Whether the two, or the one alone, break a rule."""
    if revision(one) == 0 or revision(other) == 0:
        return False
    if one is other:
        return any(item.mod_revision > read_at(one) for item in records(one))
    return any(
        (
            one.returned_ms < other.invoked_ms and revision(one) + changes(other) > revision(other),
            changes(one) and changes(other) and revision(one) == revision(other),
            any(is_missed(one, item, read_at(other)) for item in records(other)),
            any(
                is_another(item, shown, one, other)
                for item in records(one)
                for shown in records(other)
            ),
            any(is_not_written(one, item, other) for item in records(other)),
        )
    )


def revision(one: Operation) -> int:
    return getattr(one.result, "revision", 0)


def read_at(one: Operation) -> int:
    return revision(one) - changes(one)


def changes(one: Operation) -> bool:
    return bool(
        isinstance(one.result, api.IncrementResult)
        or getattr(one.result, "written", False)
        or getattr(one.result, "succeeded", False)
        or getattr(one.result, "deleted", 0)
    )


def key_of(one: Operation) -> bytes:
    request = one.request
    assert isinstance(request, api.Put | api.Increment | api.Delete | api.Get)
    return request.key if isinstance(request, api.Put | api.Increment) else request.keys[0]


def is_missed(change: Operation, item: api.KeyValue, read_at: int) -> bool:
    return (
        changes(change)
        and key_of(change) == item.key
        and item.mod_revision < revision(change) <= read_at
    )


def is_another(item: api.KeyValue, shown: api.KeyValue, one: Operation, other: Operation) -> bool:
    if (item.key, item.mod_revision) != (shown.key, shown.mod_revision):
        return False
    has_values = all(getattr(get.request, "with_values", True) for get in (one, other))
    if has_values and item.value != shown.value:
        return True
    return (item.create_revision, item.version) != (shown.create_revision, shown.version)


def is_not_written(change: Operation, item: api.KeyValue, reader: Operation) -> bool:
    if not changes(change) or (key_of(change), revision(change)) != (item.key, item.mod_revision):
        return False
    if not getattr(reader.request, "with_values", True):
        return False
    written = getattr(change.request, "value", None)
    if isinstance(change.result, api.IncrementResult):
        written = b"%d" % change.result.value
    return written != item.value
