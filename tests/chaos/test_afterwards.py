"""What a copy as of a revision cannot be is found, and what it may be is not."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.sim.history import Operation

from .afterwards import differences

pytestmark = pytest.mark.chaos


def record(key: bytes, value: bytes, at: int) -> api.KeyValue:
    return api.KeyValue(key, value, create_revision=at, mod_revision=at, version=1)


def held(*records: api.KeyValue) -> dict[bytes, api.KeyValue]:
    return {one.key: one for one in records}


def done(request: api.Request, result: api.Result | None) -> Operation:
    return Operation(1, 0.0, 1.0, request, result)


PUT_2 = done(api.Put(b"k", b"2"), api.PutResult(2, True))
PUT_9 = done(api.Put(b"k", b"9"), api.PutResult(9, True))
DELETED_4 = done(api.Delete((b"k",)), api.DeleteResult(4, 1))
COUNTED_3 = done(api.Increment(b"k", 5), api.IncrementResult(3, 5))
BOTH_3 = done(api.PutMany(((b"k", b"3"), (b"l", b"3"))), api.PutResult(3, True))
NOT_WRITTEN = done(api.Put(b"k", b"3", api.When.ABSENT), api.PutResult(3, False))
NOTHING_DELETED = done(api.Delete((b"k",)), api.DeleteResult(3, 0))
NOBODY_KNOWS = done(api.Delete((b"k",)), None)

AT = 5
"""The revision of the copy."""
END = held(record(b"k", b"9", 9))


def is_sound(found: dict[bytes, api.KeyValue], *operations: Operation) -> bool:
    return not list(differences(found, AT, END, operations))


@pytest.mark.parametrize(
    ("found", "operations"),
    [
        (held(record(b"k", b"2", 2)), [PUT_2, PUT_9]),
        (held(record(b"k", b"2", 2)), [PUT_2, NOT_WRITTEN, NOTHING_DELETED, PUT_9]),
        (held(record(b"k", b"5", 3)), [PUT_2, COUNTED_3, PUT_9]),
        (held(record(b"k", b"3", 3), record(b"l", b"3", 3)), [PUT_2, BOTH_3, PUT_9]),
        (held(record(b"k", b"?", 3)), [PUT_2, PUT_9]),
        ({}, [PUT_2, DELETED_4, PUT_9]),
        (held(record(b"k", b"?", 5)), [DELETED_4, PUT_9]),
        (held(record(b"unknown", b"?", 5)), [PUT_9]),
    ],
)
def test_what_may_be_is_no_finding(
    found: dict[bytes, api.KeyValue], operations: list[Operation]
) -> None:
    assert is_sound(found, *operations)


@pytest.mark.parametrize(
    ("found", "operations"),
    [
        ({}, [PUT_2, PUT_9]),
        (held(record(b"k", b"other", 2)), [PUT_2]),
        (held(record(b"k", b"1", 1)), [PUT_2]),
        (held(record(b"k", b"2", 2)), [PUT_2, DELETED_4]),
        (held(record(b"k", b"2", 2)), [PUT_2, COUNTED_3]),
        (held(record(b"k", b"9", 9)), [PUT_2, PUT_9]),
        (held(record(b"k", b"9", 9)), [PUT_9]),
        (held(record(b"k", b"3", 3)), [BOTH_3]),
    ],
)
def test_what_cannot_be_is_found(
    found: dict[bytes, api.KeyValue], operations: list[Operation]
) -> None:
    assert not is_sound(found, *operations)


def test_what_did_not_change_since_must_be_as_it_is() -> None:
    still = record(b"still", b"x", 3)
    end = {**END, b"still": still}
    assert not list(differences({b"still": still}, AT, end, []))
    for other in ({}, held(record(b"still", b"y", 3)), held(record(b"still", b"x", 4))):
        [finding] = differences(other, AT, end, [])
        assert "b'still'" in finding


def test_a_key_that_an_unanswered_deletion_may_have_taken_is_not_missed() -> None:
    assert is_sound({}, PUT_2, NOBODY_KNOWS, PUT_9)
