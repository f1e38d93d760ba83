"""A write whose outcome nobody knows takes no effect after a later one of the same client.

Played by the callers of several lanes against the state machine itself, over a network that loses
what it likes and delivers it late; and by whole clients against scripted nodes.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from kv.test_sessions import Sessions
from process.cluster import eventually
from scripted_node import NO_LEADER, OK, UNKNOWN, Misbehave, ScriptedNode, Step

from kvstore import Client, OutcomeUnknownError, RefusedError, RequestError, api
from kvstore.address import Address
from kvstore.client.attempt import Attempt, NotSent, Rest, Unanswered, Way
from kvstore.client.attempt import Step as Wanted
from kvstore.client.caller import Caller, Source
from kvstore.client.doubts import Doubts, Number

from .answers import FOO, FOUND, interrupt
from .numbers import numbers, opened

SETTLING = api.Delete(())
TIMEOUT_MS = 1_000


# --- Against the state machine ------------------------------------------------------------


class Lane:
    """A caller, and the write that it is in the middle of."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.value = b""
        self.began = 0
        self.way: Way | None = None
        self.wanted: Wanted | None = None


class World:
    """Lanes of one client, one node, and what is on its way between them.

    * `effects`: the values in the order in which they were written.
    * `told`: how each write ended for its caller, and when; `moment` counts what happens.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.machine = Sessions(api.SessionRules(10**9, rng.choice([3, 100]), 1_024))
        self.moment = 0
        first = Caller([Address("n", 1)], True, None, True, lambda: self.moment / 20)
        self.lanes = [Lane(first.beside()) for _ in range(rng.choice([2, 3]))]
        self.late: list[api.Command] = []
        self.effects: list[bytes] = []
        self.told: dict[bytes, tuple[str, int, int]] = {}
        self.seen = Counter[str]()

    def arrive(self, request: api.Request) -> api.Result:
        if isinstance(request, api.QUERIES):
            return self.machine.machine.query(request)
        assert isinstance(request, api.OpenSession | api.Once)
        before = self.machine.machine.revision
        result = self.machine.run(api.Stamped(0, request))
        if isinstance(request, api.Once) and self.machine.machine.revision > before:
            assert isinstance(request.write, api.Put)
            self.effects.append(request.write.value)
        return result

    def happen(self) -> None:
        self.moment += 1
        lane = self.rng.choice(self.lanes)
        if self.late and self.rng.random() < 0.1:
            self.arrive(self.late.pop(self.rng.randrange(len(self.late))))
        elif lane.way is None:
            self.begin(lane)
        elif self.rng.random() < 0.05:
            self.interrupt(lane)
        else:
            self.go_on(lane)

    def begin(self, lane: Lane) -> None:
        lane.value, lane.began = b"%d" % self.moment, self.moment
        deadline = self.moment / 20 + TIMEOUT_MS / 1_000
        put = api.Put(b"k", lane.value)
        way = lane.way = lane.caller.ask(put, Source.LEADER, TIMEOUT_MS, deadline)
        self.advance(lane, lambda: next(way))

    def interrupt(self, lane: Lane) -> None:
        assert lane.way is not None
        if isinstance(lane.wanted, Attempt):
            self.leave_behind(lane.wanted)
        lane.way.close()
        self.tell(lane, "interrupted")

    def leave_behind(self, attempt: Attempt) -> None:
        request = attempt.call.request
        if isinstance(request, api.COMMANDS) and self.rng.random() < 0.8:
            self.late.append(request)

    def go_on(self, lane: Lane) -> None:
        way, wanted = lane.way, lane.wanted
        assert way is not None
        if not isinstance(wanted, Attempt):
            if isinstance(wanted, Rest):
                self.moment += 1
            self.advance(lane, lambda: next(way))
            return
        request = wanted.call.request
        if isinstance(request, api.Once) and request.write == SETTLING:
            self.seen["settling"] += 1
        luck = self.rng.random()
        if luck < 0.5:
            reply = api.Reply("test", 1, 1, 1, self.arrive(request), 0)
            self.advance(lane, lambda: way.send(msgspec.msgpack.encode(reply)))
        elif luck < 0.6:
            self.advance(lane, lambda: way.throw(NotSent("no connection")))
        else:
            if luck < 0.75:
                self.arrive(request)
            else:
                self.leave_behind(wanted)
            self.moment += self.rng.choice([1, 10])
            self.advance(lane, lambda: way.throw(Unanswered("no reply")))

    def advance(self, lane: Lane, step: Callable[[], Wanted]) -> None:
        try:
            lane.wanted = step()
        except StopIteration:
            self.tell(lane, "written")
        except OutcomeUnknownError:
            self.tell(lane, "unknown")
        except RequestError:
            self.tell(lane, "refused")

    def tell(self, lane: Lane, how: str) -> None:
        self.told[lane.value] = how, lane.began, self.moment
        self.seen[how] += 1
        lane.way = lane.wanted = None

    def check(self) -> None:
        while self.late:
            self.arrive(self.late.pop(self.rng.randrange(len(self.late))))
        place = {value: n for n, value in enumerate(self.effects)}
        assert len(place) == len(self.effects), "a write took effect twice"
        doubts = []
        for value, (how, _, ended) in self.told.items():
            assert how != "refused" or value not in place, "what was refused was written"
            assert how != "written" or value in place, "what was acknowledged is not there"
            if how in ("unknown", "interrupted") and value in place:
                doubts.append((ended, place[value]))
        for value, (how, began, _) in self.told.items():
            if how == "written":
                late = [ended for ended, n in doubts if ended < began and n > place[value]]
                assert not late, f"{value!r} was overwritten by what was in doubt before it began"


def test_no_write_is_overwritten_by_one_that_was_in_doubt_before_it_began() -> None:
    seen = Counter[str]()
    for seed in range(150):
        world = World(seed)
        for _ in range(200):
            world.happen()
        world.check()
        seen += world.seen
    assert min(seen[what] for what in ("settling", "written", "unknown", "interrupted")) > 100
    assert seen["refused"] > 20


# --- Whole clients ------------------------------------------------------------------------


@contextmanager
def occupied(client: Client, node: ScriptedNode) -> Iterator[None]:
    """Another thread has the lane that was used last, for a read."""
    may_answer = threading.Event()

    def answer() -> api.Result:
        assert may_answer.wait(15)
        return FOUND

    asked = len(node.requests)
    node._script.insert(0, answer)
    thread = threading.Thread(target=client.get, args=("foo",), daemon=True)
    thread.start()
    eventually(lambda: len(node.requests) > asked, "the read has arrived")
    try:
        yield
    finally:
        may_answer.set()
        thread.join(15)
        assert not thread.is_alive()


def unknown(client: Client, node: ScriptedNode) -> None:
    """A put that ends in doubt."""
    node.extend(*[UNKNOWN] * 400)
    with pytest.raises(OutcomeUnknownError):
        client.put("k", "doubtful")
    node._script.clear()


def onces(node: ScriptedNode) -> list[api.Once]:
    return [call.request for call in node.calls if isinstance(call.request, api.Once)]


@pytest.mark.usefixtures("skipped_pauses")
@pytest.mark.parametrize(
    "answer",
    [
        api.DeleteResult(1, 0),
        api.Failure(api.FailureCode.NO_SESSION, "session 1 is unknown or expired"),
        api.Failure(api.FailureCode.TAKEN, "request 1 comes after its request 3"),
        api.Failure(api.FailureCode.TAKEN, "request 1 was another write", is_final=True),
    ],
)
def test_a_doubt_is_settled_once_before_the_next_write_whichever_lane_that_has(
    answer: api.Result,
) -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        unknown(client, node)
        doubtful = numbers(node)[-1]
        with occupied(client, node):
            node.extend(UNKNOWN, answer, OK, OK)
            client.put("k", "1")
            client.put("k", "2")
        sent = onces(node)[-4:]
        assert [once.write for once in sent[:2]] == [SETTLING] * 2
        assert {(once.session, once.sequence) for once in sent[:2]} == {doubtful}
        assert [once.write for once in sent[2:]] == [api.Put(b"k", b"1"), api.Put(b"k", b"2")]
        assert opened(node) == 2


@pytest.mark.usefixtures("skipped_pauses")
def test_its_own_next_write_settles_what_a_lane_left_in_doubt() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        unknown(client, node)
        node.extend(OK, OK)
        client.put("k", "1")
        with occupied(client, node):
            client.put("k", "2")
        assert SETTLING not in [once.write for once in onces(node)]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_refusal_of_its_own_next_write_settles_nothing() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        unknown(client, node)
        node.extend(*[NO_LEADER] * 400)
        with pytest.raises(RefusedError):
            client.put("k", "1")
        node._script.clear()
        with occupied(client, node):
            node.extend(api.DeleteResult(1, 0), OK)
            client.put("k", "2")
        assert (onces(node)[-2].sequence, onces(node)[-2].write) == (1, SETTLING)


def test_a_write_under_way_on_another_lane_is_let_be() -> None:
    may_answer = threading.Event()

    def answer() -> api.Result:
        assert may_answer.wait(15)
        return OK

    with ScriptedNode(answer, OK) as node, Client([node.address]) as client:
        thread = threading.Thread(target=client.put, args=("k", "1"), daemon=True)
        thread.start()
        eventually(lambda: node.requests, "the first write has arrived")
        assert client.put("k", "2") == OK
        may_answer.set()
        thread.join(15)
        assert SETTLING not in [once.write for once in onces(node)]


@pytest.mark.usefixtures("skipped_pauses")
def test_what_cannot_be_settled_keeps_the_next_write_from_being_sent() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        unknown(client, node)
        with occupied(client, node):
            for refusals in ([UNKNOWN] * 400, [NO_LEADER] * 400, [Misbehave.HANG_UP] * 400):
                script: list[Step] = [*refusals]
                node.extend(*script)
                with pytest.raises(RequestError) as caught:
                    client.put("k", "1")
                assert not isinstance(caught.value, OutcomeUnknownError)
                node._script.clear()
                assert onces(node)[-1].write == SETTLING
                assert api.Put(b"k", b"1") not in node.requests
            node.extend(api.DeleteResult(1, 0), OK)
            assert client.put("k", "1") == OK


@pytest.mark.usefixtures("skipped_pauses")
def test_what_is_not_settled_says_that_nothing_was_sent() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        unknown(client, node)
        with occupied(client, node):
            node.extend(*[UNKNOWN] * 400)
            with pytest.raises(RefusedError, match=r"may still take effect, .* not sent") as caught:
                client.put("k", "1")
            assert (caught.value.code, caught.value.retryable) == ("NOLEADER", True)
            node._script.clear()


def test_an_interrupted_write_is_in_doubt_before_its_caller_hears_of_the_interrupt() -> None:
    with ScriptedNode(interrupt) as node, Client([node.address]) as client:
        try:
            client.put("k", "1")
        except KeyboardInterrupt:
            # Here, where the interrupted frames are still alive.
            with occupied(client, node):
                node.extend(api.DeleteResult(1, 0), OK)
                assert client.put("k", "2") == OK
        assert [(once.sequence, once.write) for once in onces(node)] == [
            (1, api.Put(b"k", b"1")),
            (1, SETTLING),
            (1, api.Put(b"k", b"2")),
        ]


def test_reads_do_not_settle_and_clients_without_sessions_have_nothing_to_settle() -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP) as node,
        Client([node.address], exactly_once=False) as client,
    ):
        with pytest.raises(OutcomeUnknownError):
            client.put("k", "1")
        with occupied(client, node):
            node.extend(FOUND, OK)
            assert client.get("foo") == FOO
            assert client.put("k", "2") == OK
        assert onces(node) == []


# --- The numbers themselves ---------------------------------------------------------------


class Request:
    is_over = False


def test_of_many_doubts_of_one_session_the_last_is_kept() -> None:
    doubts = Doubts()
    for sequence in range(1, 100):
        request = Request()
        doubts.begin(Number(7, sequence), request)
        request.is_over = True
    assert doubts.of_others(None)[-1] == Number(7, 99)
    assert len(doubts.of_others(None)) == 2
    assert doubts.of_others(7) == []
    doubts.begin(Number(7, 100), Request())
    doubts.end(Number(7, 100))
    assert Number(7, 99) in doubts.of_others(None), "which the last one would have settled"


def test_a_write_that_was_refused_for_certain_leaves_what_was_in_doubt_before() -> None:
    doubts, before, request = Doubts(), Request(), Request()
    doubts.begin(Number(7, 1), before)
    before.is_over = True
    doubts.begin(Number(7, 2), request)
    doubts.end(Number(7, 2))
    assert doubts.of_others(None) == [Number(7, 1)]
    doubts.end_through(Number(8, 9))
    assert doubts.of_others(None) == [Number(7, 1)]
    doubts.end_through(Number(7, 3))
    assert doubts.of_others(None) == []
