"""How a command is written: `<key> <value> [NX | XX] [GET]`, for people and for COMMAND DOCS.

Law: pure. The text is the one source; what redis-cli shows while somebody types is made of it.

* `<name>` is an argument, `WORD` stands for itself, `WORD <name>` is an option with a value.
* `[...]` may be left out, `(... | ...)` is a choice, `...` behind something repeats it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_PART: Final = re.compile(r"<[a-z-]+>|[A-Z-]+|\.\.\.|[\[\]()|]")
_TYPES: Final = {
    "key": "key",
    "pattern": "pattern",
    **dict.fromkeys(("count", "cursor", "id", "index", "protover"), "integer"),
    **dict.fromkeys(("decrement", "increment"), "integer"),
}


class Argument(msgspec.Struct, frozen=True):
    """One argument, in the terms of Redis: `type` is `oneof` or `block` if it has arguments."""

    name: str
    type: str
    token: str = ""
    flags: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()


def arguments_of(usage: str) -> tuple[Argument, ...]:
    """What a usage says. Raises `ValueError` for one that makes no sense."""
    reader = _Reader(_PART.findall(usage))
    found = reader.sequence()
    if not reader.is_at_end or "".join(_PART.findall(usage)) != usage.replace(" ", ""):
        raise ValueError(f"{usage!r} is no usage")
    return found


class _Reader:
    def __init__(self, parts: list[str]) -> None:
        self._parts = parts[::-1]

    @property
    def is_at_end(self) -> bool:
        return not self._parts

    @property
    def _next(self) -> str:
        return self._parts[-1] if self._parts else ""

    def _takes(self, part: str) -> bool:
        if self._next != part:
            return False
        self._parts.pop()
        return True

    def sequence(self) -> tuple[Argument, ...]:
        """Everything up to the end of what it stands in."""
        found = []
        while self._next not in ("", "]", ")", "|"):
            item = self._item()
            if self._takes("..."):
                item = msgspec.structs.replace(item, flags=(*item.flags, "multiple"))
            found.append(item)
        return tuple(found)

    def _item(self) -> Argument:
        if self._takes("["):
            inner = self._choice("]")
            return msgspec.structs.replace(inner, flags=("optional", *inner.flags))
        if self._takes("("):
            return self._choice(")")
        part = self._parts.pop()
        if part.startswith("<"):
            return _named(part[1:-1])
        if not part[0].isalpha():
            raise ValueError(f"{part!r} stands where an argument should")
        if self._next.startswith("<"):
            return msgspec.structs.replace(_named(self._parts.pop()[1:-1]), token=part)
        if self._takes("("):
            choice = self._choice(")")
            return msgspec.structs.replace(choice, name=part.lower(), token=part)
        return Argument(part.lower(), "pure-token", part)

    def _choice(self, end: str) -> Argument:
        """One of several, or just what stands there."""
        found = [_as_one(self.sequence())]
        while self._takes("|"):
            found.append(_as_one(self.sequence()))
        if not self._takes(end):
            raise ValueError(f"there is no {end!r}")
        return found[0] if len(found) == 1 else Argument("one", "oneof", arguments=tuple(found))


def _named(name: str) -> Argument:
    return Argument(name, _TYPES.get(name, "string"))


def _as_one(sequence: tuple[Argument, ...]) -> Argument:
    return sequence[0] if len(sequence) == 1 else Argument("all", "block", arguments=sequence)
