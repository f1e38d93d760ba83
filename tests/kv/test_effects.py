"""What an entry is told to have changed, for those who will watch keys."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.kv import machine as handlers
from kvstore.kv.effect import Change
from kvstore.kv.machine import StateMachine
from kvstore.kv.record import to_key_value
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

ABSENT = api.When.ABSENT


class Machine:
    """A state machine, and what it tells of each entry."""

    def __init__(self) -> None:
        state = MemoryState(Identity(1, "test", 1, ""))
        self.machine = StateMachine(state, Applied(), 1 << 20, api.SessionRules())
        self.apply(api.PutMany(((b"a", b"1"), (b"b", b"2"))))

    def apply(self, logged: api.Logged) -> tuple[Change, ...]:
        data = msgspec.msgpack.encode(logged)
        return self.machine.apply(self.machine.last_applied + 1, data).changes

    def value(self, key: bytes, record: bytes | None) -> bytes | None:
        if record is None:
            return None
        shown = to_key_value(key, record)
        assert shown.mod_revision == self.machine.revision
        return shown.value


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        (api.Put(b"a", b"x"), [(b"a", b"x")]),
        (api.Put(b"a", b"x", ABSENT), []),
        (api.Put(b"a", b"x", guard=api.Guard(b"a", 7)), []),
        (api.PutMany(((b"c", b"1"), (b"a", b"2"), (b"c", b"3"))), [(b"c", b"3"), (b"a", b"2")]),
        (api.Delete((b"b", b"b", b"z", b"a")), [(b"b", None), (b"a", None)]),
        (api.Delete((b"z",)), []),
        (api.Increment(b"a", 5), [(b"a", b"6")]),
        (api.Increment(b"a", api.INTEGER_MAX), []),
    ],
)
def test_changes_are_those_of_one_revision(
    write: api.Write, changes: list[tuple[bytes, bytes | None]]
) -> None:
    machine = Machine()
    before = machine.machine.revision
    told = machine.apply(write)
    assert [(key, machine.value(key, record)) for key, record in told] == changes
    assert machine.machine.revision - before == bool(changes)


def test_what_comes_again_under_a_session_changed_its_keys_the_first_time() -> None:
    machine = Machine()
    assert machine.apply(api.Stamped(0, api.OpenSession())) == ()
    once = api.Stamped(0, api.Once(machine.machine.last_applied, 1, api.Increment(b"a", 1)))
    assert [key for key, _ in machine.apply(once)] == [b"a"]
    assert machine.apply(once) == ()


def test_every_write_and_every_query_has_its_handler() -> None:
    assert handlers.WRITES.keys() == {*api.WRITES}
    assert handlers.QUERIES.keys() == {*api.QUERIES}
