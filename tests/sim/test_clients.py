"""Simulated clients: what they ask, and when."""

from __future__ import annotations

import random

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import Client
from kvstore.sim.history import Operation
from kvstore.sim.schedule import Schedule
from kvstore.sim.session_clients import SessionClient


class Machine:
    """Answers at once, and notes how long each session waited for its first request."""

    def __init__(self, schedule: Schedule) -> None:
        self.waited_ms: list[float] = []
        self._schedule = schedule
        self._opened_ms: float | None = None

    def take_call(self, call: Call) -> None:
        now_ms = self._schedule.now_ms
        if isinstance(call.request, api.OpenSession):
            self._opened_ms = now_ms
            call.fill(api.SessionResult(7))
            return
        if self._opened_ms is not None:
            self.waited_ms.append(now_ms - self._opened_ms)
            self._opened_ms = None
        is_get = isinstance(call.request, api.Get)
        call.fill(api.GetResult(1, (None,)) if is_get else api.PutResult(1, written=True))


def test_a_session_is_used_as_soon_as_it_is_open() -> None:
    """A client that rests in between may find each of its sessions expired, for ever."""
    waited_ms: list[float] = []
    for seed in range(40):
        schedule = Schedule()
        machine = Machine(schedule)
        history: list[Operation] = []
        client = SessionClient(
            1, {1: machine}, schedule, random.Random(seed), history.append, record=None
        )
        client.insist_on_everything()
        schedule.run_until(20_000.0)
        assert client.is_done
        waited_ms += machine.waited_ms
    assert len(waited_ms) == 40
    assert max(waited_ms) < 5.0


def test_a_client_whose_copy_is_late_stops_all_the_same() -> None:
    """What a copy still has under way is no reason to ask for more than was asked for."""
    schedule = Schedule()
    history: list[Operation] = []
    for seed in range(40):
        client = SessionClient(
            1, {1: Machine(schedule)}, schedule, random.Random(seed), history.append, record=None
        )
        client.make_calls(20, 400.0)
        schedule.run_until(schedule.now_ms + 10_000.0)
        assert client.is_done


class Redirecting:
    """Sends everybody to another node."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.calls = 0

    def take_call(self, call: Call) -> None:
        self.calls += 1
        leader = f"sim:{9_000 + self._leader}"
        call.fill(api.Failure(api.FailureCode.NOT_LEADER, "not leader", leader))


def test_a_client_asks_no_node_that_is_gone_for_good() -> None:
    """Whoever stays down breaks every connection, and that is nobody's fault."""
    for seed in range(20):
        schedule = Schedule()
        gone, up = Redirecting(2), Redirecting(1)
        client = Client(
            1, {1: gone, 2: up}, schedule, random.Random(seed), lambda _: None, record=None
        )
        client.make_calls(10, 100.0)
        client.leave_out({1})
        schedule.run_until(20_000.0)
        assert (gone.calls, up.calls) == (0, 10)
