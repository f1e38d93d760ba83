"""The state machine: what each command does, and that it does the same everywhere."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.api import INTEGER_MAX, INTEGER_MIN
from kvstore.errors import DirectoryRefusedError
from kvstore.kv.effect import Effect
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

IDENTITY = Identity(format_version=1, cluster_id="test", node_id=1, incarnation="0" * 32)


RULES = api.SessionRules()


class Machine:
    """A state machine over an empty key space, fed one command after another."""

    def __init__(self, reply_bytes_max: int = 1 << 20, rules: api.SessionRules = RULES) -> None:
        self.state = MemoryState(IDENTITY)
        self.machine = StateMachine(self.state, Applied(), reply_bytes_max, rules)

    def run(self, command: api.Logged) -> api.Result:
        return self.effect(command).result

    def effect(self, command: api.Logged) -> Effect:
        data = msgspec.msgpack.encode(command)
        return self.machine.apply(self.machine.last_applied + 1, data)

    def put(self, key: bytes, value: bytes) -> api.Result:
        return self.run(api.Put(key, value))

    def get(self, key: bytes) -> api.KeyValue | None:
        result = self.machine.query(api.Get((key,)))
        assert isinstance(result, api.GetResult)
        return result.items[0]

    def value(self, key: bytes) -> bytes | None:
        item = self.get(key)
        return None if item is None else item.value


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_new_key_starts_its_history_at_the_current_revision(machine: Machine) -> None:
    machine.put(b"other", b"x")
    machine.put(b"k", b"v")
    assert machine.get(b"k") == api.KeyValue(b"k", b"v", 3, 3, 1)


def test_an_overwritten_key_keeps_its_create_revision_and_counts_versions(machine: Machine) -> None:
    machine.put(b"k", b"1")
    machine.put(b"other", b"x")
    machine.put(b"k", b"2")
    assert machine.get(b"k") == api.KeyValue(b"k", b"2", 2, 4, 2)


def test_a_deleted_and_remade_key_starts_a_new_history(machine: Machine) -> None:
    machine.put(b"k", b"1")
    machine.run(api.Delete((b"k",)))
    machine.put(b"k", b"2")
    assert machine.get(b"k") == api.KeyValue(b"k", b"2", 4, 4, 1)


@pytest.mark.parametrize(
    ("old", "put", "written"),
    [
        (None, api.Put(b"k", b"new", api.When.ABSENT), True),
        (b"old", api.Put(b"k", b"new", api.When.ABSENT), False),
        (None, api.Put(b"k", b"new", api.When.PRESENT), False),
        (b"old", api.Put(b"k", b"new", api.When.PRESENT), True),
        (None, api.Put(b"k", b"new", api.When.EQUAL, b"old"), False),
        (b"old", api.Put(b"k", b"new", api.When.EQUAL, b"old"), True),
        (b"other", api.Put(b"k", b"new", api.When.EQUAL, b"old"), False),
        (b"old!", api.Put(b"k", b"new", api.When.EQUAL, b"old"), False),
    ],
)
def test_a_conditional_put_writes_only_when_its_condition_holds(
    machine: Machine, old: bytes | None, put: api.Put, written: bool
) -> None:
    if old is not None:
        machine.put(b"k", old)
    revision = machine.machine.revision
    result = machine.run(put)
    assert isinstance(result, api.PutResult)
    assert result.written is written
    assert machine.value(b"k") == (b"new" if written else old)
    assert machine.machine.revision == revision + written == result.revision


def test_put_returns_the_replaced_record_when_asked(machine: Machine) -> None:
    machine.put(b"k", b"old")
    result = machine.run(api.Put(b"k", b"new", return_previous=True))
    assert isinstance(result, api.PutResult)
    assert result.previous == api.KeyValue(b"k", b"old", 2, 2, 1)


def test_put_many_replaces_so_much_at_once_and_else_changes_nothing(machine: Machine) -> None:
    """What it replaces is read, in one turn, on every node."""
    keys = [b"k%d" % number for number in range(65)]
    for key in keys:
        machine.put(key, bytes(1 << 20))
    before = machine.machine.revision
    steps = machine.machine.steps
    refused = machine.run(api.PutMany((*((key, b"") for key in keys), (b"new", b"v"))))
    assert isinstance(refused, api.Failure)
    assert refused.code is api.FailureCode.INVALID
    assert refused.is_final
    assert machine.machine.revision == before
    assert machine.get(b"new") is None
    assert machine.machine.steps - steps < (66 << 10)
    assert machine.run(api.PutMany(tuple((key, b"") for key in keys[1:]))) == api.PutResult(
        before + 1, True
    )
    assert machine.value(keys[0]) == bytes(1 << 20)
    assert machine.value(keys[64]) == b""


def test_put_many_is_one_revision_and_the_last_of_equal_keys_wins(machine: Machine) -> None:
    machine.run(api.PutMany(((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))))
    assert machine.get(b"a") == api.KeyValue(b"a", b"3", 2, 2, 1)
    assert machine.get(b"b") == api.KeyValue(b"b", b"2", 2, 2, 1)
    assert machine.machine.revision == 2


def test_delete_counts_each_existing_key_once(machine: Machine) -> None:
    machine.put(b"a", b"1")
    machine.put(b"b", b"2")
    result = machine.run(api.Delete((b"a", b"absent", b"a", b"b")))
    assert result == api.DeleteResult(revision=4, deleted=2)
    assert machine.machine.query(api.Count()) == api.CountResult(4, 0)


def test_deleting_nothing_leaves_the_revision(machine: Machine) -> None:
    machine.put(b"a", b"1")
    assert machine.run(api.Delete((b"absent",))) == api.DeleteResult(revision=2, deleted=0)


def test_increment_counts_from_zero_and_stores_a_decimal(machine: Machine) -> None:
    assert machine.run(api.Increment(b"n", 5)) == api.IncrementResult(2, 5)
    assert machine.run(api.Increment(b"n", -7)) == api.IncrementResult(3, -2)
    assert machine.value(b"n") == b"-2"


@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"1 ", b" 1", b"+1", b"01", b"-0", b"1.5", b"9223372036854775808", b"\xd9\xa1"],
)
def test_increment_refuses_what_is_no_integer_and_changes_nothing(
    machine: Machine, value: bytes
) -> None:
    machine.put(b"n", value)
    result = machine.run(api.Increment(b"n", 1))
    assert isinstance(result, api.Failure)
    assert result.message == "value is not an integer or out of range"
    assert machine.get(b"n") == api.KeyValue(b"n", value, 2, 2, 1)


@pytest.mark.parametrize(("start", "by"), [(INTEGER_MAX, 1), (INTEGER_MIN, -1)])
def test_increment_refuses_to_overflow(machine: Machine, start: int, by: int) -> None:
    machine.put(b"n", b"%d" % start)
    result = machine.run(api.Increment(b"n", by))
    assert isinstance(result, api.Failure)
    assert result.message == "increment or decrement would overflow"
    assert machine.value(b"n") == b"%d" % start


# --- Guards -------------------------------------------------------------------------------

GUARDED: list[tuple[api.Write, bytes | None]] = [
    (api.Put(b"k", b"new", guard=api.Guard(b"lock", 3)), b"new"),
    (api.PutMany(((b"k", b"new"),), guard=api.Guard(b"lock", 3)), b"new"),
    (api.Delete((b"k",), guard=api.Guard(b"lock", 3)), None),
    (api.Increment(b"k", 1, guard=api.Guard(b"lock", 3)), b"2"),
]


@pytest.mark.parametrize(("write", "after"), GUARDED)
def test_a_write_with_a_guard_that_holds_is_like_one_without(
    machine: Machine, write: api.Write, after: bytes | None
) -> None:
    machine.put(b"k", b"1")
    machine.put(b"lock", b"me")
    assert not isinstance(machine.run(write), api.GuardFailed)
    assert machine.value(b"k") == after


@pytest.mark.parametrize("write", [write for write, _ in GUARDED])
def test_a_guard_whose_key_was_written_since_stops_every_kind_of_write(
    machine: Machine, write: api.Write
) -> None:
    machine.put(b"k", b"1")
    machine.put(b"lock", b"me")
    machine.put(b"lock", b"you")
    assert machine.run(write) == api.GuardFailed(revision=4, mod_revision=4)
    assert machine.get(b"k") == api.KeyValue(b"k", b"1", 2, 2, 1)
    assert machine.machine.revision == 4


@pytest.mark.parametrize("write", [write for write, _ in GUARDED])
def test_a_guard_whose_key_is_gone_stops_every_kind_of_write(
    machine: Machine, write: api.Write
) -> None:
    machine.put(b"k", b"1")
    machine.put(b"lock", b"me")
    machine.run(api.Delete((b"lock",)))
    assert machine.run(write) == api.GuardFailed(revision=4, mod_revision=0)
    assert machine.value(b"k") == b"1"


def test_a_guard_of_revision_0_wants_no_such_key(machine: Machine) -> None:
    write = api.Put(b"k", b"v", guard=api.Guard(b"lock", 0))
    assert machine.run(write) == api.PutResult(2, True)
    machine.put(b"lock", b"me")
    assert machine.run(write) == api.GuardFailed(3, 3)


def test_a_guard_may_be_on_the_key_itself_and_beside_a_condition(machine: Machine) -> None:
    machine.put(b"k", b"1")
    guard = api.Guard(b"k", 2)
    unmet = machine.run(api.Put(b"k", b"2", api.When.ABSENT, guard=guard))
    assert unmet == api.PutResult(2, False)
    assert machine.run(api.Put(b"k", b"2", guard=guard)) == api.PutResult(3, True)
    assert machine.run(api.Put(b"k", b"3", guard=guard)) == api.GuardFailed(3, 3)


def test_every_write_of_a_key_has_a_higher_mod_revision_than_all_before(machine: Machine) -> None:
    """Also over a deletion, so that a fencing token never comes back."""
    tokens = []
    for _ in range(3):
        machine.put(b"lock", b"holder")
        machine.put(b"other", b"x")
        item = machine.get(b"lock")
        assert item is not None
        tokens.append(item.mod_revision)
        machine.run(api.Delete((b"lock",)))
    assert tokens == sorted(set(tokens))


# --- Queries ------------------------------------------------------------------------------


def test_get_answers_in_the_order_asked_with_none_for_absent_keys(machine: Machine) -> None:
    machine.put(b"a", b"1")
    result = machine.machine.query(api.Get((b"b", b"a", b"a"), with_values=False))
    item = api.KeyValue(b"a", b"", 2, 2, 1)
    assert result == api.GetResult(2, (None, item, item))


@pytest.mark.parametrize("with_values", [True, False])
def test_get_refuses_to_read_more_than_the_limit(with_values: bool) -> None:
    """Also to see what exists: 4,096 values of 1 MiB took seconds to read."""
    machine = Machine(reply_bytes_max=10)
    machine.put(b"k", b"x" * 6)
    one, two = (api.Get((b"k",) * count, with_values) for count in (1, 2))
    assert isinstance(machine.machine.query(one), api.GetResult)
    refusal = machine.machine.query(two)
    assert isinstance(refusal, api.Failure)
    assert refusal.message.endswith("10 bytes; ask for fewer keys at once")


def test_scan_pages_through_a_prefix_in_byte_order(machine: Machine) -> None:
    for key in (b"b/2", b"a", b"b/1", b"b/3", b"c"):
        machine.put(key, b"v")
    seen: list[bytes] = []
    start: bytes | None = b""
    while start is not None:
        page = machine.machine.query(api.Scan(start, prefix=b"b/", limit=2))
        assert isinstance(page, api.ScanResult)
        assert len(page.items) <= 2
        seen += [item.key for item in page.items]
        start = page.next_start
    assert seen == [b"b/1", b"b/2", b"b/3"]


def keys_of_pages(machine: Machine, scan: api.Scan) -> list[bytes]:
    """What all pages show together."""
    seen: list[bytes] = []
    while True:
        page = machine.machine.query(scan)
        assert isinstance(page, api.ScanResult)
        assert len(page.items) <= scan.limit
        seen += [item.key for item in page.items]
        if page.next_start is None:
            return seen
        assert len(seen) < 1_000
        scan = msgspec.structs.replace(scan, start=page.next_start)


ODD_KEYS = (
    *(b"", b"\x00", b"a", b"a\x00", b"a\xff", b"a\xff\xff", b"a\xff\xff\x01"),
    *(b"b", b"\xff", b"\xff\xff", b"\xff\xff\x00"),
)


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("prefix", [b"", b"a", b"a\xff", b"\xff", b"\xff\xff", b"c", b"z" * 480])
def test_scan_in_reverse_shows_the_same_from_the_other_end(
    machine: Machine, prefix: bytes, limit: int
) -> None:
    for key in ODD_KEYS:
        machine.put(key, b"v")
    for start in (None, *ODD_KEYS, b"a\xfe", b"0", b"z" * 480):
        wanted = [
            key
            for key in sorted(ODD_KEYS, reverse=True)
            if key.startswith(prefix) and (start is None or key <= start)
        ]
        scan = api.Scan(start, prefix, limit, reverse=True)
        assert keys_of_pages(machine, scan) == wanted, scan


def test_scan_ends_its_page_at_the_reply_limit_but_never_with_nothing() -> None:
    machine = Machine(reply_bytes_max=50)
    for key in (b"a", b"b", b"c"):
        machine.put(key, b"x" * 40)
    for reverse, (first, second) in ((False, (b"a", b"b")), (True, (b"c", b"b"))):
        page = machine.machine.query(api.Scan(limit=10, reverse=reverse))
        assert isinstance(page, api.ScanResult)
        assert [item.key for item in page.items] == [first]
        assert page.next_start == second


def test_an_entry_of_an_unknown_command_stops_the_machine(machine: Machine) -> None:
    with pytest.raises(DirectoryRefusedError, match="log entry 1"):
        machine.machine.apply(1, msgspec.msgpack.encode(["frobnicate", b"k"]))


def test_entries_are_applied_once_each_in_order(machine: Machine) -> None:
    machine.put(b"k", b"v")
    with pytest.raises(AssertionError):
        machine.machine.apply(1, msgspec.msgpack.encode(api.Put(b"k", b"w")))
    with pytest.raises(AssertionError):
        machine.machine.apply(3, msgspec.msgpack.encode(api.Put(b"k", b"w")))


keys = st.sampled_from([b"", b"a", b"b", b"\xff"])
values = st.sampled_from([b"", b"1", b"-3", b"x"])
commands = st.one_of(
    st.builds(api.Put, keys, values, st.sampled_from(api.When), values, st.booleans()),
    st.builds(api.PutMany, st.lists(st.tuples(keys, values), max_size=3).map(tuple)),
    st.builds(api.Delete, st.lists(keys, max_size=3).map(tuple)),
    st.builds(api.Increment, keys, st.integers(-5, 5)),
)


@given(st.lists(commands, max_size=30), st.integers(0, 30))
def test_a_replay_from_any_checkpoint_gives_the_same_bytes_and_results(
    script: list[api.Command], at: int
) -> None:
    whole, interrupted = Machine(), Machine()
    results = [whole.run(command) for command in script]
    replayed = [interrupted.run(command) for command in script[:at]]
    interrupted.state.commit(interrupted.machine.applied)
    interrupted.machine = StateMachine(
        interrupted.state, interrupted.state.applied(), 1 << 20, RULES
    )
    replayed += [interrupted.run(command) for command in script[at:]]
    assert replayed == results
    assert [*interrupted.state.scan(b"")] == [*whole.state.scan(b"")]
    assert interrupted.machine.applied == whole.machine.applied
