"""What a transaction is held to before anybody carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import api
from kvstore.api import Compare, CompareTarget, DeleteRange, Get, Put, Txn
from kvstore.config.limits import Limits
from kvstore.wire import typed

LIMITS = Limits(value_bytes_max=1_000, request_keys_max=50, txn_operations_max=8)
PUT, GET = Put(b"k", b"v"), Get((b"k",))
GUARD = api.Guard(b"l", 1)


def complaint(txn: Txn | DeleteRange) -> str | None:
    return api.complaint_about(txn, LIMITS)


def nested(depth: int, innermost: api.Operation) -> Txn:
    """So many transactions within each other."""
    txn = Txn((), (innermost,))
    for _ in range(depth - 1):
        txn = Txn((), (), (txn,))
    return txn


def test_as_much_as_is_allowed_is_taken() -> None:
    assert complaint(nested(api.TXN_DEPTH_MAX, PUT)) is None
    puts = tuple(Put(b"%d" % n, b"") for n in range(8))
    compares = (Compare(b"k" * 480, CompareTarget.MOD, number=api.REVISION_MAX),) * 2
    assert complaint(Txn(compares, puts, puts)) is None
    assert complaint(Txn((), (Put(b"", b"v" * 1_000),))) is None
    assert complaint(DeleteRange(b"", b"\0", 50)) is None


@pytest.mark.parametrize(
    ("txn", "words"),
    [
        (nested(api.TXN_DEPTH_MAX + 1, PUT), "8 deep"),
        (nested(500, PUT), "8 deep"),
        (Txn((Compare(b"k", CompareTarget.MOD),) * 9), "9 entries, the limit is 8"),
        (Txn((), (GET,) * 9), "9 entries"),
        (Txn((), (), (Txn((), (), (GET,) * 9),)), "9 entries"),
        (Txn((), (Txn((), (Txn((), (GET,) * 8),) * 8),)), "names 73 keys, the limit is 50"),
        (Txn((), (Txn((), (Txn(()),) * 8),) * 8), "too many to look at"),
        (Txn((), (Get((b"k",) * 26),), (Get((b"k",) * 25),)), "names 51 keys"),
        (Txn((), (Get((b"k",) * 51),)), "too many keys"),
        (Txn((), (Put(b"a", b"v" * 500), Put(b"b", b"v" * 499))), "1001 bytes together"),
        (Txn((), (Put(b"a", b"v" * 500),), (Put(b"a", b"v" * 499),)), "1001 bytes together"),
        (Txn((Compare(b"k" * 481, CompareTarget.MOD),)), "480"),
        (Txn((Compare(b"k", CompareTarget.MOD, range_end=b"l" * 481),)), "480"),
        (Txn((Compare(b"k", CompareTarget.MOD, number=-1),)), "number of 0"),
        (Txn((Compare(b"k", CompareTarget.MOD, value=b"v"),)), "only a comparison of values"),
        (Txn((Compare(b"k", CompareTarget.VALUE, number=1),)), "has no number"),
        (Txn((), (Put(b"k" * 481, b""),)), "480"),
        (Txn((), (Put(b"k", b"v", api.When.ABSENT),)), "compare instead"),
        (Txn((), (Put(b"k", b"v", expected=b"w"),)), "expected value"),
        (Txn((), (Put(b"k", b"v", guard=GUARD),)), "compare instead"),
        (Txn((), (DeleteRange(b"k", guard=GUARD),)), "compare instead"),
        (Txn((), (Txn((), guard=GUARD),)), "compare instead"),
        (Txn((), guard=api.Guard(b"l", -1)), "guard's revision"),
        (Txn((), (DeleteRange(b"k" * 481),)), "480"),
        (DeleteRange(b"k" * 481), "480"),
        (DeleteRange(b"k", b"l" * 481), "480"),
        (DeleteRange(b"k", b"l", 51), "limit of deletions is 0 to 50, not 51"),
        (DeleteRange(b"k", b"l", -1), "not -1"),
        (Txn((), (PUT, PUT)), "key b'k' twice"),
        # What it deletes of its own it does not put, but the other one does.
        (
            Txn((), (Txn((), (Put(b"a", b""),), (DeleteRange(b"a", b"\0"),)), Put(b"b", b""))),
            "key b'b' twice",
        ),
    ],
)
def test_what_is_beyond_a_bound_is_refused_with_it(txn: Txn | DeleteRange, words: str) -> None:
    said = complaint(txn)
    assert said is not None
    assert words in said
    assert api.complaint_about(api.Once(1, 1, txn), LIMITS) == said


@pytest.mark.parametrize("depth", [9, 100, 700, 5_000, 100_000])
def test_the_door_bears_whatever_depth(depth: int) -> None:
    """msgspec gives up with another error than usual, and where depends on the stack."""
    txn = b"\x95\xa3txn\x90\x91" * depth + b"\x95\xa3txn\x90\x90\x90\xc0" + b"\x90\xc0" * depth
    payload = b"\x94" + txn + b"\x00\xa0\xc2"
    refused = typed.decode_call(payload, Limits())
    assert isinstance(refused, api.Failure)
    assert refused.code is api.FailureCode.INVALID


# --- The same key twice -------------------------------------------------------------------

KEYS = [b"a", b"b", b"c", b"d"]
keys = st.sampled_from(KEYS)
leaves = st.one_of(
    st.builds(Put, keys, st.just(b"")),
    st.builds(DeleteRange, keys, st.sampled_from([None, b"\0", *KEYS])),
    st.builds(Get, st.tuples(keys)),
)
branches = st.lists(leaves, max_size=3).map(tuple)
txns = st.recursive(
    st.builds(Txn, st.just(()), branches, branches),
    lambda inner: st.builds(
        Txn,
        st.just(()),
        st.lists(leaves | inner, max_size=3).map(tuple),
        st.lists(leaves | inner, max_size=3).map(tuple),
    ),
    max_leaves=5,
)


class Leaf(NamedTuple):
    """An operation, and the branches that lead to it: which transaction, and which of its two."""

    operation: api.Operation
    way: dict[int, int]

    def excludes(self, other: Leaf) -> bool:
        return any(other.way.get(txn, branch) != branch for txn, branch in self.way.items())

    def deletes(self, key: bytes) -> bool:
        match self.operation:
            case DeleteRange(key=first, range_end=None):
                return first == key
            case DeleteRange(key=first, range_end=end):
                return first <= key and (end == b"\0" or key < (end or b""))
        return False

    def puts(self, key: bytes) -> bool:
        return isinstance(self.operation, Put) and self.operation.key == key


def leaves_of(txn: Txn, way: dict[int, int], numbers: Iterator[int]) -> Iterator[Leaf]:
    number = next(numbers)
    for branch, operations in enumerate((txn.then, txn.otherwise)):
        for operation in operations:
            here = {**way, number: branch}
            if isinstance(operation, Txn):
                yield from leaves_of(operation, here, numbers)
            else:
                yield Leaf(operation, here)


def clash(one: Leaf, other: Leaf) -> bool:
    return any(
        (one.puts(key) and (other.puts(key) or other.deletes(key)))
        or (one.deletes(key) and other.puts(key))
        for key in KEYS
    )


@settings(max_examples=500, deadline=None)
@given(txns)
def test_a_key_that_may_be_changed_twice_is_found_wherever_that_is_so(txn: Txn) -> None:
    found = leaves_of(txn, {}, iter(range(10_000)))
    expected = any(
        clash(one, other) and not one.excludes(other) for one, other in combinations(found, 2)
    )
    said = api.complaint_about(txn, Limits())
    assert (said is not None and "twice" in said) is expected


def test_puts_and_deletions_that_exclude_each_other_are_let_through_however_many() -> None:
    """Each deletion has all the puts in its range, and none of them is carried out with it."""
    puts = tuple(Txn((), tuple(Put(b"%d.%d" % (a, b), b"") for b in range(128))) for a in range(15))
    deletions = tuple(Txn((), (DeleteRange(b"", b"\0"),) * 128) for _ in range(15))
    txn = Txn((), puts, deletions)
    for _ in range(api.TXN_DEPTH_MAX - 2):
        txn = Txn((), (txn,))
    assert api.complaint_about(txn, Limits()) is None


# --- What is said of it beforehand --------------------------------------------------------


def test_a_transaction_changes_as_much_as_the_larger_of_its_branches() -> None:
    row = api.COMMAND_ROW_OF[Txn]
    then = (Put(b"abc", b"12"), Txn((), (PUT,), (DeleteRange(b"k", b"l", 7),)))
    otherwise = (DeleteRange(b"x"), DeleteRange(b"y", b"z", 9))
    assert row.extent(Txn((), then, otherwise)) == api.Extent(2, 7, 10)
    assert row.extent(Txn((), otherwise, then)) == api.Extent(2, 7, 10)
    whole = DeleteRange(b"x", b"y")
    assert row.extent(Txn((), (whole, whole))) == api.Extent(deletes=api.KEYS_MAX)


def test_a_place_has_room_for_the_longest_answer() -> None:
    value = b"v" * LIMITS.value_bytes_max
    item = api.KeyValue(b"k" * 480, value, *[api.REVISION_MAX] * 3)
    put = api.PutResult(api.REVISION_MAX, True, item)
    deleted = api.DeleteResult(api.REVISION_MAX, 2, (item, item))
    got = api.GetResult(api.REVISION_MAX, (item, item))
    txn = Txn(
        (),
        (
            Put(item.key, b"", return_previous=True),
            DeleteRange(b"x", b"y", 2, return_previous=True),
            Get((b"k", b"k")),
        ),
    )
    answer = msgspec.msgpack.encode(api.TxnResult(api.REVISION_MAX, True, (put, deleted, got)))
    assert len(answer) < api.ROW_OF[Txn].place_bytes(txn, LIMITS) < len(answer) + 1_500
