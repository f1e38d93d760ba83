"""Revisions: judges whether what the answers say of records and revisions agrees with each other.

Law: the store has one revision for all keys, and it counts the changes in the order in
which they took effect. So whoever is told of a revision is told the same as all others.

* No two changes have one revision.
* A guard that held, or did not, tells the revision of its key's record.
* A record was written at or before the revision at which it was read, nobody changed its
  key in between, and a record that was written once is the same wherever it shows up.

Requests of unknown outcome have no revision, and are not judged here. That the order of revisions
is the one of real time, and of the log, `serializability` sees to.

It must not know nodes or logs, nor search: numbers are compared with numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from kvstore import api
from kvstore.sim.checkers.told import Told, has_changed, revision_told
from kvstore.sim.history import Operation
from kvstore.sim.words import describe, said

_Subject: TypeAlias = tuple[bytes, int, str]
"""A key, a revision, and what can be known of the key's record of that revision."""

_Fact: TypeAlias = tuple[_Subject, object, Operation]
"""A subject, what is said of it, and who was told so."""


def check_revisions(operations: Sequence[Operation]) -> list[str]:
    """What contradicts the one order of revisions; empty if nothing does."""
    told = [(revision, one) for one in operations if (revision := revision_told(one))]
    changes = sorted((one for one in told if has_changed(one[1])), key=_by_revision)
    return [
        *_shared(changes),
        *_unseen_changes(told, changes),
        *_contradictions(_facts(told)),
    ]


def _by_revision(told: Told) -> int:
    return told[0]


# --- The rules ----------------------------------------------------------------------------


def _shared(changes: Sequence[Told]) -> Iterator[str]:
    """Every change has a revision of its own."""
    for (revision, one), (next_revision, other) in pairwise(changes):
        if revision == next_revision:
            yield _finding(f"two changes have revision {revision}", one, other)


def _unseen_changes(told: Iterable[Told], changes: Iterable[Told]) -> Iterator[str]:
    """A record is the latest of its key at the revision at which it was read."""
    by_key: dict[bytes, list[Told]] = {}
    for revision, change in changes:
        if (key := _changed_key(change.request)) is not None:
            by_key.setdefault(key, []).append((revision, change))
    for revision, operation in told:
        # A change is told its own revision, and met the record before it.
        read_at = revision - 1 if has_changed(operation) else revision
        for key, mod_revision in _seen(operation):
            if mod_revision > read_at:
                yield _finding(f"a record has a later revision than {read_at}", operation)
            of_key = by_key.get(key, [])
            following = bisect_right(of_key, mod_revision, key=_by_revision)
            if following < len(of_key) and of_key[following][0] <= read_at:
                yield _finding("a change is not seen", of_key[following][1], operation)


def _contradictions(facts: Iterable[_Fact]) -> Iterator[str]:
    """Whoever is told of a record is told the same."""
    known: dict[_Subject, tuple[object, Operation]] = {}
    for subject, value, operation in facts:
        first_value, first = known.setdefault(subject, (value, operation))
        if value != first_value:
            key, revision, what = subject
            title = (
                f"{what} of {said(key)} at revision {revision} is both {said(first_value)} and"
                f" {said(value)}"
            )
            yield _finding(title, first, operation)


# --- What is told of records --------------------------------------------------------------


def _facts(told: Iterable[Told]) -> Iterator[_Fact]:
    for revision, operation in told:
        key = _changed_key(operation.request)
        if key is not None and has_changed(operation):
            yield (key, revision, "value"), _value_left(operation), operation
        for record in _records(operation):
            key, revision_of = record.key, record.mod_revision
            yield (key, revision_of, "create_revision"), record.create_revision, operation
            yield (key, revision_of, "version"), record.version, operation
            if getattr(operation.request, "with_values", True):
                yield (key, revision_of, "value"), record.value, operation


def _records(operation: Operation) -> Iterator[api.KeyValue]:
    """The records in an answer whose revision is told."""
    match operation.result:
        case api.PutResult(previous=api.KeyValue() as previous):
            records: Iterable[api.KeyValue | None] = (previous,)
        case api.GetResult(items=items) | api.ScanResult(items=items):
            records = items
        case _:
            return
    yield from (one for one in records if one is not None and one.mod_revision)


def _seen(operation: Operation) -> Iterator[tuple[bytes, int]]:
    """Keys with the `mod_revision` that the answer says they had; guards tell it as well."""
    yield from ((record.key, record.mod_revision) for record in _records(operation))
    guard = getattr(operation.request, "guard", None)
    if guard is None or not revision_told(operation):
        return
    mod_revision = guard.mod_revision
    if isinstance(operation.result, api.GuardFailed):
        mod_revision = operation.result.mod_revision
    if mod_revision:
        yield guard.key, mod_revision


def _changed_key(request: api.Request) -> bytes | None:
    """The key that a change must have changed; None where it may have been another."""
    match request:
        case api.Put(key=key) | api.Increment(key=key) | api.Delete(keys=(key,)):
            return key
    return None


def _value_left(operation: Operation) -> bytes | None:
    """The value that a change left in its key; None if it deleted it."""
    if isinstance(operation.request, api.Put):
        return operation.request.value
    if isinstance(operation.result, api.IncrementResult):
        return b"%d" % operation.result.value
    return None


def _finding(title: str, *operations: Operation) -> str:
    return "\n  ".join([title, *map(describe, operations)])
