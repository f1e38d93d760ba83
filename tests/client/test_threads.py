"""Threads, callbacks and signal handlers that meet at one client: served in turn, or refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from clock import Clock
from process.cluster import eventually
from scripted_node import OK, Misbehave, ScriptedNode, Step, not_leader

from kvstore import Client, NotLeaderError, OutcomeUnknownError, RefusedError, RequestError, api
from kvstore.client.gate import Gate

from .answers import FOO, FOUND
from .numbers import numbers

pytestmark = pytest.mark.timeout(20)
"""Threads that wait for ever are what these tests are about."""
DEADLINE_S = 15.0


class Inside:
    """A client of which one thread is in the middle of a request, until it may go on."""

    def __init__(self, client: Client, leader: ScriptedNode, node: ScriptedNode) -> None:
        self.client = client
        self.leader = leader
        self.node = node
        self.may_go_on = threading.Event()
        self.results: list[object] = []
        self.threads: list[threading.Thread] = []

    def start(self, ask: Callable[[], object]) -> None:
        """In another thread; comes back when it is inside, or waits."""

        def run() -> None:
            try:
                self.results.append(ask())
            except Exception as error:
                self.results.append(error)

        waiting = self.waiting
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()
        deadline = time.monotonic() + DEADLINE_S
        while self.waiting == waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)  # polls a line that tells nobody of its length

    @property
    def waiting(self) -> int:
        return len(self.client._lanes._gate._line)

    def go_on(self) -> list[object]:
        self.may_go_on.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        return self.results


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Somebody puts `k` = `inside` there, and is held by a redirect."""
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as node:
        held: Inside

        def hold(_asked: str, _leader: str) -> None:
            assert held.may_go_on.wait(DEADLINE_S)

        with Client(
            [node.address],
            timeout_ms=10_000,
            on_redirect=hold,
            exactly_once=False,
            connections_max=1,
        ) as client:
            held = Inside(client, leader, node)
            held.start(lambda: client.put("k", "inside"))
            yield held
            held.go_on()


def values(node: ScriptedNode) -> list[bytes]:
    return [request.value for request in node.requests if isinstance(request, api.Put)]


# --- Threads ------------------------------------------------------------------------------


def test_threads_that_share_a_client_use_each_number_once_and_get_their_own_answers() -> None:
    count, writes = 8, 50
    script: list[Step] = [api.PutResult(n, True) for n in range(1, count * writes + 1)]
    answers: list[tuple[bytes, int]] = []
    with (
        ScriptedNode(*script) as node,
        Client([node.address], timeout_ms=10_000, connections_max=1) as client,
    ):

        def run(thread: int) -> None:
            for n in range(writes):
                value = b"%d.%d" % (thread, n)
                answers.append((value, client.put("k", value).revision))

        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert numbers(node) == [(1, n) for n in range(1, count * writes + 1)]
        assert values(node) == [value for value, _ in sorted(answers, key=lambda one: one[1])]
        assert node.connections == 1


def test_who_waits_is_served_in_the_order_of_coming(inside: Inside) -> None:
    client = inside.client
    inside.leader.extend(*[OK] * 5)
    for n in range(5):
        inside.start(lambda n=n: client.put("k", str(n)))  # type: ignore[misc]
    assert inside.go_on() == [OK] * 6
    assert values(inside.leader) == [b"inside", b"0", b"1", b"2", b"3", b"4"]


def test_who_waits_in_vain_is_refused_in_time_and_nothing_was_sent(inside: Inside) -> None:
    inside.client._timeout_ms = 300
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(RefusedError, match="give it more connections, or more time") as caught:
            inside.client.put("k", "waits")
        assert type(caught.value) is RefusedError
        assert 0.25 < time.monotonic() - began < DEADLINE_S
        assert inside.waiting == 1
        with pytest.raises(RefusedError):
            inside.client.close()
    assert len(inside.node.requests) == 1
    assert inside.go_on() == [OK]
    inside.client._timeout_ms = 10_000
    inside.leader.extend(OK)
    assert inside.client.put("k", "later") == OK
    assert values(inside.leader) == [b"inside", b"later"]


