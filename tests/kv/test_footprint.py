"""What commands are said to change, held against what they change."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.machine import StateMachine
from kvstore.kv.sessions import EXPIRED_AT_ONCE
from kvstore.kv.view import NO_FOOTPRINT, Applied, Past, TableFootprint
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState, MemoryTable
from kvstore.storage.tables import ATTACHED, ENDS, HISTORY, INDEX, LEASES, SESSIONS

RULES = api.SessionRules(ttl_ms=50, sessions_max=8)


class CountingTable(MemoryTable):
    """A table that counts its changes."""

    counted = TableFootprint()

    def put(self, key: bytes, record: bytes) -> None:
        self.counted += TableFootprint(1, len(key) + len(record))
        super().put(key, record)

    def append(self, key: bytes, record: bytes) -> None:
        self.counted += TableFootprint(1, len(key) + len(record))
        super().put(key, record)

    def delete(self, key: bytes) -> bool:
        self.counted += TableFootprint(deletes=1)
        return super().delete(key)


class CountingState(CountingTable, MemoryState):
    """A state that counts the changes of each table."""

    def __init__(self) -> None:
        super().__init__(Identity(1, "test", 1, ""))
        self.attached: CountingTable = CountingTable(ATTACHED)
        self.ends: CountingTable = CountingTable(ENDS)
        self.leases: CountingTable = CountingTable(LEASES)
        self.history: CountingTable = CountingTable(HISTORY)
        self.index: CountingTable = CountingTable(INDEX)
        self.sessions: CountingTable = CountingTable(SESSIONS)

    @property
    def tables(self) -> tuple[CountingTable, ...]:
        beside = (self.attached, self.ends, self.history, self.index)
        return (*beside, self, self.leases, self.sessions)


KEYS = st.sampled_from([b"a", b"b", b"c" * 480])
VALUES = st.binary(max_size=3_000)
GUARDS = st.none() | st.builds(api.Guard, KEYS, st.integers(0, 5))
PUT_ONE = st.builds(api.Put, KEYS, VALUES)
DELETE_SOME = st.builds(api.DeleteRange, KEYS, st.sampled_from([None, b"\0"]), st.integers(0, 2))
TXNS = st.recursive(
    PUT_ONE | DELETE_SOME,
    lambda inner: st.builds(
        api.Txn,
        st.sampled_from([(), (api.Compare(b"a", api.CompareTarget.MOD),)]),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
).filter(lambda one: api.complaint_about(one, Limits()) is None)
WRITES = st.one_of(
    st.builds(api.Put, KEYS, VALUES, st.sampled_from([api.When.ALWAYS, api.When.PRESENT]),
              return_previous=st.booleans(), guard=GUARDS),
    st.builds(api.PutMany, st.lists(st.tuples(KEYS, VALUES), max_size=5).map(tuple), guard=GUARDS),
    st.builds(api.Delete, st.lists(KEYS, max_size=5).map(tuple), guard=GUARDS),
    st.builds(api.Increment, st.just(b"n"), st.integers(-(1 << 62), 1 << 62), guard=GUARDS),
    st.builds(api.DeleteRange, KEYS, st.sampled_from([None, b"\0", b"b"]), st.integers(0, 2)),
    TXNS,
)  # fmt: skip
COMMANDS = st.one_of(
    WRITES,
    st.builds(
        api.Stamped,
        st.integers(0, 400),
        st.one_of(
            st.builds(api.OpenSession),
            st.builds(api.Once, st.integers(1, 30), st.integers(1, 9), WRITES),
        ),
    ),
)


def holds(said: TableFootprint, counted: TableFootprint) -> bool:
    spare = said - counted
    return min(spare.puts, spare.put_bytes, spare.deletes) >= 0


@settings(max_examples=60, deadline=None)
@given(st.lists(COMMANDS, max_size=60), st.sampled_from([0, 4_000, 1 << 20]))
def test_no_command_changes_more_than_is_said_before(
    commands: list[api.Logged], keep_bytes: int
) -> None:
    state = CountingState()
    machine = StateMachine(state, Applied(past=Past(keep_bytes=keep_bytes)), 1 << 20, RULES)
    for index, command in enumerate(commands, start=1):
        for table in state.tables:
            table.counted = TableFootprint()
        data = msgspec.msgpack.encode(command)
        said = machine.footprint(data)
        machine.apply(index, data)
        for table in state.tables:
            assert holds(said.of(table.row.name), table.counted), (table.row.name, command)


def test_sessions_that_expire_together_are_counted_too() -> None:
    state = CountingState()
    machine = StateMachine(state, Applied(), 1 << 20, api.SessionRules(ttl_ms=50))
    opening = [api.Stamped(0, api.OpenSession()) for _ in range(60)]
    for index, command in enumerate([*opening, api.Stamped(100, api.OpenSession())], start=1):
        state.sessions.counted = TableFootprint()
        data = msgspec.msgpack.encode(command)
        machine.apply(index, data)
    assert state.sessions.counted.deletes == EXPIRED_AT_ONCE
    assert holds(machine.footprint(data).of("sessions"), state.sessions.counted)


def test_bytes_that_are_no_command_are_said_to_change_nothing() -> None:
    machine = StateMachine(CountingState(), Applied(), 1 << 20, RULES)
    assert machine.footprint(random.Random(1).randbytes(9)) == NO_FOOTPRINT
