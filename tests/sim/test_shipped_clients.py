"""The client that ships, in simulated worlds: what its user is told, and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from kvstore import api
from kvstore.sim.calls import Call, TypedCall
from kvstore.sim.history import Operation
from kvstore.sim.schedule import Schedule
from kvstore.sim.shipped_clients import ShippedClient

RESULTS: dict[type, api.Result] = {
    api.OpenSession: api.SessionResult(7),
    api.Get: api.GetResult(1, (None,)),
    api.Count: api.CountResult(1, 0),
    api.Put: api.PutResult(1, written=True),
    api.PutMany: api.PutResult(1, written=True),
    api.Delete: api.DeleteResult(1, 0),
    api.Increment: api.IncrementResult(1, 1),
}


class Machine:
    """Answers what it is told to answer, as a node of term 1."""

    def __init__(self, answer: Callable[[api.Request], api.Result | None]) -> None:
        self._answer = answer
        self.asked: Counter[object] = Counter()

    def take_call(self, call: Call) -> None:
        assert isinstance(call, TypedCall)
        call.was_sent = True
        self.asked[call.request] += 1
        result = self._answer(call.request)
        if result is None:
            call.break_off()
            return
        call.wrap = partial(api.Reply, "simulated", 1, 1, 1)
        call.fill(result)


def ok(request: api.Request) -> api.Result:
    write = request.write if isinstance(request, api.Once) else request
    return RESULTS[type(write)]


def told(answer: Callable[[api.Request], api.Result | None], seed: int) -> list[Operation]:
    """What a user is told who insists on one write and some reads, or gives up."""
    schedule = Schedule()
    history: list[Operation] = []
    client = ShippedClient(
        1, {1: Machine(answer)}, schedule, random.Random(seed), history.append, None
    )
    client.insist_on_everything()
    schedule.run_until(20_000.0)
    return history


@pytest.mark.parametrize("seed", range(10))
def test_a_user_is_told_what_the_node_answered(seed: int) -> None:
    history = told(ok, seed)
    assert [type(one.request) for one in history] == [api.Put, *[api.Get] * 4]
    assert all(one.result == ok(one.request) for one in history)


@pytest.mark.parametrize("seed", range(10))
def test_a_user_whose_node_breaks_off_knows_nothing_of_a_write_and_was_not_kept_longer(
    seed: int,
) -> None:
    history = told(
        lambda request: None if isinstance(request, (*api.WRITES, api.Once)) else ok(request), seed
    )
    assert len(history) > 1
    assert all(one.result is None for one in history)
    assert all(one.returned_ms - one.invoked_ms <= 6_000.0 + 1e-6 for one in history)


def test_a_user_who_is_refused_is_told_that_nothing_was_changed() -> None:
    refusal = api.Failure(api.FailureCode.INVALID, "no such thing", is_final=True)
    for one in told(lambda _request: refusal, 1):
        assert one.is_refused
        assert isinstance(one.result, api.Failure)
        assert one.result.code is api.FailureCode.INVALID