def test_who_waits_has_no_more_than_one_timeout_in_all() -> None:
    """What the wait took is not given again to the request itself."""
    with (
        ScriptedNode(*[Misbehave.SILENCE] * 2) as node,
        Client([node.address], 2_000, exactly_once=False, connections_max=1) as client,
    ):

        def put() -> None:
            with pytest.raises(OutcomeUnknownError):
                client.put("k", "1")

        first = threading.Thread(target=put)
        first.start()
        eventually(lambda: node.requests, "the first request has arrived")
        began = time.monotonic()
        with pytest.raises(RequestError):
            client.put("k", "2")
        assert time.monotonic() - began < 3.5
        first.join(DEADLINE_S)


def test_an_interrupt_while_waiting_leaves_the_line(inside: Inside) -> None:
    inside.leader.extend(OK)
    for _ in range(2):
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            inside.client.put("k", "waits")
        timer.join()
        assert inside.waiting == 1
    assert inside.go_on() == [OK]
    assert inside.client.put("k", "later") == OK


STORM = """
import os, random, signal, sys, threading, time
from kvstore import Client

client, interrupts, armed, rng = Client(sys.argv[1]), 0, [False], random.Random(1)

def interrupt(_number, _frame):
    if armed[0]:
        armed[0] = False  # one at a time, so that none hits the code that catches it
        raise KeyboardInterrupt

def strike():
    while True:
        time.sleep(rng.uniform(0.0001, 0.002))
        os.kill(os.getpid(), signal.SIGINT)

def write():
    while interrupts < 200:
        client.put("t", "v")

signal.signal(signal.SIGINT, interrupt)
threading.Thread(target=strike, daemon=True).start()
others = [threading.Thread(target=write, daemon=True) for _ in range(int(sys.argv[2]))]
for other in others:
    other.start()
written = 0
while interrupts < 200:
    try:
        armed[0] = True
        while True:
            written += 1
            client.put("k", str(written))
    except KeyboardInterrupt:
        interrupts += 1
for other in others:
    other.join()
client.put("k", "last")
"""


class Agreeable(ScriptedNode):
    """Says of every write that it was made."""

    def _next_step(self, request: object) -> Step:
        is_put = isinstance(request, api.Once) and isinstance(request.write, api.Put)
        return OK if is_put else api.DeleteResult(1, 0)


@pytest.mark.parametrize("others", [0, 2])
def test_interrupts_at_any_point_use_no_number_twice_and_leave_the_client_usable(
    others: int,
) -> None:
    """What settles the doubt that an interrupt leaves has its number a second time."""
    with Agreeable() as node:
        command = [sys.executable, "-c", STORM, node.address, str(others)]
        subprocess.run(command, check=True, timeout=20, stdin=subprocess.DEVNULL)
        onces = [call.request for call in node.calls if isinstance(call.request, api.Once)]
        puts = [once for once in onces if isinstance(once.write, api.Put)]
        writes = {(once.session, once.sequence, once.write) for once in puts}
        assert len(writes) == len({(once.session, once.sequence) for once in puts})
        assert (len(puts) < len(onces)) == (others > 0)
        # What an interrupted request sent may be read after it, as it came on another connection.
        assert b"last" in values(node)


def test_at_most_one_is_inside_and_nobody_is_forgotten() -> None:
    gate, inside, most, done = Gate(1), Counter[str](), [0], Counter[int]()
    rounds = 300

    def run(thread: int) -> None:
        for _ in range(rounds):
            with gate.turn(time.monotonic() + DEADLINE_S):
                inside["now"] += 1
                most.append(inside["now"])
                inside["now"] -= 1
            done[thread] += 1

    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
    finally:
        sys.setswitchinterval(switch_s)
    assert max(most) == 1
    assert done == dict.fromkeys(range(8), rounds)


# --- Callbacks, signal handlers, close ----------------------------------------------------


