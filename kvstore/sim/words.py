"""Operations in words, for findings: who asked what when, and what it was told.

Law: an operation is one line, and what cannot be told in it is told as it is. It must not
know who judges operations, nor why.
"""

from __future__ import annotations

from kvstore import api
from kvstore.sim.history import Operation


def describe(operation: Operation) -> str:
    """One line: who, when, what it asked, and what it was told."""
    return (
        f"client {operation.client} "
        f"[{operation.invoked_ms:.1f} .. {operation.returned_ms:.1f} ms] "
        f"{_asked(operation.request)} -> {_told(operation)}"
    )


def _asked(request: api.Request) -> str:
    match request:
        case api.Put(key=key, value=value, when=when, expected=expected):
            asked = f"put {bare(key)} = {shown(value)}"
            if when is api.When.EQUAL:
                return f"{asked} if it is {shown(expected)}"
            return asked if when is api.When.ALWAYS else f"{asked} if {when.name.lower()}"
        case api.Increment(key=key, by=by):
            return f"increment {bare(key)} by {by}"
        case api.Get(keys=keys, with_values=False):
            return " ".join(["get without values", *map(bare, keys)])
        case api.Delete(keys=keys) | api.Get(keys=keys):
            verb = type(request).__name__.lower()
            return " ".join([verb, *map(bare, keys)])
    return str(request)


def _told(operation: Operation) -> str:
    match operation.result:
        case None:
            return "outcome unknown"
        case api.Failure(code=code, message=message):
            return "outcome unknown" if operation.is_unknown else f"refused, {code} {message}"
        case api.PutResult(revision=revision, written=is_written, previous=previous):
            told = f"{'' if is_written else 'not written, '}revision {revision}"
            return told if previous is None else f"{told}, previous {_record(previous)}"
        case api.PutRepeated(revision=revision, written=is_written):
            return f"{'' if is_written else 'not written, '}revision {revision}, told again"
        case api.DeleteResult(revision=revision, deleted=deleted):
            return f"deleted {deleted}, revision {revision}"
        case api.IncrementResult(revision=revision, value=value):
            return f"{value}, revision {revision}"
        case api.GetResult(revision=revision, items=items):
            return ", ".join([*map(_record, items), f"revision {revision}"])
    return str(operation.result)


def _record(item: api.KeyValue | None) -> str:
    return "absent" if item is None else f"{shown(item.value)} of revision {item.mod_revision}"


def shown(value: bytes | None) -> str:
    """A value as it is quoted."""
    return "absent" if value is None else repr(value)[1:]


def bare(key: bytes) -> str:
    """A key without quotes, which its place in the line makes clear."""
    return repr(key)[2:-1]
