"""Operations of several keys: what they say of each key, and what the log says of them."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.replay import Change
from kvstore.sim.checkers.serializability import check_serializability
from kvstore.sim.checkers.shares import shares
from kvstore.sim.history import Operation
from kvstore.sim.indexed import Indexed

from .histories import BUSY, K, get, lost, operation, put

OTHER = b"other"


def record(key: bytes, value: bytes, create: int, mod: int, version: int = 1) -> api.KeyValue:
    return api.KeyValue(key, value, create, mod, version)


def mset(client: int, from_ms: float, until_ms: float, *values: bytes) -> Operation:
    pairs = tuple(zip((K, OTHER, K), values, strict=False))
    return operation(client, from_ms, until_ms, api.PutMany(pairs), api.PutResult(0, True))


def delete(client: int, from_ms: float, until_ms: float, deleted: int) -> Operation:
    request = api.Delete((K, OTHER, K))
    return operation(client, from_ms, until_ms, request, api.DeleteResult(0, deleted))


def mget(
    client: int, from_ms: float, until_ms: float, first: bytes | None, second: bytes | None
) -> Operation:
    items = tuple(
        None if value is None else record(key, value, 0, 0)
        for key, value in ((K, first), (OTHER, second))
    )
    request = api.Get((K, OTHER))
    return operation(client, from_ms, until_ms, request, api.GetResult(0, items))


GOOD = {
    "all keys of an MSET are there": [mset(1, 0, 1, b"a", b"b"), mget(2, 2, 3, b"a", b"b")],
    "the last of equal keys wins": [mset(1, 0, 1, b"a", b"b", b"c"), get(2, 2, 3, b"c")],
    "an MSET of unknown outcome that took effect": [
        lost(1, 0, api.PutMany(((K, b"a"), (OTHER, b"b")))),
        mget(2, 5, 6, b"a", b"b"),
    ],
    "an MSET that was refused": [
        operation(1, 0, 1, api.PutMany(((K, b"a"),)), BUSY),
        get(2, 2, 3, None),
    ],
    "a DEL of one of two": [put(1, 0, 1, b"a"), delete(2, 2, 3, 1), get(3, 4, 5, None)],
    "a DEL of two of two": [
        mset(1, 0, 1, b"a", b"b"),
        delete(2, 2, 3, 2),
        mget(3, 4, 5, None, None),
    ],
    "a DEL of nothing": [delete(2, 2, 3, 0), get(3, 4, 5, None)],
}
BAD = {
    "half of an MSET": [mset(1, 0, 1, b"a", b"b"), mget(2, 2, 3, b"a", None)],
    "an MSET that is forgotten": [mset(1, 0, 1, b"a", b"b"), get(2, 2, 3, None)],
    "the first of equal keys wins": [mset(1, 0, 1, b"a", b"b", b"c"), get(2, 2, 3, b"a")],
    "an MSET that was refused shows": [
        operation(1, 0, 1, api.PutMany(((K, b"a"),)), BUSY),
        get(2, 2, 3, b"a"),
    ],
    "a DEL that deleted nothing": [put(1, 0, 1, b"a"), delete(2, 2, 3, 0)],
    "a DEL of two where one was": [put(1, 0, 1, b"a"), delete(2, 2, 3, 2)],
    "a DEL of more than it names": [mset(1, 0, 1, b"a", b"b"), delete(2, 2, 3, 3)],
    "a DEL after which its key is there": [
        mset(1, 0, 1, b"a", b"b"),
        delete(2, 2, 3, 1),
        get(3, 4, 5, b"a"),
    ],
    "an MGET of another number of keys": [
        operation(1, 0, 1, api.Get((K, OTHER)), api.GetResult(0, (None,)))
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_what_an_order_explains_passes(history: list[Operation]) -> None:
    assert check_history(history) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_what_no_order_explains_is_found(history: list[Operation]) -> None:
    assert check_history(history) != []


def test_each_key_has_one_share_of_a_write() -> None:
    assert [share.key for share in shares(mset(1, 0, 1, b"a", b"b", b"c"))] == [K, OTHER]
    assert [share.key for share in shares(delete(1, 0, 1, 2))] == [K, OTHER]


# --- Held against the log -----------------------------------------------------------------


class Log:
    """Two keys are written at once, one is put again, both are deleted; then nothing is there."""

    PUT_MANY = api.PutMany(((K, b"a"), (OTHER, b"b")))
    PUT = api.Put(K, b"c", return_previous=True)
    ADD = api.Increment(b"n", 2)
    DELETE = api.Delete((K, OTHER, b"nobody"))

    def __init__(self) -> None:
        changes = [(self.PUT_MANY, 2), (self.PUT, 1), (self.ADD, 1), (self.DELETE, 2)]
        self.made_by = Indexed(0, [Change(write, keys) for write, keys in changes])
        self._records = {
            K: [None, record(K, b"a", 1, 1), C, C, None],
            OTHER: [None, *[record(OTHER, b"b", 1, 1)] * 3, None],
            b"n": [None, None, None, *[record(b"n", b"2", 3, 3)] * 2],
        }

    def record(self, key: bytes, revision: int) -> api.KeyValue | None:
        return self._records[key][revision] if key in self._records else None

    def contents(self, revision: int) -> dict[bytes, api.KeyValue]:
        found = {key: self.record(key, revision) for key in self._records}
        return {key: record for key, record in found.items() if record is not None}


A, C = record(K, b"a", 1, 1), record(K, b"c", 1, 2, 2)
B, N = record(OTHER, b"b", 1, 1), record(b"n", b"2", 3, 3)
GUARD = api.Guard(OTHER, 1)
TOLD: list[tuple[api.Request, api.Result | None]] = [
    (Log.PUT_MANY, api.PutResult(1, True)),
    (Log.PUT, api.PutResult(2, True, A)),
    (Log.ADD, api.IncrementResult(3, 2)),
    (Log.DELETE, api.DeleteResult(4, 2)),
]
TRUE: dict[str, list[tuple[api.Request, api.Result | None]]] = {
    "everything": [],
    "nothing to delete": [(api.Delete((K,)), api.DeleteResult(4, 0))],
    "a condition that does not hold": [
        (api.Put(K, b"x", api.When.EQUAL, b"y", return_previous=True), api.PutResult(2, False, C)),
        (api.Put(K, b"x", api.When.ABSENT), api.PutResult(2, False)),
        (api.Put(K, b"x", api.When.PRESENT), api.Repeated(4, False)),
    ],
    "a guard that does not hold": [
        (api.PutMany(((K, b"x"),), guard=GUARD), api.GuardFailed(4, 0)),
        (api.Put(K, b"x", guard=api.Guard(K, 1)), api.GuardFailed(3, 2)),
    ],
    "a read of several keys": [
        (api.Get((K, b"n", K)), api.GetResult(4, (None, N, None))),
        (api.Get((b"n",), with_values=False), api.GetResult(4, (record(b"n", b"", 3, 3),))),
    ],
    "a count": [(api.Count(), api.CountResult(4, 1))],
    "a page": [(api.Scan(), api.ScanResult(4, (N,), None))],
    "unknown and refused": [(Log.PUT_MANY, None), (Log.PUT, BUSY)],
    "an MSET of nothing": [(api.PutMany(()), api.PutResult(3, False))],
}
FALSE: dict[str, list[tuple[api.Request, api.Result | None]]] = {
    "a revision of somebody else": [(api.Put(K, b"x"), api.PutResult(2, True))],
    "a revision that is not yet": [(api.Put(K, b"x"), api.PutResult(5, True))],
    "a deletion that found something": [(api.Delete((b"x", K)), api.DeleteResult(3, 0))],
    "a condition that holds": [(api.Put(K, b"x", api.When.ABSENT), api.PutResult(4, False))],
    "a condition that holds, told again": [
        (api.Put(K, b"x", api.When.EQUAL, b"a"), api.Repeated(1, False))
    ],
    "what it met is something else": [
        (api.Put(K, b"x", api.When.EQUAL, b"y", return_previous=True), api.PutResult(2, False, A))
    ],
    "what it met was not asked for": [
        (api.Put(K, b"x", api.When.ABSENT), api.PutResult(2, False, C))
    ],
    "a guard that holds": [(api.Put(K, b"x", guard=GUARD), api.GuardFailed(3, 1))],
    "a guard that failed at another revision": [
        (api.Put(K, b"x", guard=api.Guard(K, 9)), api.GuardFailed(3, 1))
    ],
    "a guard that is none": [(api.Put(K, b"x"), api.GuardFailed(3, 2))],
    "a read of two moments": [(api.Get((K, OTHER)), api.GetResult(4, (None, B)))],
    "a read as of somebody else's revision": [
        (api.Get((K, OTHER)), api.GetResult(3, (None, None)))
    ],
    "a read of what is not yet": [(api.Get((K,)), api.GetResult(5, (None,)))],
    "a count of more than there is": [(api.Count(), api.CountResult(4, 2))],
    "a count as of an earlier time": [(api.Count(), api.CountResult(2, 3))],
    "an MSET that is not written": [(Log.PUT_MANY, api.PutResult(3, False))],
}


def judged(told: list[tuple[api.Request, api.Result | None]]) -> list[str]:
    """All at the same time, so that real time says nothing of their order."""
    history = [operation(1, 0, 1, *one) for one in told]
    return check_serializability(history, Log())


@pytest.mark.parametrize("told", TRUE.values(), ids=TRUE)
def test_answers_that_the_log_bears_out_pass(
    told: list[tuple[api.Request, api.Result | None]],
) -> None:
    assert judged([*TOLD, *told]) == []


@pytest.mark.parametrize("told", FALSE.values(), ids=FALSE)
def test_answers_that_the_log_does_not_bear_out_are_found(
    told: list[tuple[api.Request, api.Result | None]],
) -> None:
    assert len(judged([*TOLD, *told])) == 1


@pytest.mark.parametrize(
    ("position", "wrong"),
    [
        (0, api.PutResult(1, False)),
        (1, api.PutResult(2, True, C)),
        (1, api.PutResult(2, True)),
        (2, api.IncrementResult(3, 3)),
        (3, api.DeleteResult(4, 1)),
        (3, api.DeleteResult(4, 3)),
    ],
)
def test_an_answer_to_a_write_says_what_it_did(position: int, wrong: api.Result) -> None:
    told = list(TOLD)
    told[position] = (told[position][0], wrong)
    assert len(judged(told)) == 1


def test_answers_that_the_log_bears_out_must_come_in_its_order() -> None:
    history = [operation(1, at, at + 0.5, *one) for at, one in enumerate(TOLD)]
    late = operation(2, 9, 9.5, api.Get((K,)), api.GetResult(3, (C,)))
    assert check_serializability(history, Log()) == []
    (finding,) = check_serializability([*history, late], Log())
    assert finding.startswith("revisions go back in time")
    stale = msgspec.structs.replace(late, is_stale=True)
    assert check_serializability([*history, stale], Log()) == []


def test_who_was_refused_changed_nothing() -> None:
    (finding,) = judged([(Log.PUT_MANY, BUSY), *TOLD[1:]])
    assert "1 times something was changed by PutMany" in finding


def test_a_write_takes_effect_no_more_often_than_it_was_asked_for() -> None:
    assert judged([(Log.PUT_MANY, None), *TOLD[1:]]) == []
    (finding,) = judged(TOLD[1:])
    assert "asked for, and not refused, 0 times" in finding
