"""Transactions as one writes them in Python: what is sent, and what comes of it."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable

import pytest
from scripted_node import ScriptedNode

from kvstore import Client, ConfigError, RefusedError, TransactionFailedError, api, key, keys
from kvstore.api import Compare, CompareTarget, DeleteRange, Get, Put, Relation, Txn
from kvstore.client.transactions import Condition

DONE = api.TxnResult(9, True, (api.PutResult(9, True), api.DeleteResult(9, 1)))
NOT_DONE = api.TxnResult(9, False, ())
GREATER, LESS, NOT = Relation.GREATER, Relation.LESS, Relation.NOT_EQUAL


@pytest.mark.parametrize(
    ("condition", "compare"),
    [
        (key("a").version == 3, Compare(b"a", CompareTarget.VERSION, number=3)),
        (key("a").create_revision > 3, Compare(b"a", CompareTarget.CREATE, GREATER, 3)),
        (key("a").mod_revision < 3, Compare(b"a", CompareTarget.MOD, LESS, 3)),
        (key("a").value != "é", Compare(b"a", CompareTarget.VALUE, NOT, value="é".encode())),
        (key(b"\xff").exists, Compare(b"\xff", CompareTarget.VERSION, GREATER)),
        (key("a").absent, Compare(b"a", CompareTarget.VERSION)),
        (keys("job/").absent, Compare(b"job/", CompareTarget.VERSION, range_end=b"job0")),
        (keys("").exists, Compare(b"", CompareTarget.VERSION, GREATER, range_end=b"\0")),
        (keys(b"\xff").exists, Compare(b"\xff", CompareTarget.VERSION, GREATER, range_end=b"\0")),
        (keys(start="a").absent, Compare(b"a", CompareTarget.VERSION, range_end=b"\0")),
        (keys(start="a", end="c").absent, Compare(b"a", CompareTarget.VERSION, range_end=b"c")),
    ],
)
def test_comparisons_are_written_as_they_read(condition: Condition, compare: Compare) -> None:
    assert condition.compare == compare


def test_a_transaction_is_one_request_and_its_result_tells_the_branch() -> None:
    with ScriptedNode(DONE, NOT_DONE) as node, Client([node.address]) as client:
        result = client.txn(
            when=[key("leader").absent],
            then=[key("leader").put("me", return_previous=True), keys("job/").delete(limit=5)],
            otherwise=[key("leader").get()],
            guard=("lock", 17),
        )
        assert result == DONE
        assert client.txn(then=[key("a").delete(return_previous=True)]) == NOT_DONE
        assert node.requests == [
            Txn(
                (Compare(b"leader", CompareTarget.VERSION),),
                (
                    Put(b"leader", b"me", return_previous=True),
                    DeleteRange(b"job/", b"job0", 5),
                ),
                (Get((b"leader",)),),
                guard=api.Guard(b"lock", 17),
            ),
            Txn((), (DeleteRange(b"a", return_previous=True),)),
        ]


def test_a_block_is_one_transaction_at_its_end() -> None:
    with ScriptedNode(DONE) as node, Client([node.address]) as client:
        with client.transaction() as t:
            t.require(key("from").mod_revision == 7, keys("hold/").absent)
            t.put("from", "1")
            t.delete("to", "old")
            t.get("a", "b")
            t.do(keys("job/").delete())
            assert node.requests == []
            with pytest.raises(ValueError, match="at the end"):
                _ = t.revision
        assert (t.revision, t.results) == (9, DONE.results)
        assert node.requests == [
            Txn(
                (
                    Compare(b"from", CompareTarget.MOD, number=7),
                    Compare(b"hold/", CompareTarget.VERSION, range_end=b"hold0"),
                ),
                (
                    Put(b"from", b"1"),
                    DeleteRange(b"to"),
                    DeleteRange(b"old"),
                    Get((b"a", b"b")),
                    DeleteRange(b"job/", b"job0"),
                ),
                # What does not hold is looked up, where that can be.
                (Get((b"from",), with_values=False),),
            )
        ]


def test_a_block_that_raises_sends_nothing() -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        with contextlib.suppress(KeyError), client.transaction() as t:
            t.put("a", "1")
            raise KeyError("a")
        assert node.requests == []


def test_what_does_not_hold_is_told() -> None:
    there = api.KeyValue(b"from", b"", 2, 8, 3)
    looked = api.TxnResult(9, False, (api.GetResult(9, (there, None, None)),))
    required = (key("from").mod_revision == 7, key("to").absent, key("x").exists)
    with (
        ScriptedNode(looked) as node,
        Client([node.address]) as client,
        pytest.raises(TransactionFailedError) as failed,
        client.transaction() as t,
    ):
        t.require(*required)
    error = failed.value
    assert error.failed == (
        "key('from').mod_revision == 7, and it is 8",
        "key('x').version > 0, and it is 0",
    )
    assert (error.revision, error.code, error.retryable) == (9, "COMPARE", False)
    assert isinstance(error, RefusedError)
    assert "nothing was changed" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("answer", [NOT_DONE, api.Repeated(9, False)])
def test_what_cannot_be_looked_up_is_told_in_general(answer: api.Result) -> None:
    with (
        ScriptedNode(answer) as node,
        Client([node.address]) as client,
        pytest.raises(TransactionFailedError, match="a comparison of values, or of a range"),
        client.transaction() as t,
    ):
        t.require(key("a").value == "1")


def test_an_answer_that_was_too_long_to_be_kept_still_tells_that_it_was_done() -> None:
    with ScriptedNode(api.Repeated(9, True)) as node, Client([node.address]) as client:
        with client.transaction() as t:
            t.get("large")
        assert t.revision == 9
        with pytest.raises(ValueError, match="too long"):
            _ = t.results


SLIPS: list[tuple[Callable[[Client], object], type[Exception], str]] = [
    (lambda _: bool(key("a").version == 0), TypeError, "the store judges it"),
    (lambda _: key("a").version == "0", TypeError, "a version is compared with an int"),
    (lambda _: key("a").version == True, TypeError, "a version is compared with an int"),  # noqa: E712
    (lambda _: key("a").value == 0, TypeError, "a value is compared with str or bytes"),
    (lambda _: key(1), TypeError, "str or bytes"),  # type: ignore[arg-type]
    (lambda _: keys("a", start="b"), ConfigError, "not both"),
    (lambda _: keys(end=b"\0"), ConfigError, "leave the end out"),
    (lambda client: client.txn(when=[True]), TypeError, "a condition is made by"),  # type: ignore[list-item]
    (lambda client: client.txn(then=[b"a"]), TypeError, "an operation of then is made by"),  # type: ignore[list-item]
    (lambda client: client.txn(then=[key("a").put("1"), key("a").delete()]), RefusedError, "twice"),
    (lambda client: client.txn(when=[key("a").version == -1]), RefusedError, "number of 0"),
]


@pytest.mark.parametrize(("slip", "error", "words"), SLIPS)
def test_a_slip_is_told_before_anything_is_sent(
    slip: Callable[[Client], object], error: type[Exception], words: str
) -> None:
    with ScriptedNode() as node, Client([node.address]) as client:
        with pytest.raises(error, match=words):
            slip(client)
        assert node.requests == []


def test_a_transaction_too_deep_to_be_sent_is_told_so() -> None:
    txn = Txn(())
    for _ in range(5_000):
        txn = Txn((), (txn,))
    with ScriptedNode() as node, Client([node.address]) as client:
        with pytest.raises(RefusedError, match="deep"):
            client.execute(txn)
        assert node.requests == []
