"""The checker of snapshots: data that are not those of the log are found, byte by byte."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.raft.types import Entry, EntryKind, LogStart
from kvstore.raft.versions import version_data
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.installed import Installed
from kvstore.storage import records
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

RULES = api.SessionRules()


class Log:
    """Entries behind a start."""

    def __init__(self) -> None:
        self.start = LogStart()
        self.entries: list[Entry] = []

    def slice(self, start: int, stop: int, _bytes_max: int) -> list[Entry]:
        return [entry for entry in self.entries if start <= entry.index < stop]


class Host:
    """A node whose checker sees whatever the test does to it."""

    session_rules = RULES

    def __init__(self, node_id: int, checker: Installed) -> None:
        self.id = node_id
        self._checker = checker
        self.state = MemoryState(Identity(0, "still", node_id, ""))
        self.log = Log()
        self.machine = StateMachine(self.state, Applied(), 0, RULES)
        self.disk = SimpleNamespace(state=self.state)
        self.running = SimpleNamespace(raft=SimpleNamespace(log=self.log), machine=self.machine)
        checker.started(self)

    def apply(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.log.entries.append(entry)
            if entry.kind is EntryKind.COMMAND:
                self.machine.apply(entry.index, entry.data)
            else:
                self.machine.advance(entry.index)
                if entry.kind is EntryKind.VERSION:
                    self.machine.adopt(int(entry.data))
        self._checker.changed(self)

    def install(self, pairs: list[tuple[bytes, bytes]], applied: Applied) -> None:
        successor = self.state.begin_successor()
        successor.put(pairs)
        successor.finish(applied)
        self.state.change_over(successor)
        self.log.start = LogStart(applied.last_applied, 1)
        self.machine.go_on_from(applied)
        self._checker.changed(self)


def entries() -> list[Entry]:
    commands: list[object] = [
        api.Stamped(10, api.OpenSession()),
        api.Put(b"a", b"1"),
        api.Stamped(20, api.Once(2, 1, api.Put(b"b", b"2"))),
        api.Delete((b"a",)),
        api.Put(b"c", b"3"),
    ]
    data = [msgspec.msgpack.encode(command) for command in commands]
    first = [
        Entry(1, 1, EntryKind.NOOP, b"1"),
        *(Entry(index, 1, EntryKind.COMMAND, one) for index, one in enumerate(data, 2)),
    ]
    return [*first, Entry(7, 1, EntryKind.VERSION, version_data(3))]


@pytest.fixture
def hosts() -> tuple[Host, Host]:
    checker = Installed((1, 2))
    one, two = Host(1, checker), Host(2, checker)
    one.apply(entries())
    two.apply(entries()[:2])
    return one, two


def data_of(host: Host) -> list[tuple[bytes, bytes]]:
    host.state.commit(host.machine.applied)
    return [pair for table in host.state.tables for pair in table.committed()]


def test_what_was_applied_may_be_installed_as_of_any_entry(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    two.install(data_of(one), one.machine.applied)
    checker = two._checker
    third = Host(3, checker)
    third.apply(entries()[:4])
    fourth = Host(4, checker)
    fourth.install(data_of(third), third.machine.applied)
    two.apply([Entry(8, 1, EntryKind.NOOP, b"2")])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pairs: pairs[1:],
        lambda pairs: pairs[:-1],
        lambda pairs: [(pairs[0][0], records.encode_value(pairs[0][0], bytes(30))), *pairs[1:]],
        lambda pairs: [*pairs[:-1], (pairs[-1][0], records.encode_value(pairs[-1][0], b"x"))],
    ],
    ids=["a key is missing", "a session is missing", "another record", "another session"],
)
def test_data_that_are_not_those_of_the_log_are_found(hosts: tuple[Host, Host], spoil) -> None:
    one, two = hosts
    pairs = data_of(one)
    two.machine.go_on_from = lambda applied: setattr(two.machine, "last_applied", 7)
    with pytest.raises(ViolationError, match="installs the data up to entry 7"):
        two.install(spoil(pairs), one.machine.applied)


@pytest.mark.parametrize("field", ["revision", "time_ms", "cluster_version"])
def test_what_stands_beside_the_data_is_compared_too(hosts: tuple[Host, Host], field: str) -> None:
    one, two = hosts
    applied = one.machine.applied
    wrong = msgspec.structs.replace(applied, **{field: getattr(applied, field) + 1})
    with pytest.raises(ViolationError, match="what it stands at"):
        two.install(data_of(one), wrong)


def test_data_of_what_nobody_applied_are_found(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    wrong = msgspec.structs.replace(one.machine.applied, last_applied=9)
    with pytest.raises(ViolationError, match="nobody has applied"):
        two.install(data_of(one), wrong)


def test_what_a_start_puts_in_place_is_compared_too(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    two.machine.go_on_from(msgspec.structs.replace(one.machine.applied, revision=99))
    with pytest.raises(ViolationError):
        two._checker.started(two)
