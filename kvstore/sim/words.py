"""Operations in words, for findings: who asked what when, and what it was told.

Law: an operation is one line that somebody can read: keys and values are cut, and of many
only the first are told. It must not know who judges operations, nor why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from kvstore import api
from kvstore.sim.history import Operation

_CHARACTERS_MAX: Final = 40
"""Of a key or a value."""
_ITEMS_MAX: Final = 10
"""Of keys, or of whatever comes in numbers."""


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
        case api.PutMany(pairs=pairs):
            told = [f"{bare(key)} = {shown(value)}" for key, value in pairs[:_ITEMS_MAX]]
            return f"put {', '.join([*told, *_more(pairs)])}"
        case api.Increment(key=key, by=by):
            return f"increment {bare(key)} by {by}"
        case api.Get(keys=keys, with_values=False):
            return f"get without values {_bare_keys(keys)}"
        case api.Delete(keys=keys) | api.Get(keys=keys):
            return f"{type(request).__name__.lower()} {_bare_keys(keys)}"
    return said(request)


def _told(operation: Operation) -> str:
    match operation.result:
        case None:
            return "outcome unknown"
        case api.Failure(code=code, message=message):
            return "outcome unknown" if operation.is_unknown else f"refused, {code} {message}"
        case api.PutResult(revision=revision, written=is_written, previous=previous):
            told = f"{'' if is_written else 'not written, '}revision {revision}"
            return told if previous is None else f"{told}, previous {_record(previous)}"
        case api.Repeated(revision=revision, succeeded=succeeded):
            return f"{'' if succeeded else 'not written, '}revision {revision}, told again"
        case api.DeleteResult(revision=revision, deleted=deleted):
            return f"deleted {deleted}, revision {revision}"
        case api.IncrementResult(revision=revision, value=value):
            return f"{value}, revision {revision}"
        case api.GetResult(revision=revision, items=items):
            records = map(_record, items[:_ITEMS_MAX])
            return ", ".join([*records, *_more(items), f"revision {revision}"])
    return said(operation.result)


def _record(item: api.KeyValue | None) -> str:
    return "absent" if item is None else f"{shown(item.value)} of revision {item.mod_revision}"


def shown(value: bytes | None) -> str:
    """A value as it is quoted."""
    if value is None:
        return "absent"
    quote = _quoted(value)[0]
    return f"{quote}{bare(value)}{quote}"


def bare(key: bytes) -> str:
    """A key without quotes, which its place in the line makes clear."""
    text = _quoted(key)[1:-1]
    return text if len(text) <= _CHARACTERS_MAX else text[: _CHARACTERS_MAX - 1] + "…"


def _quoted(value: bytes) -> str:
    """So much of it that at least as many characters are left as will be told."""
    return repr(value[: _CHARACTERS_MAX + 1])[1:]


def said(thing: object) -> str:
    """A request, a result, or any part of one, as it is, but cut."""
    match thing:
        case bytes():
            return f"b{shown(thing)}"
        case tuple():
            return f"({', '.join([*map(said, thing[:_ITEMS_MAX]), *_more(thing)])})"
        case msgspec.Struct():
            told = (f"{name}={said(getattr(thing, name))}" for name in thing.__struct_fields__)
            return f"{type(thing).__name__}({', '.join(told)})"
    return repr(thing)


def _bare_keys(keys: Sequence[bytes]) -> str:
    return " ".join([*map(bare, keys[:_ITEMS_MAX]), *_more(keys)])


def _more(things: Sequence[object]) -> list[str]:
    """How many are left out, if any are."""
    return [f"and {len(things) - _ITEMS_MAX:,} more"] if len(things) > _ITEMS_MAX else []
