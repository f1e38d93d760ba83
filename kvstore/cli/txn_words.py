"""A transaction as a person types it, a line a comparison or an operation, made into a request.

Law: every line means one thing, or is refused with its number and what to write instead. Words
are parted as a shell parts them, so quotes keep blanks together; nothing is expanded.

    if mod lock = 17              version, create, mod or value; = != < >; all must hold
    if version --prefix job/ = 0
    then put lock me              what is done if they hold
    then delete --prefix job/
    else get lock                 and what if they do not

It must not know where the lines come from, nor who carries the request out.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

from kvstore import api
from kvstore.address import quoted
from kvstore.api import CompareTarget, Relation
from kvstore.api.intervals import with_prefix
from kvstore.errors import ConfigError

_TARGETS: Final = {
    "version": CompareTarget.VERSION,
    "create": CompareTarget.CREATE,
    "mod": CompareTarget.MOD,
    "value": CompareTarget.VALUE,
}
_RELATIONS: Final = {
    "=": Relation.EQUAL,
    "!=": Relation.NOT_EQUAL,
    "<": Relation.LESS,
    ">": Relation.GREATER,
}
_PREFIX: Final = "--prefix"


def parse(text: str) -> api.Txn:
    """The request that these lines ask for. Raises ConfigError."""
    compares: list[api.Compare] = []
    branches: dict[str, list[api.Operation]] = {"then": [], "else": []}
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            first, rest = words[0].lower(), words[1:]
            if first == "if":
                compares.append(_compare(rest))
            elif first in branches:
                branches[first].append(_operation(rest))
            else:
                raise ValueError("a line begins with if, then or else")
        except ValueError as error:
            raise ConfigError(f"line {number}, {quoted(line.strip())}: {error}") from None
    txn = api.Txn(tuple(compares), tuple(branches["then"]), tuple(branches["else"]))
    if not (txn.compares or txn.then or txn.otherwise):
        raise ConfigError("no transaction: write lines as `if version a = 0` and `then put a 1`")
    return txn


def _compare(words: Sequence[str]) -> api.Compare:
    usage = "write: if version|create|mod|value [--prefix] KEY =|!=|<|> WHAT"
    if len(words) < 3 or words[0] not in _TARGETS or words[-2] not in _RELATIONS:
        raise ValueError(usage)
    target, relation, what = _TARGETS[words[0]], _RELATIONS[words[-2]], words[-1]
    key, range_end = _keys(words[1:-2], usage)
    if target is CompareTarget.VALUE:
        return api.Compare(key, target, relation, value=os.fsencode(what), range_end=range_end)
    return api.Compare(key, target, relation, _number(what), range_end=range_end)


def _number(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", word) or int(word) > api.REVISION_MAX:
        raise ValueError(f"a {' or '.join(_TARGETS)} is compared with a number of 0 or more")
    return int(word)


def _operation(words: Sequence[str]) -> api.Operation:
    if not words or words[0] not in _OPERATIONS:
        raise ValueError("write: put KEY VALUE, delete [--prefix] KEY, or get KEY...")
    return _OPERATIONS[words[0]](words[1:])


def _put(words: Sequence[str]) -> api.Put:
    if len(words) != 2:
        raise ValueError("write: put KEY VALUE, in quotes where blanks stand in it")
    key, value = map(os.fsencode, words)
    return api.Put(key, value)


def _delete(words: Sequence[str]) -> api.DeleteRange:
    key, range_end = _keys(words, "write: delete [--prefix] KEY")
    return api.DeleteRange(key, range_end)


def _get(words: Sequence[str]) -> api.Get:
    if not words:
        raise ValueError("write: get KEY...")
    return api.Get(tuple(map(os.fsencode, words)))


def _keys(words: Sequence[str], usage: str) -> tuple[bytes, bytes | None]:
    """A key, or the beginning and end of all with a prefix."""
    match words:
        case [key]:
            return os.fsencode(key), None
        case [option, prefix] if option == _PREFIX:
            return with_prefix(os.fsencode(prefix))
        case _:
            raise ValueError(usage)


_OPERATIONS: Final[dict[str, Callable[[Sequence[str]], api.Operation]]] = {
    "put": _put,
    "delete": _delete,
    "get": _get,
}
