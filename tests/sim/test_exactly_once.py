"""Clients with sessions in simulated worlds: their runs are worth a run, and are judged."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest

from kvstore import api
from kvstore.raft.types import Entry, EntryKind, LogStart
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.exactly_once import ExactlyOnce
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.history import Operation
from kvstore.sim.run import go_through
from kvstore.sim.scenario import scenario
from kvstore.sim.world import World

ADD = api.Increment(b"n", 1)


def numbers_in_the_log(world: World) -> Counter[tuple[int, int]]:
    """How often each number of each session stands in the longest log; none if it is empty."""
    sound = [host.disk.log for host in world.hosts.values() if host.is_sound]
    log = max(sound, key=lambda log: log.last_index)
    found: Counter[tuple[int, int]] = Counter()
    first, stop = log.outline.start.index + 1, log.last_index + 1
    for entry in log.entries(first, stop, 1 << 40) if first < stop else ():
        if entry.kind is EntryKind.COMMAND:
            logged = msgspec.msgpack.decode(entry.data, type=api.Logged)
            match logged:
                case api.Stamped(command=api.Once(session=session, sequence=sequence)):
                    found[session, sequence] += 1
    return found


def test_runs_come_to_retries_lost_sessions_copied_clients_and_guards_that_do_not_hold() -> None:
    goals = ("lost session", "copied client", "retry", "guard", "gave up")
    reached: Counter[str] = Counter()
    for seed in range(80):
        world = World(scenario(seed))
        go_through(world)
        reached["lost session"] += world.observer.reached["answer NOSESSION"]
        reached["copied client"] += world.observer.reached["answer TAKEN"]
        reached["retry"] += sum(count > 1 for count in numbers_in_the_log(world).values())
        for operation in world.history:
            reached["guard"] += isinstance(operation.result, api.GuardFailed)
            reached["gave up"] += operation.is_unknown
        if min(reached[what] for what in goals) > 5:
            return
    pytest.fail(f"they come to too little: {reached}")


# --- The checker --------------------------------------------------------------------------


class Host:
    """A node that applies what it is told, and whose revision is what the test says."""

    def __init__(self) -> None:
        self.id = 1
        self.entries: list[Entry] = []
        machine = SimpleNamespace(last_applied=0, revision=0)
        log = SimpleNamespace(
            start=LogStart(),
            slice=lambda start, stop, _max: self.entries[start - 1 : stop - 1],
        )
        self.running = SimpleNamespace(machine=machine, raft=SimpleNamespace(log=log))

    def apply(self, *logged: api.Logged, changes: int) -> None:
        for one in logged:
            index = len(self.entries) + 1
            self.entries.append(Entry(index, 1, EntryKind.COMMAND, msgspec.msgpack.encode(one)))
        self.running.machine.last_applied = len(self.entries)
        self.running.machine.revision += changes


def once(sequence: int, session: int = 1) -> api.Stamped:
    return api.Stamped(0, api.Once(session, sequence, ADD))


@pytest.fixture
def watched() -> tuple[ExactlyOnce, Host]:
    checker, host = ExactlyOnce((1,)), Host()
    checker.started(host)  # type: ignore[arg-type]
    return checker, host


def test_numbers_that_change_something_once_pass(watched: tuple[ExactlyOnce, Host]) -> None:
    checker, host = watched
    for logged, changes in [
        ([api.Stamped(0, api.OpenSession())], 0),
        ([once(1)], 1),
        ([once(1)], 0),
        ([once(2), ADD, once(2)], 2),
        ([once(2, session=9)], 1),
    ]:
        host.apply(*logged, changes=changes)
        checker.changed(host)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "logged",
    [
        [once(1)],
        [api.Stamped(0, api.OpenSession())],
        [once(1), once(1)],
    ],
)
def test_a_number_that_changes_something_again_is_a_finding(
    watched: tuple[ExactlyOnce, Host], logged: list[api.Logged]
) -> None:
    checker, host = watched
    host.apply(once(1), changes=1)
    checker.changed(host)  # type: ignore[arg-type]
    host.apply(*logged, changes=1)
    with pytest.raises(ViolationError, match="revision goes from 1 to 2"):
        checker.changed(host)  # type: ignore[arg-type]


def test_a_replica_that_applies_the_same_entries_is_judged_by_the_same_numbers(
    watched: tuple[ExactlyOnce, Host],
) -> None:
    checker, host = watched
    host.apply(once(1), once(1), changes=1)
    checker.changed(host)  # type: ignore[arg-type]
    other = Host()
    other.id = 2
    checker.started(other)  # type: ignore[arg-type]
    other.apply(once(1), once(1), changes=2)
    with pytest.raises(ViolationError):
        checker.changed(other)  # type: ignore[arg-type]


# --- Guards, judged from answers ----------------------------------------------------------


def operation(at_ms: float, request: api.Request, result: api.Result) -> Operation:
    return Operation(1, at_ms, at_ms + 0.5, request, result)


def guarded(at_ms: float, mod_revision: int, result: api.Result) -> Operation:
    return operation(at_ms, api.Put(b"k", b"v", guard=api.Guard(b"lock", mod_revision)), result)


TAKEN = operation(0, api.Put(b"lock", b"me"), api.PutResult(1, True))
LOST = operation(1, api.Put(b"lock", b"you"), api.PutResult(2, True))


@pytest.mark.parametrize(
    "history",
    [
        [TAKEN, guarded(1, 1, api.PutResult(2, True))],
        [TAKEN, LOST, guarded(2, 1, api.GuardFailed(2, 2))],
        [guarded(1, 1, api.GuardFailed(0, 0))],
        [TAKEN, LOST, guarded(0.2, 1, api.GuardFailed(1, 1))],
    ],
)
def test_guards_that_tell_the_truth_pass(history: list[Operation]) -> None:
    assert check_revisions(history) == []
    assert check_history(history) == []


@pytest.mark.parametrize(
    ("words", "history"),
    [
        ("a change is not seen", [TAKEN, LOST, guarded(2, 1, api.PutResult(3, True))]),
        ("a change is not seen", [TAKEN, LOST, guarded(2, 3, api.GuardFailed(2, 1))]),
        ("a later revision than 1", [TAKEN, guarded(1, 2, api.PutResult(2, True))]),
        ("a later revision than 2", [TAKEN, LOST, guarded(2, 1, api.GuardFailed(2, 3))]),
    ],
)
def test_a_guard_that_held_against_the_revisions_is_a_finding(
    words: str, history: list[Operation]
) -> None:
    assert words in "\n".join(check_revisions(history))


def test_a_guard_that_did_not_hold_left_the_value_as_it_was() -> None:
    history = [
        operation(0, api.Put(b"k", b"old"), api.PutResult(1, True)),
        guarded(1, 7, api.GuardFailed(1, 0)),
        operation(2, api.Get((b"k",)), api.GetResult(1, (api.KeyValue(b"k", b"v", 1, 1, 1),))),
    ]
    assert check_history(history) != []
