"""Transactions and deletions of ranges: against a model, and rule by rule."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import api
from kvstore.api import Compare, CompareTarget, DeleteRange, Get, Put, Relation, Txn
from kvstore.config.limits import Limits
from kvstore.kv.changing import STEPS_MAX
from kvstore.kv.history import OLD_BYTES_MAX
from kvstore.kv.record import to_key_value
from kvstore.kv.txn import LIMITED_STEPS
from kvstore.sim.checkers.transactions import outcome

from .test_machine import Machine

KEYS = [b"", b"a", b"a\0", b"b", b"bb", b"c", b"\xff"]
ENDS = [None, b"\0", *KEYS]
keys = st.sampled_from(KEYS)
ends = st.sampled_from(ENDS)
values = st.sampled_from([b"", b"1", b"2"])


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    target = draw(st.sampled_from([*CompareTarget]))
    relation = draw(st.sampled_from([*Relation]))
    if target is CompareTarget.VALUE:
        return Compare(draw(keys), target, relation, value=draw(values), range_end=draw(ends))
    return Compare(draw(keys), target, relation, draw(st.integers(0, 4)), range_end=draw(ends))


operations = st.one_of(
    st.builds(Put, keys, values, return_previous=st.booleans()),
    st.builds(DeleteRange, keys, ends, st.integers(0, 2), st.booleans()),
    st.builds(Get, st.lists(keys, max_size=2).map(tuple)),
)


def txns(inner: st.SearchStrategy[api.Operation]) -> st.SearchStrategy[Txn]:
    branches = st.lists(inner, max_size=3).map(tuple)
    return st.builds(Txn, st.lists(compares(), max_size=2).map(tuple), branches, branches)


transactions = txns(operations | txns(operations)).filter(
    lambda txn: api.complaint_about(txn, Limits()) is None
)


def contents(machine: Machine) -> dict[bytes, api.KeyValue]:
    return {key: to_key_value(key, record) for key, record in machine.state.scan(b"")}


@settings(max_examples=300, deadline=None)
@given(st.lists(transactions | st.builds(DeleteRange, keys, ends, st.integers(0, 2)), max_size=8))
def test_what_is_done_and_answered_is_what_the_model_says(
    writes: list[Txn | DeleteRange],
) -> None:
    machine = Machine()
    for write in writes:
        before, revision = contents(machine), machine.machine.revision
        expected = outcome(write, before, revision)
        effect = machine.effect(write)
        assert effect.result == expected.result
        told = {one[0]: one[1] and to_key_value(one[0], one[1]) for one in effect.changes}
        assert told == expected.changes
        left = {**before, **expected.changes}
        assert contents(machine) == {key: record for key, record in left.items() if record}
        assert machine.machine.revision == revision + bool(expected.changes)


@pytest.fixture
def machine() -> Machine:
    """`a` was written twice, `b` once, `c` not at all."""
    machine = Machine()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2")):
        machine.put(key, value)
    return machine


def holds(machine: Machine, compare: Compare) -> bool:
    result = machine.run(Txn((compare,)))
    assert isinstance(result, api.TxnResult)
    return result.succeeded


EQUAL, LESS, GREATER, NOT = Relation.EQUAL, Relation.LESS, Relation.GREATER, Relation.NOT_EQUAL
VERSION, MOD, VALUE = CompareTarget.VERSION, CompareTarget.MOD, CompareTarget.VALUE


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(b"a", VERSION, EQUAL, 2), True),
        (Compare(b"a", VERSION, LESS, 2), False),
        (Compare(b"a", VERSION, LESS, 3), True),
        (Compare(b"a", VERSION, GREATER, 1), True),
        (Compare(b"a", VALUE, EQUAL, value=b"2"), True),
        (Compare(b"a", VALUE, LESS, value=b"20"), True),
        (Compare(b"a", VALUE, NOT, value=b"2"), False),
        # What is not there has the numbers 0, and no value.
        (Compare(b"c", VERSION, EQUAL, 0), True),
        (Compare(b"c", MOD, EQUAL, 0), True),
        (Compare(b"c", VALUE, EQUAL), False),
        (Compare(b"c", VALUE, NOT, value=b"1"), False),
        # All keys of a range; an empty one is as an absent key.
        (Compare(b"a", VERSION, GREATER, 0, range_end=b"c"), True),
        (Compare(b"a", VERSION, EQUAL, 2, range_end=b"c"), False),
        (Compare(b"a", VERSION, EQUAL, 2, range_end=b"b"), True),
        (Compare(b"b", VERSION, EQUAL, 1, range_end=b"\0"), True),
        (Compare(b"c", VERSION, EQUAL, 0, range_end=b"\0"), True),
        (Compare(b"c", VALUE, NOT, value=b"1", range_end=b"\0"), False),
    ],
)
def test_comparisons(machine: Machine, compare: Compare, expected: bool) -> None:
    assert holds(machine, compare) is expected


def test_comparisons_see_what_was_there_before_all_operations(machine: Machine) -> None:
    inner = Txn((Compare(b"a", VALUE, EQUAL, value=b"2"),), (Get((b"a",)),))
    result = machine.run(Txn((), (Put(b"a", b"3"), inner)))
    assert isinstance(result, api.TxnResult)
    told = result.results[1]
    assert isinstance(told, api.TxnResult)
    assert told.succeeded
    (got,) = told.results
    assert isinstance(got, api.GetResult)
    assert [item and item.value for item in got.items] == [b"3"], "and operations the ones before"


def test_all_that_it_changes_has_one_revision(machine: Machine) -> None:
    before = machine.machine.revision
    result = machine.run(
        Txn((), (Get((b"a",)), DeleteRange(b"b"), Put(b"c", b"1"), Put(b"a", b"3")))
    )
    assert isinstance(result, api.TxnResult)
    told = [one.revision for one in (result, *result.results)]
    assert told == [before + 1, before, before + 1, before + 1, before + 1]
    assert {record.mod_revision for record in contents(machine).values()} == {before + 1}


def test_what_changes_nothing_has_no_revision(machine: Machine) -> None:
    before = machine.machine.revision
    effect = machine.effect(Txn((), (DeleteRange(b"c", b"\0"), Get((b"a",)))))
    assert (effect.changes, machine.machine.revision) == ((), before)


REFUSED = {
    "too many keys": (DeleteRange(b"k", b"l"), "in pieces"),
    "too many keys together": (
        Txn((), (Put(b"a", b"x"), DeleteRange(b"k", b"k1"), DeleteRange(b"k1", b"l"))),
        "in pieces",
    ),
    "too much told": (Txn((), (Put(b"a", b"x"), Get((b"large",) * 5))), "4194304 bytes"),
    "too much told of what it deletes": (
        Txn((), (Get((b"large",) * 4), DeleteRange(b"large", return_previous=True))),
        "4194304 bytes",
    ),
    "too much work": (
        Txn((), (Put(b"a", b"x"), *[Get((b"large",) * 4, with_values=False)] * 12)),
        "too much work",
    ),
    "too much to compare": (
        Txn((Compare(b"k", VERSION, EQUAL, 1, range_end=b"l"),) * 3, (Put(b"a", b"x"),)),
        "too much work",
    ),
}


@pytest.fixture(scope="module")
def full() -> Machine:
    machine = Machine()
    for n in range(api.KEYS_MAX + 1):
        machine.put(b"k%d" % n, b"")
    machine.put(b"large", bytes(1 << 20))
    return machine


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_too_much_is_refused_whole(full: Machine, what: str) -> None:
    write, words = REFUSED[what]
    before = full.machine.revision
    effect = full.effect(write)
    assert isinstance(effect.result, api.Failure)
    assert (effect.result.code, effect.result.is_final) == (api.FailureCode.INVALID, True)
    assert words in effect.result.message
    assert (effect.changes, full.machine.revision) == ((), before)
    assert full.get(b"a") is None


def test_a_deletion_with_a_limit_takes_the_first_ones_and_ends_when_its_work_is_done() -> None:
    machine = Machine()
    for n in range(30):
        machine.put(b"%02d" % n, bytes(1 << 20))
    result = machine.run(DeleteRange(b"", b"\0", limit=2))
    assert isinstance(result, api.DeleteResult)
    assert result.deleted == 2
    assert machine.get(b"01") is None
    steps = machine.machine.steps
    result = machine.run(DeleteRange(b"", b"\0", limit=28))
    assert isinstance(result, api.DeleteResult)
    assert 0 < result.deleted < 28
    most = LIMITED_STEPS + 2_000 + (OLD_BYTES_MAX >> 10)
    assert LIMITED_STEPS < machine.machine.steps - steps < most < STEPS_MAX
    for _ in range(9):
        machine.run(DeleteRange(b"", b"\0", limit=28))
    assert contents(machine) == {}


def test_the_work_of_what_is_refused_is_counted_too(full: Machine) -> None:
    before = full.machine.steps
    full.run(REFUSED["too much work"][0])
    assert full.machine.steps - before >= STEPS_MAX


def test_a_guard_of_a_transaction_is_that_of_any_write(machine: Machine) -> None:
    txn = Txn((), (Put(b"c", b"1"),), guard=api.Guard(b"a", 1))
    assert isinstance(machine.run(txn), api.GuardFailed)
    assert machine.get(b"c") is None


@pytest.mark.parametrize("write", [DeleteRange(b"a", b"b"), Txn((), (Put(b"a", b"b"),))])
def test_what_may_change_many_keys_is_known_by_its_bytes(write: api.Write) -> None:
    longest = api.Once(api.REVISION_MAX, api.REVISION_MAX, write)
    is_wide = Machine().machine.is_wide
    assert is_wide(msgspec.msgpack.encode(write))
    assert is_wide(msgspec.msgpack.encode(api.Stamped((1 << 64) - 1, longest)))


@pytest.mark.parametrize("write", [Put(b"a", b"b"), api.Delete((b"txn",)), api.Increment(b"a", 1)])
def test_what_names_its_keys_is_not(write: api.Write) -> None:
    stamped = api.Stamped(1, api.Once(1, 1, write))
    is_wide = Machine().machine.is_wide
    assert not is_wide(msgspec.msgpack.encode(write))
    assert not is_wide(msgspec.msgpack.encode(stamped))
