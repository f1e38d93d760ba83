"""The sequences that are drawn reach what is to be compared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from .answers import (
    Answer,
    Decided,
    Deleted,
    Found,
    Happened,
    Known,
    Lives,
    Refused,
    Why,
    Written,
    play,
)
from .drawing import sequence
from .naive import Naive
from .test_like_etcd import SEQUENCES

REACHED = {
    "a value that was replaced": lambda one: isinstance(one, Written) and one.previous,
    "a lease on what was replaced": lambda one: (
        isinstance(one, Written) and one.previous and one.previous.lease
    ),
    "several deleted keys": lambda one: isinstance(one, Deleted) and len(one.previous) > 1,
    "a deletion of nothing": lambda one: isinstance(one, Deleted) and not one.deleted,
    "more than the limit": lambda one: isinstance(one, Found) and one.more,
    "what is filtered out": lambda one: (
        isinstance(one, Found) and one.items and not one.more and len(one.items) < one.count
    ),
    "a count alone": lambda one: isinstance(one, Found) and one.count and not one.items,
    "the past": lambda one: (
        isinstance(one, Found) and one.items and max(i.mod for i in one.items) < one.revision - 5
    ),
    "equal creations": lambda one: (
        isinstance(one, Found) and len({i.create for i in one.items}) < len(one.items)
    ),
    "versions": lambda one: isinstance(one, Found) and any(i.version > 4 for i in one.items),
    "a nested decision": lambda one: isinstance(one, Decided) and one.revision is None,
    "a decision to do otherwise": lambda one: isinstance(one, Decided) and not one.succeeded,
    "a change beside a range before it": lambda one: (
        isinstance(one, Decided)
        and len({r.revision for r in one.results if isinstance(r, Found | Written)}) > 1
    ),
    "keys of a lease": lambda one: isinstance(one, Lives) and len(one.keys) > 1,
    "many events": lambda one: isinstance(one, Happened) and len(one.events) > 5,
    "events of one revision": lambda one: (
        isinstance(one, Happened) and len({e.revision for e in one.events}) < len(one.events)
    ),
    "leases": lambda one: isinstance(one, Known) and len(one.leases) > 1,
    **{
        f"refused: {why}": lambda one, why=why: one == Refused(why)  # type: ignore[misc]
        for why in Why
    },
}


@cache
def answers() -> tuple[Answer, ...]:
    told = (play(Naive(), sequence(seed)) for seed in range(SEQUENCES))
    return tuple(part for one in told for answer in one for part in parts(answer))


def parts(answer: Answer) -> Iterator[Answer]:
    yield answer
    if isinstance(answer, Decided):
        for result in answer.results:
            yield from parts(result)


@pytest.mark.parametrize("what", REACHED)
def test_some_sequences_come_to(what: str) -> None:
    assert sum(bool(REACHED[what](answer)) for answer in answers()) > 2
