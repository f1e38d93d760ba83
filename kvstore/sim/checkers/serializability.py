"""Strict serializability: the log is one order of all writes, and each answer has its place in it.

Law: every answer names its revision, so nothing has to be searched for. Whole histories are judged
at once, whatever the number of keys in a request:

* Real time: what returned before something else was invoked has no higher revision, and a lower one
  if the later of the two changed something.
* Writes: the one that made the revision in an answer is the client's own and changed all of what
  the answer counts, at once; or nothing was changed, and what was there is the reason. No write
  changed anything more often than clients asked for it without being refused.
* Reads: an answer to a read, a page, or a count holds exactly what the log had made by its
  revision. A page is in its order and within its limit, leaves nothing out before the key at which
  the next one begins, and goes on behind its own beginning: below it, if it is read in reverse.

Who asked for what a node has applied, however old that is, is not held against real time. Of
answers that tell no revision, `linearizability` judges those that name their keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeAlias

import msgspec

from kvstore import api
from kvstore.sim.checkers.replay import Change, holds
from kvstore.sim.checkers.told import Told, has_changed, revision_told
from kvstore.sim.checkers.transactions import outcome
from kvstore.sim.history import Operation
from kvstore.sim.indexed import Indexed
from kvstore.sim.words import describe, said

_Contents: TypeAlias = Mapping[bytes, api.KeyValue]


class Log(Protocol):
    """What the log did, as `replay` knows it."""

    @property
    def made_by(self) -> Indexed[Change]:
        """Of each revision since the log began, what made it."""
        ...

    def record(self, key: bytes, revision: int) -> api.KeyValue | None:
        """What was there under a key."""
        ...

    def contents(self, revision: int) -> _Contents:
        """What was there, by key, in no order."""
        ...


def check_serializability(operations: Sequence[Operation], log: Log) -> list[str]:
    """What has no place in the order of the log; none if all is well."""
    fresh = [one for one in operations if not one.is_stale]
    return [*check_real_time(fresh), *_writes(operations, log), *_reads(operations, log)]


# --- Real time ----------------------------------------------------------------------------


def check_real_time(operations: Iterable[Operation]) -> list[str]:
    """Each operation against the highest revision that was told before it; needs no log."""
    told = [(revision, one) for one in operations if (revision := revision_told(one))]
    return [*_back_in_time(told)]


def _back_in_time(told: Sequence[Told]) -> Iterator[str]:
    returned = sorted(told, key=lambda one: one[1].returned_ms)
    passed = 0
    highest: Told | None = None
    blamed: Told | None = None
    for revision, operation in sorted(told, key=lambda one: one[1].invoked_ms):
        while passed < len(returned) and returned[passed][1].returned_ms < operation.invoked_ms:
            if highest is None or returned[passed][0] > highest[0]:
                highest = returned[passed]
            passed += 1
        if highest is None or highest is blamed:
            continue
        if revision < highest[0] or (revision == highest[0] and has_changed(operation)):
            # One revision that is too high contradicts everything after it: say it once.
            blamed = highest
            yield "\n  ".join(
                ["revisions go back in time", describe(highest[1]), describe(operation)]
            )


# --- Writes -------------------------------------------------------------------------------


def _writes(operations: Iterable[Operation], log: Log) -> list[str]:
    """Answers to writes that the log does not bear out."""
    findings = []
    asked = Counter[api.Write]()
    for operation in operations:
        write = operation.request
        if not isinstance(write, api.WRITES) or operation.is_refused:
            continue
        asked[write] += 1
        complaint = None if operation.is_unknown else _of_write(write, operation, log)
        if complaint is not None:
            findings.append(f"{complaint}\n  {describe(operation)}")
    return findings + _unasked(asked, log.made_by)


def _of_write(write: api.Write, operation: Operation, log: Log) -> str | None:
    """What is not as it was told."""
    revision = revision_told(operation)
    if not has_changed(operation):
        return _why_not_idle(write, operation.result, log, revision)
    change = log.made_by.get(revision)
    if change is None:
        return f"there is no revision {revision}"
    if change.write != write:
        return f"revision {revision} was made by {said(change.write)}"
    match write, operation.result:
        case api.Delete(), api.DeleteResult(deleted=deleted) if deleted != change.keys:
            return f"it deleted {change.keys}"
        case api.Increment(key=key), api.IncrementResult(value=value):
            record = log.record(key, revision)
            if record is None or record.value != b"%d" % value:
                return f"it left {said(record)}"
        case api.Put(), api.PutResult(previous=previous):
            return _wrong_previous(write, previous, log.record(write.key, revision - 1))
        case api.Txn(), told:
            return _wrong_outcome(write, told, log, revision - 1)
        case api.DeleteRange(), api.DeleteResult() as told:
            return _wrong_outcome(write, told, log, revision - 1)
    return None


def _why_not_idle(
    write: api.Write, result: api.Result | None, log: Log, revision: int
) -> str | None:
    """Why a write that is said to have changed nothing would have, or met something else."""
    match write, result:
        case _, api.GuardFailed():
            return _wrong_guard(write.guard, result, log)
        case api.Txn(), api.Repeated():
            return _wrong_repetition(write, result, log)
    match write:
        case api.Put():
            there = log.record(write.key, revision)
            if holds(write, there):
                return f"there was {said(there)}, so it should have been written"
            if isinstance(result, api.PutResult):
                return _wrong_previous(write, result.previous, there)
        case api.Txn() | api.DeleteRange():
            return _wrong_outcome(write, result, log, revision)
        case api.PutMany(pairs=pairs) if pairs:
            return "it is written whatever was there"
        case api.Delete(keys=keys):
            there_too = tuple(key for key in keys if log.record(key, revision) is not None)
            return f"there were {said(there_too)}" if there_too else None
    return None


def _wrong_guard(guard: api.Guard | None, told: api.GuardFailed, log: Log) -> str | None:
    if guard is None:
        return "it has no guard"
    record = log.record(guard.key, told.revision)
    mod_revision = 0 if record is None else record.mod_revision
    if told.mod_revision == mod_revision != guard.mod_revision:
        return None
    return f"the guard's key was of revision {mod_revision}"


def _wrong_outcome(
    write: api.Txn | api.DeleteRange, told: api.Result | None, log: Log, before: int
) -> str | None:
    """What it comes to where it has its place, as of the revision before it."""
    expected = outcome(write, log.contents(before), before).result
    return None if told == expected else f"its answer there is {said(expected)}"


def _wrong_repetition(write: api.Txn, told: api.Repeated, log: Log) -> str | None:
    """That of a transaction tells the branch, and not whether it has changed anything there."""
    change = log.made_by.get(told.revision)
    has_made_it = change is not None and change.write == write
    before = told.revision - has_made_it
    result, changes = outcome(write, log.contents(before), before)
    assert isinstance(result, api.TxnResult)
    if result.succeeded == told.succeeded and bool(changes) == has_made_it:
        return None
    return f"its answer there is {said(result)}"


def _wrong_previous(
    put: api.Put, told: api.KeyValue | None, there: api.KeyValue | None
) -> str | None:
    expected = there if put.return_previous else None
    return None if told == expected else f"what it met was {said(expected)}"


def _unasked(asked: Counter[api.Write], made_by: Iterable[Change]) -> list[str]:
    """Writes that took effect more often than somebody may have asked for them."""
    return [
        f"{times} times something was changed by {said(write)}, which was asked for, and not"
        f" refused, {asked[write]} times"
        for write, times in Counter(change.write for change in made_by).items()
        if times > asked[write]
    ]


# --- Reads --------------------------------------------------------------------------------


def _reads(operations: Iterable[Operation], log: Log) -> Iterator[str]:
    """Answers that show something else than what was there at their revision."""
    for operation in operations:
        if isinstance(operation.request, api.QUERIES):
            complaint = _of_read(operation, log)
            if complaint is not None:
                yield f"{complaint}\n  {describe(operation)}"


def _of_read(operation: Operation, log: Log) -> str | None:
    """What it should have shown."""
    revision = revision_told(operation)
    if revision > log.made_by.last:
        return f"there is no revision {revision}"
    match operation.request, operation.result:
        case api.Get() as get, api.GetResult(items=items):
            records = [log.record(key, revision) for key in get.keys]
            expected = tuple(_shown(record, get.with_values) for record in records)
            return None if items == expected else f"there was {said(expected)}"
        case api.Count(), api.CountResult(count=told):
            count = len(log.contents(revision))
            return None if told == count else f"there were {count}"
        case api.Scan() as scan, api.ScanResult() as page:
            return _wrong_page(scan, page, log.contents(revision))
    return None


def _shown(record: api.KeyValue | None, with_values: bool) -> api.KeyValue | None:
    if record is None or with_values:
        return record
    return msgspec.structs.replace(record, value=b"")


def _wrong_page(scan: api.Scan, page: api.ScanResult, there: _Contents) -> str | None:
    start, end = scan.start, page.next_start
    if start is None and not scan.reverse:
        start = b""  # There is no last key, but a first one.
    if end is not None and start is not None and not _is_before(scan, start, end):
        return f"a page that begins at {start!r} leads back to {end!r}"
    if len(page.items) > scan.limit:
        return f"a page of {len(page.items)} keys, {scan.limit} were asked for"
    expected = tuple(
        _shown(there[key], scan.with_values)
        for key in sorted(there, reverse=scan.reverse)
        if key.startswith(scan.prefix)
        and (scan.pattern is None or _matches(key, scan.pattern))
        and (start is None or not _is_before(scan, key, start))
        and (end is None or _is_before(scan, key, end))
    )
    return None if page.items == expected else f"before {end!r} there was {said(expected)}"


def _matches(key: bytes, pattern: bytes) -> bool:
    """For patterns that mean the same to a shell as to Redis."""
    return fnmatchcase(key.decode("latin-1"), pattern.decode("latin-1"))


def _is_before(scan: api.Scan, one: bytes, other: bytes) -> bool:
    """In the order in which the scan goes."""
    return one > other if scan.reverse else one < other
