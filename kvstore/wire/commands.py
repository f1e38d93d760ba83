"""Redis data commands: arguments into typed requests, results into RESP.

Law: a command is one row of `COMMANDS`: its shape, its parser, its renderer.
Semantics and error texts are those of Redis, as far as a command is supported;
what is not supported is refused by name. It must not know sockets or nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from kvstore import api
from kvstore.wire import resp

Arguments: TypeAlias = list[bytes]
Render: TypeAlias = Callable[[Any, int], bytes]
"""(result, RESP version) -> reply."""


class CommandError(Exception):
    """The arguments make no request; the text is the error reply."""


class Spec(msgspec.Struct, frozen=True):
    """One command. `arity` counts the name; negative means "at least" (as in Redis)."""

    name: str
    arity: int
    flags: tuple[str, ...]
    keys: tuple[int, int, int]
    """First key, last key (negative from the end), step; (0, 0, 0) without keys."""
    parse: Callable[[Arguments], api.Request]
    render: Render


def accepts(arity: int, args: Arguments) -> bool:
    """Whether the number of arguments fits."""
    return len(args) == arity if arity > 0 else len(args) >= -arity


def wrong_arity(name: str) -> str:
    """The error text that Redis clients know."""
    return f"ERR wrong number of arguments for '{name}' command"


def parse(spec: Spec, args: Arguments) -> api.Request:
    """The request that `args` (name first) make. Raises `CommandError`."""
    if not accepts(spec.arity, args):
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
    """SET key value [NX | XX | IFEQ value] [GET]."""
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
        if name not in _CONDITIONS or when is not api.When.ALWAYS:
            raise CommandError("ERR syntax error")
        when = _CONDITIONS[name]
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
    keys: tuple[int, int, int],
    parser: Callable[[Arguments], api.Request],
    render: Render,
) -> Spec:
    return Spec(name, arity, tuple(flags.split()), keys, parser, render)


_SPECS: Final = (
    _spec("get", 2, "readonly fast", (1, 1, 1), _get, _value_or_null),
    _spec("set", -3, "write denyoom", (1, 1, 1), _set, _written),
    _spec("del", -2, "write", (1, -1, 1), _delete, _deleted),
    _spec("exists", -2, "readonly fast", (1, -1, 1), _exists, _existing),
    _spec("mget", -2, "readonly fast", (1, -1, 1), _get_many, _values),
    _spec("mset", -3, "write denyoom", (1, -1, 2), _set_many, _written),
    _spec("incr", 2, "write denyoom fast", (1, 1, 1), _increment, _incremented),
    _spec("incrby", 3, "write denyoom fast", (1, 1, 1), _increment_by, _incremented),
    _spec("decr", 2, "write denyoom fast", (1, 1, 1), _decrement, _incremented),
    _spec("decrby", 3, "write denyoom fast", (1, 1, 1), _decrement_by, _incremented),
    _spec("strlen", 2, "readonly fast", (1, 1, 1), _get, _length),
    _spec("dbsize", 1, "readonly fast", (0, 0, 0), _count, _counted),
)
COMMANDS: Final = {spec.name.upper().encode(): spec for spec in _SPECS}
