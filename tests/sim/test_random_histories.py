"""The checker of linearizability against histories that chance wrote, and a search by force."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from kvstore import api
from kvstore.sim.checkers.linearizability import check_history, describe
from kvstore.sim.history import Operation

from .histories import (
    BAD,
    BUSY,
    GOOD,
    NO_INTEGER,
    VALUES,
    Copy,
    K,
    random_history,
    record,
    repeated,
)


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
        case api.Repeated(succeeded=written):
            return api.Repeated(0, not written)
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
        if isinstance(one.result, api.Repeated):
            result = repeated(result)
        if not one.is_unknown and essence(one.request, result) != essence(one.request, one.result):
            return False
    return True


def essence(request: api.Request, result: api.Result | None) -> object:
    """What an answer says, without the store's history numbers."""
    match result:
        case api.PutResult(written=written, previous=previous):
            return "put", written, None if previous is None else (previous.key, previous.value)
        case api.Repeated(succeeded=written):
            return "put", written
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


@pytest.mark.parametrize("history", [*GOOD.values(), *BAD.values()], ids=[*GOOD, *BAD])
def test_brute_force_agrees_on_the_examples(history: list[Operation]) -> None:
    assert bool(check_history(history)) != is_explained_by_brute_force(history)
