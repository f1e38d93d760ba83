"""Whether a transaction would change a key twice.

Law: no key is put twice, or put and deleted, by operations that may be carried out together,
whatever keys there are. Branches of one transaction never are; those of one within another
count both, as nobody knows yet which is taken.

It must not know what operations are answered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from kvstore.api.data import Put
from kvstore.api.intervals import Interval, interval
from kvstore.api.txn import DeleteRange, Operation, Txn


class _Changed(NamedTuple):
    """What operations may change together."""

    put: frozenset[bytes]
    deleted: frozenset[Interval]


_Checked: TypeAlias = tuple[_Changed, bytes | None]
"""What is changed, and the first key that is so twice."""
_NOTHING = _Changed(frozenset(), frozenset())


def changed_twice(txn: Txn) -> bytes | None:
    """A key that would be; None if there is none."""
    return _of_txn(txn)[1]


def _of_txn(txn: Txn) -> _Checked:
    then, twice = _of_branch(txn.then)
    otherwise, twice_otherwise = _of_branch(txn.otherwise)
    both = _Changed(then.put | otherwise.put, then.deleted | otherwise.deleted)
    return both, twice if twice is not None else twice_otherwise


def _of_branch(branch: Sequence[Operation]) -> _Checked:
    parts = []
    for operation in branch:
        part, twice = _of_operation(operation)
        if twice is not None:
            return _NOTHING, twice
        parts.append(part)
    return _together(parts)


def _of_operation(operation: Operation) -> _Checked:
    match operation:
        case Put(key=key):
            return _Changed(frozenset((key,)), frozenset()), None
        case DeleteRange(key=key, range_end=range_end):
            return _Changed(frozenset(), frozenset((interval(key, range_end),))), None
        case Txn():
            return _of_txn(operation)
        case _:
            return _NOTHING, None


def _together(parts: Sequence[_Changed]) -> _Checked:
    """Several are carried out, one after the other."""
    owners: dict[bytes, int] = {}
    for number, part in enumerate(parts):
        for key in part.put:
            if key in owners:
                return _NOTHING, key
            owners[key] = number
    twice = _put_and_deleted(owners, parts)
    deleted = frozenset[Interval]().union(*[part.deleted for part in parts])
    return _Changed(frozenset(owners), deleted), twice


def _put_and_deleted(owners: dict[bytes, int], parts: Sequence[_Changed]) -> bytes | None:
    """A key that one puts, and another one deletes."""
    keys = sorted(owners)
    others = _next_of_others(keys, owners)
    for number, part in enumerate(parts):
        for start, end in part.deleted:
            place = bisect_left(keys, start)
            if place < len(keys) and owners[keys[place]] == number:
                place = others[place]
            if place < len(keys) and (end is None or keys[place] < end):
                return keys[place]
    return None


def _next_of_others(keys: Sequence[bytes], owners: dict[bytes, int]) -> list[int]:
    """Of each key's place, that of the next one which another one puts."""
    others = [len(keys)] * len(keys)
    for place in range(len(keys) - 2, -1, -1):
        is_same = owners[keys[place]] == owners[keys[place + 1]]
        others[place] = others[place + 1] if is_same else place + 1
    return others
