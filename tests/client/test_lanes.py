"""Requests of one client side by side: each has a session and a connection to itself."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import pytest
from process.cluster import eventually
from scripted_node import OK, ScriptedNode, Step, not_leader

from kvstore import Client, ConfigError, RefusedError, api
from kvstore.client.gate import Gate, InsideError

from .answers import FOO, FOUND
from .numbers import numbers, opened

pytestmark = pytest.mark.timeout(30)
DEADLINE_S = 15.0


class Held:
    """A step that answers when it may; `arrived` when it was asked for."""

    def __init__(self, answer: api.Result = OK) -> None:
        self._answer = answer
        self.arrived = threading.Event()
        self._may = threading.Event()

    def __call__(self) -> api.Result:
        self.arrived.set()
        assert self._may.wait(DEADLINE_S)
        return self._answer

    def go_on(self) -> None:
        self._may.set()


def started(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def end(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


# --- Side by side -------------------------------------------------------------------------


def test_who_asks_in_one_thread_has_one_session_and_one_connection() -> None:
    with ScriptedNode(*[OK, FOUND] * 5) as node, Client([node.address]) as client:
        for _ in range(5):
            client.put("k", "v")
            client.get("foo")
        assert (opened(node), node.connections) == (1, 1)


def test_a_request_that_is_not_answered_holds_up_no_other_one() -> None:
    held = Held()
    with ScriptedNode(held, *[OK] * 3) as node, Client([node.address]) as client:
        thread = started(lambda: client.put("k", "slow"))
        assert held.arrived.wait(DEADLINE_S)
        for _ in range(3):
            assert client.put("k", "quick") == OK
        held.go_on()
        end(thread)
        assert (opened(node), node.connections) == (2, 2)
        sessions = [session for session, _ in numbers(node)]
        assert sessions[0] not in sessions[1:]
        assert [sequence for _, sequence in numbers(node)] == [1, 1, 2, 3]
        node.extend(OK)
        client.put("k", "later")
        assert (opened(node), node.connections) == (2, 2), "the lanes are there still"


def test_the_lane_that_was_used_last_is_taken_first() -> None:
    held = Held()
    with ScriptedNode(held, OK) as node, Client([node.address]) as client:
        thread = started(lambda: client.put("k", "1"))
        assert held.arrived.wait(DEADLINE_S)
        client.put("k", "2")
        held.go_on()
        end(thread)
        node.extend(*[OK] * 2)
        client.put("k", "3")
        client.put("k", "4")
        assert [numbers(node)[0][0]] * 2 == [session for session, _ in numbers(node)[2:]]


def test_no_more_are_served_at_a_time_than_there_may_be_connections() -> None:
    helds = [Held() for _ in range(2)]
    script: list[Step] = [*helds, OK]
    with ScriptedNode(*script) as node, Client([node.address], connections_max=2) as client:
        threads = [started(lambda: client.put("k", "v"))]
        assert helds[0].arrived.wait(DEADLINE_S)
        threads.append(started(lambda: client.put("k", "v")))
        assert helds[1].arrived.wait(DEADLINE_S)
        client._timeout_ms = 200
        with pytest.raises(RefusedError, match="other threads had all turns") as caught:
            client.put("k", "waits")
        assert caught.value.code == "BUSY"
        client._timeout_ms = 5_000
        threads.append(started(lambda: client.put("k", "waits")))
        helds[1].go_on()
        end(threads[1], threads[2])
        helds[0].go_on()
        end(threads[0])
        assert node.connections == 2


def test_many_threads_use_each_number_once_and_get_their_own_answers() -> None:
    count, writes = 8, 40
    script: list[Step] = [api.PutResult(n, True) for n in range(1, count * writes + 1)]
    answers: dict[bytes, int] = {}
    with ScriptedNode(*script) as node, Client([node.address], timeout_ms=20_000) as client:

        def run(thread: int) -> None:
            for n in range(writes):
                value = b"%d.%d" % (thread, n)
                answers[value] = client.put("k", value).revision

        end(*[started(lambda n=n: run(n)) for n in range(count)])  # type: ignore[misc]
        assert sorted(answers.values()) == [*range(1, count * writes + 1)]
        assert len(set(numbers(node))) == count * writes
        assert opened(node) <= count
        assert node.connections <= count
        by_session: dict[int, list[int]] = {}
        for session, sequence in numbers(node):
            by_session.setdefault(session, []).append(sequence)
        assert all(all_of == [*range(1, len(all_of) + 1)] for all_of in by_session.values())


def test_what_is_waited_for_is_told_of_the_request_that_began_first() -> None:
    helds = [Held(FOUND) for _ in range(2)]
    with ScriptedNode(*helds) as node, Client([node.address]) as client:
        threads = []
        told = []
        for held in helds:
            threads.append(started(lambda: client.get("foo")))
            assert held.arrived.wait(DEADLINE_S)
            told.append(client.waiting())
        assert told[0] == told[1]
        assert told[0] is not None
        for held in helds:
            held.go_on()
        end(*threads)
        assert client.waiting() is None


@pytest.mark.parametrize("wrong", [0, 1_001, -1])
def test_how_many_connections_there_may_be_is_bounded(wrong: int) -> None:
    with pytest.raises(ConfigError, match="connections_max must be 1 to 1,000"):
        Client(connections_max=wrong)
    with pytest.raises(TypeError, match="connections_max is an int"):
        Client(connections_max=True)


# --- Callbacks and signal handlers --------------------------------------------------------


def test_a_callback_may_ask_with_the_client_that_calls_it_while_there_is_a_free_lane() -> None:
    with ScriptedNode(FOUND, OK) as leader, ScriptedNode() as node:
        node.extend(not_leader(leader.address))
        found: list[object] = []

        def ask(_asked: str, _leader: str) -> None:
            node.extend(FOUND)
            found.append(client.get("foo"))

        nodes = [node.address, leader.address]
        with Client(nodes, on_redirect=ask, connections_max=2) as client:
            leader._script[:] = [OK]
            assert client.put("k", "outer") == OK
        assert found == [FOO]


def test_a_signal_handler_may_ask_in_the_middle_of_a_request() -> None:
    answers: list[object] = []

    def handle(_number: int, _frame: FrameType | None) -> None:
        answers.append(client.put("k", "handler"))

    def interrupted() -> api.Result:
        os.kill(os.getpid(), signal.SIGUSR1)
        eventually(lambda: len(node.requests) == 2, "the handler has asked")
        return OK

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with ScriptedNode(interrupted, OK) as node, Client([node.address]) as client:
            assert client.put("k", "outer") == OK
            assert answers == [OK]
            assert numbers(node)[0] != numbers(node)[1]
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- The end ------------------------------------------------------------------------------


def test_close_waits_for_all_requests_and_lets_no_later_one_pass() -> None:
    helds = [Held() for _ in range(2)]
    with ScriptedNode(*helds) as node, Client([node.address], connections_max=4) as client:
        threads = []
        for held in helds:
            threads.append(started(lambda: client.put("k", "v")))
            assert held.arrived.wait(DEADLINE_S)
        closed = threading.Event()
        threads.append(started(lambda: (client.close(), closed.set())))
        eventually(lambda: len(client._lanes._gate._line) == 3, "close waits")
        threads.append(started(lambda: client.put("k", "later")))
        eventually(lambda: len(client._lanes._gate._line) == 4, "who came later waits")
        assert len(node.requests) == 2
        helds[0].go_on()
        assert not closed.is_set()
        node.extend(OK)
        helds[1].go_on()
        end(*threads)
        assert closed.is_set()
        assert node.connections == 3, "the later one opened a new one"


def test_what_a_callback_closes_ends_when_the_request_is_over() -> None:
    with ScriptedNode(OK, OK) as leader, ScriptedNode() as node:
        node.extend(not_leader(leader.address))
        with Client([node.address], on_redirect=lambda _a, _b: client.close()) as client:
            assert client.put("k", "1") == OK
            assert leader.hung_up.wait(DEADLINE_S)
            assert client.put("k", "2") == OK
        assert leader.connections == 2


# --- The gate -----------------------------------------------------------------------------


def test_as_many_are_inside_as_there_are_places_and_nobody_is_forgotten() -> None:
    gate, inside, most = Gate(3), set[int](), [0]
    rounds, done = 200, dict.fromkeys(range(8), 0)

    def run(thread: int) -> None:
        for n in range(rounds):
            with gate.turn(time.monotonic() + DEADLINE_S, is_alone=n % 50 == 49):
                inside.add(thread)
                now = inside.copy()
                most.append(len(now))
                if n % 50 == 49 and now != {thread}:
                    most.append(99)
                inside.discard(thread)
            done[thread] += 1

    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        end(*[started(lambda n=n: run(n)) for n in range(8)])  # type: ignore[misc]
    finally:
        sys.setswitchinterval(switch_s)
    assert max(most) <= 3
    assert done == dict.fromkeys(range(8), rounds)


def test_all_who_have_a_place_by_then_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.client.gate._LONGEST_SLEEP_S", 1_000.0)
    gate = Gate(2)
    entered = [threading.Event() for _ in range(2)]
    leave = threading.Event()

    def wait(event: threading.Event) -> None:
        with gate.turn(time.monotonic() + DEADLINE_S):
            event.set()
            assert leave.wait(DEADLINE_S)

    until = time.monotonic() + DEADLINE_S
    with gate.turn(until, is_alone=True):
        threads = [started(lambda e=e: wait(e)) for e in entered]  # type: ignore[misc]
        eventually(lambda: len(gate._line) == 3, "both wait")
    assert all(event.wait(DEADLINE_S) for event in entered)
    leave.set()
    end(*threads)


def test_who_comes_after_one_that_wants_to_be_alone_waits_behind_it() -> None:
    gate, until = Gate(3), time.monotonic() + DEADLINE_S

    def be_alone() -> None:
        with gate.turn(until, is_alone=True):
            pass

    with gate.turn(until):
        thread = started(be_alone)
        eventually(lambda: len(gate._line) == 2, "it waits")
        with pytest.raises(InsideError), gate.turn(until):
            pass
    end(thread)


def test_who_is_inside_is_let_in_again_while_there_is_a_place_and_never_waits() -> None:
    gate, until = Gate(2), time.monotonic() + DEADLINE_S
    with gate.turn(until), gate.turn(until):
        with pytest.raises(InsideError), gate.turn(until):
            pass
        with pytest.raises(InsideError), gate.turn(until, is_alone=True):
            pass
    with gate.turn(until, is_alone=True):
        pass
