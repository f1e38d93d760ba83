"""Whatever nodes do with its requests, what the client says of each is true.

The nodes here share one state machine, and answer, refuse, hang up, redirect, lose sessions
and carry out what they were sent, at once, later or never, as a seed says. Every write adds
1 to a digit of its own, so the end tells how often each took effect.
"""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack

import msgspec
import pytest
from scripted_node import ClosedPort, Misbehave, ScriptedNode, Step, not_leader

from kvstore import Client, OutcomeUnknownError, RequestError, api
from kvstore.client import course
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

TTL_MS = 1_000
WRITES = 30
"""As many digits of base 4 as a number has, less one that they might carry into."""
REFUSALS = (
    api.Failure(api.FailureCode.NO_LEADER, "no leader is known"),
    api.Failure(api.FailureCode.BUSY, "too many writes wait"),
    api.Failure(api.FailureCode.STALE, "this node is in term 0"),
    api.Failure(api.FailureCode.NO_SPACE, "no room is left"),
)
UNKNOWN = api.Failure(api.FailureCode.UNKNOWN, "outcome unknown")


class Fate:
    """What all nodes have in common: the data, and chance."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.addresses: list[str] = []
        self.is_bad = False
        """Nothing is answered well at the time."""
        identity = Identity(1, "test", 1, "0" * 32)
        rules = api.SessionRules(ttl_ms=TTL_MS)
        self._machine = StateMachine(MemoryState(identity), Applied(), 1 << 20, rules)
        self._time_ms = 0
        self._late: list[bytes] = []
        """Entries that may become committed yet."""
        self._lock = threading.Lock()

    def answer(self, request: api.Request) -> api.Result | Misbehave:
        """Carry out a request, or do not, and say this or that."""
        with self._lock:
            rng = self.rng
            if self._late and rng.random() < 0.3:
                self._apply(self._late.pop())
            if rng.random() < 0.15:
                self._time_ms += TTL_MS + 1
            chance = rng.random() * (0.8 if self.is_bad else 1.6)
            if chance < 0.3:
                return rng.choice((*REFUSALS, not_leader(rng.choice((*self.addresses, None)))))
            data = self._entry(request)
            if chance >= 0.8:
                return self._apply(data)
            if chance < 0.5:
                self._apply(data)
            elif chance < 0.6:
                self._late.append(data)
            return rng.choice((UNKNOWN, Misbehave.HANG_UP, Misbehave.RESET_LATE))

    def _entry(self, request: api.Request) -> bytes:
        if isinstance(request, api.OpenSession | api.Once):
            return msgspec.msgpack.encode(api.Stamped(self._time_ms, request))
        return msgspec.msgpack.encode(request)

    def _apply(self, data: bytes) -> api.Result:
        return self._machine.apply(self._machine.last_applied + 1, data).result

    def end(self) -> int:
        """What the writes have come to, with all that was late."""
        with self._lock:
            for data in self._late:
                self._apply(data)
            found = self._machine.query(api.Get((b"n",)))
        assert isinstance(found, api.GetResult)
        [item] = found.items
        return 0 if item is None else int(item.value)


class FickleNode(ScriptedNode):
    """A node that does as fate says."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        super().__init__()
        self.scripts_sessions = True
        fate.addresses.append(self.address)

    def _next_step(self, request: object) -> Step:
        assert isinstance(request, api.OpenSession | api.Once | api.Increment)
        return self._fate.answer(request)


def digits(number: int) -> list[int]:
    return [number >> 2 * place & 3 for place in range(WRITES)]


@pytest.mark.parametrize("exactly_once", [True, False], ids=["session", "no session"])
@pytest.mark.parametrize("follow", [True, False], ids=["follows", "does not follow"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_of_each_write_is_true(
    seed: int, follow: bool, exactly_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "_FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(course, "_LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(course, "_LONGEST_BUSY_PAUSE_S", 0.001)
    fate = Fate(seed)
    allowed: list[tuple[int, ...]] = []
    with ExitStack() as stack:
        nodes = [stack.enter_context(FickleNode(fate)) for _ in range(3)]
        dead = stack.enter_context(ClosedPort())
        fate.addresses.append(dead.address)
        client = stack.enter_context(
            Client(
                [node.address for node in nodes],
                timeout_ms=150,
                follow=follow,
                exactly_once=exactly_once,
            )
        )
        for place in range(WRITES):
            fate.is_bad = fate.rng.random() < 0.1
            try:
                total = client.increment("n", 1 << 2 * place)
            except OutcomeUnknownError:
                allowed.append((0, 1))
            except RequestError:
                allowed.append((0,))
            else:
                allowed.append((1,))
                assert digits(total)[place] == 1
        found = digits(fate.end())
    for place in range(WRITES):
        assert found[place] in allowed[place], place
    assert (1,) in allowed
