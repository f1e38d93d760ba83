"""What an operation of several keys did to each, and said of it, as an operation of that key.

Law: if one order explains the operations of all keys, then it explains the shares of each
(Herlihy and Wing 1990); so a history whose shares nothing explains is not linearizable. That
the shares of one operation belong together, `effects` and `pages` see to.

It must not know how shares are judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from kvstore import api
from kvstore.sim.history import Operation


class Share(NamedTuple):
    """An operation of one key. `tells`: whether its answer speaks of this key."""

    key: bytes
    operation: Operation
    tells: bool = True


def shares(operation: Operation) -> Iterator[Share]:
    """One for each key. Raises `ValueError` for a request that does not name its keys."""
    match operation.request:
        case api.Put(key=key) | api.Increment(key=key):
            yield Share(key, operation)
        case api.PutMany(pairs=pairs, guard=guard):
            for key, value in dict(pairs).items():
                put = api.Put(key, value, guard=guard)
                yield Share(key, msgspec.structs.replace(operation, request=put))
        case api.Delete() as delete:
            yield from _of_delete(operation, delete)
        case api.Get() as get:
            yield from _of_get(operation, get)
        case request:
            raise ValueError(f"{request} has no share for each key: it does not name them")


def _of_delete(operation: Operation, delete: api.Delete) -> Iterator[Share]:
    """It says how many keys there were: which, is clear only for none and for all."""
    keys, result, tells = dict.fromkeys(delete.keys), operation.result, True
    if isinstance(result, api.DeleteResult) and 0 < result.deleted <= len(keys):
        tells = result.deleted == len(keys)
        result = msgspec.structs.replace(result, deleted=1)
    for key in keys:
        one = msgspec.structs.replace(delete, keys=(key,))
        yield Share(key, msgspec.structs.replace(operation, request=one, result=result), tells)


def _of_get(operation: Operation, get: api.Get) -> Iterator[Share]:
    for position, key in enumerate(get.keys):
        result = operation.result
        if isinstance(result, api.GetResult):
            items = result.items[position : position + 1]
            result = msgspec.structs.replace(result, items=items)
        one = msgspec.structs.replace(get, keys=(key,))
        yield Share(key, msgspec.structs.replace(operation, request=one, result=result))
