"""What clients were told of their writes is what the log says that they did.

Law: who is told a revision is told the truth about it: the write that made it is the
client's own and changed all of what the answer counts, at once; or nothing was changed, and
what was there is the reason. And no write changed anything more often than clients asked for
it without being refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from kvstore import api
from kvstore.sim.checkers.replay import Change, holds
from kvstore.sim.checkers.revisions import has_changed, revision_told
from kvstore.sim.history import Operation
from kvstore.sim.words import describe, said


class Log(Protocol):
    """What the log did, as `replay` knows it."""

    @property
    def made_by(self) -> Sequence[Change]:
        """Of each revision but 0, what made it."""
        ...

    def record(self, key: bytes, revision: int) -> api.KeyValue | None:
        """What was there under a key."""
        ...


def check_effects(operations: Iterable[Operation], log: Log) -> list[str]:
    """Answers to writes that the log does not bear out; none if all is well."""
    findings = []
    asked = Counter[api.Write]()
    for operation in operations:
        write = operation.request
        if not isinstance(write, api.WRITES) or operation.is_refused:
            continue
        asked[write] += 1
        complaint = None if operation.is_unknown else _complaint(write, operation, log)
        if complaint is not None:
            findings.append(f"{complaint}\n  {describe(operation)}")
    return findings + _unasked(asked, log.made_by)


def _complaint(write: api.Write, operation: Operation, log: Log) -> str | None:
    """What is not as it was told."""
    revision = revision_told(operation)
    if not has_changed(operation):
        return _why_not_idle(write, operation.result, log, revision)
    if not 0 < revision <= len(log.made_by):
        return f"there is no revision {revision}"
    change = log.made_by[revision - 1]
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
    return None


def _why_not_idle(
    write: api.Write, result: api.Result | None, log: Log, revision: int
) -> str | None:
    """Why a write that is said to have changed nothing would have, or met something else."""
    if isinstance(result, api.GuardFailed):
        return _wrong_guard(write.guard, result, log)
    match write:
        case api.Put():
            there = log.record(write.key, revision)
            if holds(write, there):
                return f"there was {said(there)}, so it should have been written"
            if isinstance(result, api.PutResult):
                return _wrong_previous(write, result.previous, there)
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
