"""Redis data commands: arguments into typed requests, results into RESP.

Law: a command is one row of `COMMANDS`: its shape, its parser, its renderer.
Semantics and error texts are those of Redis, as far as a command is supported;
what is not supported is refused by name. It must not know sockets or nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kvstore import api
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments, Row

Render: TypeAlias = Callable[[Any, int], bytes]
"""(result, RESP version) -> reply."""


class CommandError(Exception):
    """The arguments make no request; the text is the error reply."""


class Spec(Row, frozen=True, kw_only=True):
    """One command that reads or writes data: its row, its parser, its renderer."""

    parse: Callable[[Arguments], api.Request]
    render: Render


def wrong_arity(name: str) -> str:
    """The error text that Redis clients know."""
    return f"ERR wrong number of arguments for '{name}' command"


def parse(spec: Spec, args: Arguments) -> api.Request:
    """The request that `args` (name first) make. Raises `CommandError`."""
    if len(args) not in spec.lengths:
        raise CommandError(wrong_arity(spec.name))
    return spec.parse(args)


def integer_argument(text: bytes) -> int:
    """A signed 64-bit integer, in the one decimal form that Redis accepts."""
    number = api.parse_integer(text)
    if number is None:
        raise CommandError("ERR value is not an integer or out of range")
    return number


def render_failure(failure: api.Failure) -> bytes:
    """An error reply whose first word is the code."""
    return resp.error(f"{failure.code.value} {failure.message}")


# --- Parsers ------------------------------------------------------------------------------


def _get(args: Arguments) -> api.Request:
    return api.Get((args[1],))


def _get_many(args: Arguments) -> api.Request:
    return api.Get(tuple(args[1:]))


def _exists(args: Arguments) -> api.Request:
    return api.Get(tuple(args[1:]), with_values=False)


def _delete(args: Arguments) -> api.Request:
    return api.Delete(tuple(args[1:]))


def _set_many(args: Arguments) -> api.Request:
    if len(args) % 2 == 0:
        raise CommandError(wrong_arity("mset"))
    return api.PutMany(tuple(zip(args[1::2], args[2::2], strict=True)))


def _increment(args: Arguments) -> api.Request:
    return api.Increment(args[1], 1)


def _decrement(args: Arguments) -> api.Request:
    return api.Increment(args[1], -1)


def _increment_by(args: Arguments) -> api.Request:
    return api.Increment(args[1], integer_argument(args[2]))


def _decrement_by(args: Arguments) -> api.Request:
    by = integer_argument(args[2])
    if by == api.INTEGER_MIN:
        raise CommandError("ERR decrement would overflow")
    return api.Increment(args[1], -by)


def _count(_args: Arguments) -> api.Request:
    return api.Count()


def _set(args: Arguments) -> api.Request:
    """SET key value [NX | XX | IFEQ value] [GET]; what is said twice is said."""
    if len(args) == 3:
        return api.Put(args[1], args[2])
    when, expected, returns_previous = api.When.ALWAYS, None, False
    options = iter(args[3:])
    for option in options:
        name = option.upper()
        if name == b"GET":
            returns_previous = True
            continue
        if name in _EXPIRY_OPTIONS:
            raise CommandError(f"ERR {name.decode()} is not supported: keys do not expire")
        condition = _CONDITIONS.get(name)
        is_first = when is api.When.ALWAYS
        if condition is None or not (is_first or (when is condition and expected is None)):
            raise CommandError("ERR syntax error")
        when = condition
        if when is api.When.EQUAL:
            expected = next(options, None)
            if expected is None:
                raise CommandError("ERR syntax error")
    return api.Put(args[1], args[2], when, expected, returns_previous)


_CONDITIONS: Final = {
    b"NX": api.When.ABSENT,
    b"XX": api.When.PRESENT,
    b"IFEQ": api.When.EQUAL,
}
_EXPIRY_OPTIONS: Final = (b"EX", b"PX", b"EXAT", b"PXAT", b"KEEPTTL")


# --- Renderers ----------------------------------------------------------------------------


def _value_or_null(result: api.GetResult, version: int) -> bytes:
    item = result.items[0]
    return resp.null(version) if item is None else resp.bulk(item.value)


def _values(result: api.GetResult, version: int) -> bytes:
    nothing = resp.null(version)
    return resp.array([nothing if i is None else resp.bulk(i.value) for i in result.items])


def _length(result: api.GetResult, _version: int) -> bytes:
    item = result.items[0]
    return resp.integer(0 if item is None else len(item.value))


def _existing(result: api.GetResult, _version: int) -> bytes:
    return resp.integer(sum(item is not None for item in result.items))


def _written(result: api.PutResult, version: int) -> bytes:
    return resp.OK if result.written else resp.null(version)


def _previous(result: api.PutResult, version: int) -> bytes:
    item = result.previous
    return resp.null(version) if item is None else resp.bulk(item.value)


def _deleted(result: api.DeleteResult, _version: int) -> bytes:
    return resp.integer(result.deleted)


def _incremented(result: api.IncrementResult, _version: int) -> bytes:
    return resp.integer(result.value)


def _counted(result: api.CountResult, _version: int) -> bytes:
    return resp.integer(result.count)


def render_for(spec: Spec, request: api.Request) -> Render:
    """The renderer for this request: SET answers otherwise when it has GET."""
    if isinstance(request, api.Put) and request.return_previous:
        return _previous
    return spec.render


def _spec(
    name: str,
    arity: int,
    flags: str,
    key_flags: str,
    parser: Callable[[Arguments], api.Request],
    render: Render,
    usage: str,
    summary: str,
    *,
    keys: tuple[int, int, int] = (1, 1, 1),
    key_notes: str = "",
    group: str = "string",
    categories: tuple[str, ...] = ("string",),
    tips: tuple[str, ...] = (),
) -> Spec:
    return Spec(
        name=name,
        arity=arity,
        usage=usage,
        summary=summary,
        group=group,
        flags=tuple(flags.split()),
        categories=categories,
        tips=tips,
        keys=keys,
        key_flags=tuple(key_flags.split()),
        key_notes=key_notes,
        parse=parser,
        render=render,
    )


_READ: Final = "readonly fast"
_WRITE: Final = "write denyoom fast"
_CHANGE: Final = "RW access update"
_KEYSPACE: Final = ("keyspace",)
_ON_SHARDS: Final = "request_policy:multi_shard"
_SUMMED: Final = "response_policy:agg_sum"

_SPECS: Final = (
    _spec("get", 2, _READ, "RO access", _get, _value_or_null, "<key>", "The value of a key"),
    _spec(
        *("set", -3, "write denyoom", "RW access update variable_flags", _set, _written),
        "<key> <value> [NX | XX | IFEQ <value>] [GET]",
        "Set a key, also under a condition, also asking for its old value",
        key_notes="RW and ACCESS due to the optional `GET` argument",
    ),
    _spec(
        *("del", -2, "write", "RM delete", _delete, _deleted),
        "<key> ...",
        "Delete keys; how many there were",
        keys=(1, -1, 1),
        group="generic",
        categories=_KEYSPACE,
        tips=(_ON_SHARDS, _SUMMED),
    ),
    _spec(
        *("exists", -2, _READ, "RO", _exists, _existing),
        "<key> ...",
        "How many of the keys there are",
        keys=(1, -1, 1),
        group="generic",
        categories=_KEYSPACE,
        tips=(_ON_SHARDS, _SUMMED),
    ),
    _spec(
        *("mget", -2, _READ, "RO access", _get_many, _values),
        "<key> ...",
        "The values of keys",
        keys=(1, -1, 1),
        tips=(_ON_SHARDS,),
    ),
    _spec(
        *("mset", -3, "write denyoom", "OW update", _set_many, _written),
        "(<key> <value>) ...",
        "Set keys, all at once",
        keys=(1, -1, 2),
        tips=(_ON_SHARDS, "response_policy:all_succeeded"),
    ),
    _spec("incr", 2, _WRITE, _CHANGE, _increment, _incremented, "<key>", "Add one to a number"),
    _spec(
        "incrby",
        3,
        _WRITE,
        _CHANGE,
        _increment_by,
        _incremented,
        "<key> <increment>",
        "Add to a number",
    ),
    _spec("decr", 2, _WRITE, _CHANGE, _decrement, _incremented, "<key>", "Take one from a number"),
    _spec(
        "decrby",
        3,
        _WRITE,
        _CHANGE,
        _decrement_by,
        _incremented,
        "<key> <decrement>",
        "Take from a number",
    ),
    _spec("strlen", 2, _READ, "RO", _get, _length, "<key>", "The length of a value"),
    _spec(
        *("dbsize", 1, _READ, "", _count, _counted),
        "",
        "How many keys there are",
        keys=(0, 0, 0),
        group="server",
        categories=_KEYSPACE,
        tips=("request_policy:all_shards", _SUMMED),
    ),
)
COMMANDS: Final = {spec.name.upper().encode(): spec for spec in _SPECS}
