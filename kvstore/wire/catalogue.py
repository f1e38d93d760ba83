"""What a command is, without carrying it out: its row, and what COMMAND tells of it.

Law: pure. What clients route and check by (arity, flags, keys) is told once, in a row, and is
what the server itself goes by. The form is that of Redis 7. It must not know what a command does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from kvstore.wire import resp
from kvstore.wire.usage import Argument, arguments_of

Arguments: TypeAlias = list[bytes]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One command, or subcommand (`client|id`).

    * `arity` counts the words of the name; negative means "at least" (as in Redis).
    * `keys` are the places of the first key, the last one (negative from the end), and the
      step; zeros without keys. `key_flags` say what is done with them.
    * `usage` is what comes behind its name (`wire/usage.py`), `summary` what it is for.
    """

    name: str
    arity: int
    summary: str
    group: str
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    tips: tuple[str, ...] = ()
    keys: tuple[int, int, int] = (0, 0, 0)
    key_flags: tuple[str, ...] = ()
    key_notes: str = ""
    usage: str = ""

    lengths: range = range(0)
    """How many words a call may have, by the arity."""

    def __post_init__(self) -> None:
        least = abs(self.arity)
        most = least if self.arity > 0 else sys.maxsize - 1
        msgspec.structs.force_setattr(self, "lengths", range(least, most + 1))


_CATEGORIES: Final = (
    *("keyspace", "read", "write", "string", "admin", "fast", "slow"),
    *("dangerous", "connection", "transaction"),
)
"""In the order in which Redis tells them."""


_IMPLIED: Final = {"readonly": ("read",), "write": ("write",), "admin": ("admin", "dangerous")}


def categories_of(row: Row) -> list[str]:
    """Some follow from the flags."""
    found = {*row.categories, "fast" if "fast" in row.flags else "slow"}
    for flag in row.flags:
        found.update(_IMPLIED.get(flag, ()))
    return [name for name in _CATEGORIES if name in found]


def entry(row: Row, subcommands: Iterable[Row], version: int) -> bytes:
    """What COMMAND INFO tells."""
    parts = [entry(each, (), version) for each in subcommands]
    return resp.array(
        [
            _text(row.name),
            resp.integer(row.arity),
            _statuses(row.flags, version),
            *map(resp.integer, row.keys),
            _statuses([f"@{name}" for name in categories_of(row)], version),
            resp.unordered([*map(_text, row.tips)], version),
            resp.unordered([_key_specification(row, version)] if row.key_flags else [], version),
            # As in Redis: an array, but an empty set where there are none.
            resp.array(parts) if parts else resp.unordered([], version),
        ]
    )


def documentation(row: Row, subcommands: Iterable[Row], version: int) -> bytes:
    """What COMMAND DOCS tells."""
    facts = [(_text("summary"), _text(row.summary)), (_text("group"), _text(row.group))]
    if row.usage:
        facts.append((_text("arguments"), _arguments(arguments_of(row.usage), version)))
    parts = [(_text(each.name), documentation(each, (), version)) for each in subcommands]
    if parts:
        facts.append((_text("subcommands"), resp.mapping(parts, version)))
    return resp.mapping(facts, version)


def _arguments(arguments: Iterable[Argument], version: int) -> bytes:
    """In the form in which redis-cli reads them."""
    told = []
    for one in arguments:
        facts = [("name", _text(one.name)), ("type", _text(one.type))]
        if one.type == "key":
            facts.append(("key_spec_index", resp.integer(0)))
        if one.token:
            facts.append(("token", _text(one.token)))
        if one.flags:
            facts.append(("flags", _statuses(one.flags, version)))
        if one.arguments:
            facts.append(("arguments", _arguments(one.arguments, version)))
        told.append(_facts(facts, version))
    return resp.array(told)


def keys_of(row: Row, args: Arguments) -> Arguments:
    """The keys among the arguments of a command."""
    first, last, step = row.keys
    return args[first : last + 1 if last >= 0 else len(args) + last + 1 : step] if first else []


def keys_with_flags(row: Row, args: Arguments, version: int) -> bytes:
    """What COMMAND GETKEYSANDFLAGS tells."""
    flags = row.key_flags
    if "variable_flags" in flags:  # As GET is an option of a write.
        reads = any(arg.upper() == b"GET" for arg in args[3:])
        flags = ("RW", "access", "update") if reads else ("OW", "update")
    told = _statuses(flags, version)
    return resp.array([resp.array([resp.bulk(key), told]) for key in keys_of(row, args)])


def _key_specification(row: Row, version: int) -> bytes:
    """Where the keys are, in the form that Redis 7 has beside the three numbers."""
    first, last, step = row.keys
    begin = [("type", _text("index")), ("spec", _facts([("index", resp.integer(first))], version))]
    numbers = {"lastkey": last - first if last > 0 else last, "keystep": step, "limit": 0}
    found = _facts([(name, resp.integer(number)) for name, number in numbers.items()], version)
    find = [("type", _text("range")), ("spec", found)]
    return _facts(
        [
            *([("notes", _text(row.key_notes))] if row.key_notes else []),
            ("flags", _statuses(row.key_flags, version)),
            ("begin_search", _facts(begin, version)),
            ("find_keys", _facts(find, version)),
        ],
        version,
    )


def _text(text: str) -> bytes:
    return resp.bulk(text.encode())


def _facts(pairs: Iterable[tuple[str, bytes]], version: int) -> bytes:
    return resp.mapping([(_text(name), value) for name, value in pairs], version)


def _statuses(words: Iterable[str], version: int) -> bytes:
    return resp.unordered([resp.simple(word) for word in words], version)
