"""What an entry is told to have changed, for those who will watch keys."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.kv import machine as handlers
from kvstore.kv.effect import Change
from kvstore.kv.machine import StateMachine
from kvstore.kv.record import HEAD_BYTES, to_key_value, unpack_head
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
        before = self.machine.revision
        data = msgspec.msgpack.encode(logged)
        effect = self.machine.apply(self.machine.last_applied + 1, data)
        assert effect.revision == (before + 1 if effect.changes else 0)
        return effect.changes

    def value(self, key: bytes, record: bytes | None) -> bytes | None:
        if record is None:
            return None
        shown = to_key_value(key, record)
        assert shown.mod_revision == self.machine.revision
        return shown.value


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        (api.Put(b"a", b"x"), [(b"a", b"x", b"1")]),
        (api.Put(b"c", b"x"), [(b"c", b"x", None)]),
        (api.Put(b"a", b"x", ABSENT), []),
        (api.Put(b"a", b"x", guard=api.Guard(b"a", 7)), []),
        (
            api.PutMany(((b"c", b"1"), (b"a", b"2"), (b"c", b"3"))),
            [(b"c", b"3", None), (b"a", b"2", b"1")],
        ),
        (
            api.Delete((b"b", b"b", b"z", b"a")),
            [(b"b", None, b"2"), (b"a", None, b"1")],
        ),
        (api.Delete((b"z",)), []),
        (api.Increment(b"a", 5), [(b"a", b"6", b"1")]),
        (api.Increment(b"a", api.INTEGER_MAX), []),
        (api.DeleteRange(b"b", b"\0"), [(b"b", None, b"2")]),
        (api.DeleteRange(b"", b"\0", 1), [(b"a", None, b"1")]),
        (api.DeleteRange(b"z"), []),
        (
            api.Txn((), (api.Put(b"z", b"1"), api.DeleteRange(b"a"), api.Put(b"b", b"3"))),
            [(b"z", b"1", None), (b"a", None, b"1"), (b"b", b"3", b"2")],
        ),
        (api.Txn((), (api.Get((b"a",)),)), []),
    ],
)
def test_changes_are_those_of_one_revision(
    write: api.Write, changes: list[tuple[bytes, bytes | None, bytes | None]]
) -> None:
    machine = Machine()
    before = machine.machine.revision
    told = machine.apply(write)
    assert [
        (key, machine.value(key, record), old and old[HEAD_BYTES:]) for key, record, old in told
    ] == changes
    assert machine.machine.revision - before == bool(changes)
    for place, (_, record, _) in enumerate(told):
        assert record is None or unpack_head(record)[4] == place


@pytest.mark.parametrize("is_deletion", [False, True])
def test_of_many_long_records_only_the_first_are_told(is_deletion: bool) -> None:
    """They would all be held in memory at once."""
    machine = Machine()
    keys = [b"%02d" % number for number in range(12)]
    for key in keys:
        machine.apply(api.Put(key, bytes(1 << 20)))
    write = api.Delete((*keys,)) if is_deletion else api.PutMany(tuple((key, b"") for key in keys))
    told = [old is not None for _, _, old in machine.apply(write)]
    assert told == [True] * 8 + [False] * 4


def test_what_comes_again_under_a_session_changed_its_keys_the_first_time() -> None:
    machine = Machine()
    assert machine.apply(api.Stamped(0, api.OpenSession())) == ()
    once = api.Stamped(0, api.Once(machine.machine.last_applied, 1, api.Increment(b"a", 1)))
    assert [key for key, _, _ in machine.apply(once)] == [b"a"]
    assert machine.apply(once) == ()


def test_every_write_and_every_query_has_its_handler() -> None:
    assert handlers.WRITES.keys() == {*api.WRITES}
    assert handlers.QUERIES.keys() == {*api.QUERIES}