def test_a_callback_cannot_ask_with_the_client_that_calls_it_and_harms_nothing() -> None:
    with ScriptedNode(OK) as leader, ScriptedNode() as node:
        refused: list[str] = []

        def ask(_asked: str, _leader: str) -> None:
            for request in (lambda: client.put("k", "inner"), lambda: client.get("foo")):
                with pytest.raises(RefusedError, match="in the middle of a request") as caught:
                    request()
                refused.append(str(caught.value))

        node.extend(not_leader(leader.address))
        nodes = [node.address, leader.address]
        with Client(nodes, on_redirect=ask, connections_max=1) as client:
            assert client.put("k", "outer") == OK
            leader.extend(not_leader(node.address))
            node.extend(OK)
            assert client.put("k", "outer") == OK
            assert len(refused) == 4
            assert values(leader) + values(node) == [b"outer"] * 4


def test_a_signal_handler_cannot_ask_in_the_middle_of_a_request_but_between_two() -> None:
    refused: list[str] = []

    def handle(_number: int, _frame: FrameType | None) -> None:
        try:
            client.put("k", "handler")
        except RefusedError as error:
            refused.append(str(error))

    def interrupted() -> api.Result:
        os.kill(os.getpid(), signal.SIGUSR1)
        return OK

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with (
            ScriptedNode(*[interrupted, OK] * 2) as node,
            Client([node.address], connections_max=1) as client,
        ):
            for asked in (1, 2):
                assert client.put("k", "outer") == OK
                assert len(refused) == asked
                assert "in the middle of a request" in refused[-1]
                os.kill(os.getpid(), signal.SIGUSR1)
            assert values(node) == [b"outer", b"handler"] * 2
            assert numbers(node) == [(1, n) for n in range(1, 5)]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_nothing_is_sent_after_a_callback_that_took_all_the_time(skipped_pauses: Clock) -> None:
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as node:
        with (
            Client([node.address], on_redirect=lambda _a, _b: skipped_pauses.sleep(6)) as client,
            pytest.raises(NotLeaderError, match="gave up after 5000 ms"),
        ):
            client.put("k", "v")
        assert leader.requests == []


def test_close_waits_for_the_request_of_another_thread(inside: Inside) -> None:
    closed = threading.Event()
    inside.start(lambda: (inside.client.close(), closed.set()))
    assert not closed.is_set()
    inside.go_on()
    assert closed.is_set()
    assert [lane.links._open for lane in inside.client._lanes._all()] == [{}]
    inside.leader.extend(OK)
    assert inside.client.put("k", "again") == OK


def test_a_callback_may_close_and_the_request_goes_on_over_a_new_connection() -> None:
    with ScriptedNode(OK) as leader, ScriptedNode() as node:
        node.extend(not_leader(leader.address), not_leader(leader.address))
        with Client([node.address], on_redirect=lambda _a, _b: client.close()) as client:
            assert client.put("k", "1") == OK


# --- Scans --------------------------------------------------------------------------------


def pages(count: int) -> list[Step]:
    """Answers to a scan, one record each."""

    def record(n: int) -> api.KeyValue:
        return api.KeyValue(b"%04d" % n, b"", 1, 1, 1)

    return [
        api.ScanResult(1, (record(n),), b"%04d" % (n + 1) if n + 1 < count else None)
        for n in range(count)
    ]


def test_a_scan_left_half_way_holds_nothing() -> None:
    with ScriptedNode(*pages(3)) as node, Client([node.address]) as client:
        scan = client.scan()
        next(scan)
        node._script[:] = [FOUND]
        answers: list[object] = []
        thread = threading.Thread(target=lambda: answers.append(client.get("foo")))
        thread.start()
        thread.join(DEADLINE_S)
        assert answers == [FOO]


def test_threads_that_share_one_scan_get_each_record_once_or_are_refused() -> None:
    count = 20
    with ScriptedNode(*pages(count)) as node, Client([node.address]) as client:
        scan, found, refused = client.scan(), [], Counter[str]()

        def take() -> None:
            while True:
                try:
                    found.append(next(scan).key)
                except StopIteration:
                    return
                except ValueError as error:
                    refused[str(error)] += 1
                    time.sleep(0.001)  # lets the one inside go on

        threads = [threading.Thread(target=take, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert sorted(found) == [b"%04d" % n for n in range(count)]
        assert set(refused) <= {"generator already executing"}
