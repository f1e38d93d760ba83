"""What etcd does, told as simply as possible: all keys of each revision are kept, whole.

Law: it shares nothing with kvstore, and nothing here is done to be fast. Leases have no clock:
they end when they are revoked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter, eq, gt, lt, ne
from typing import Any

from .answers import (
    Answer,
    Decided,
    Deleted,
    Done,
    Event,
    Found,
    Granted,
    Happened,
    Item,
    Known,
    Lives,
    Refused,
    Why,
    Written,
)
from .steps import (
    FROM_KEY,
    LIST_MAX,
    Compact,
    Compare,
    DeleteRange,
    Grant,
    Leases,
    Operation,
    Order,
    Put,
    Range,
    Relation,
    Revoke,
    Step,
    Target,
    TimeToLive,
    Txn,
    Watch,
)

Keys = dict[bytes, Item]

_TTL_MIN_S = 2
_TTL_MAX_S = 9_000_000_000
_RELATIONS: dict[Relation, Callable[[Any, Any], bool]] = {
    Relation.EQUAL: eq,
    Relation.NOT_EQUAL: ne,
    Relation.LESS: lt,
    Relation.GREATER: gt,
}
_FIELDS: dict[Target, Callable[[Item], Any]] = {
    Target.KEY: attrgetter("key"),
    Target.VERSION: attrgetter("version"),
    Target.CREATE: attrgetter("create"),
    Target.MOD: attrgetter("mod"),
    Target.VALUE: attrgetter("value"),
    Target.LEASE: attrgetter("lease"),
}
_NEVER = -1 << 62
"""When an absent key was changed: 0, which lies before the sequence, however long that is ago."""


class _RefusedError(Exception):
    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Naive:
    """A `Player`: `states[n]` is what revision n left, `changed[n]` whose keys it changed."""

    def begin(self) -> None:
        self.states: list[Keys] = [{}]
        self.changed: list[tuple[bytes, ...]] = [()]
        self.floor = 0
        self.leases: dict[int, int] = {}

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def _add(self, state: Keys, changed: Iterable[bytes]) -> None:
        self.states.append(state)
        self.changed.append(tuple(changed))

    def ask(self, step: Step) -> Answer:
        try:
            match step:
                case Put() | DeleteRange() | Range():
                    return self._alone(step)
                case Txn():
                    return self._carried_out(step)
                case Compact(at):
                    self._check_kept(at, floor=self.floor + 1)
                    self.floor = at
                    return Done(self.revision)
                case Watch(since):
                    return self._happened(since)
            return self._ask_of_lease(step)
        except _RefusedError as refused:
            return Refused(refused.why)

    def _happened(self, since: int) -> Happened:
        _refuse_if(since < self.floor, Why.COMPACTED)
        return Happened(
            tuple(
                Event(
                    revision,
                    key,
                    self.states[revision].get(key),
                    self.states[revision - 1].get(key),
                )
                for revision in range(since, self.revision + 1)
                for key in self.changed[revision]
            )
        )

    # --- Leases ---------------------------------------------------------------------------

    def _ask_of_lease(self, step: Grant | Revoke | TimeToLive | Leases) -> Answer:
        match step:
            case Grant(lease, ttl_s):
                _refuse_if(not 0 < ttl_s <= _TTL_MAX_S, Why.INVALID)
                _refuse_if(lease in self.leases, Why.LEASE_EXISTS)
                self.leases[lease] = max(ttl_s, _TTL_MIN_S)
                return Granted(lease, self.leases[lease])
            case Revoke(lease):
                keys = self._keys_of(lease)
                if keys:
                    newest = self.states[-1]
                    self._add({k: newest[k] for k in newest if k not in keys}, sorted(keys))
                del self.leases[lease]
                return Done(self.revision)
            case TimeToLive(lease):
                keys = self._keys_of(lease)
                return Lives(self.leases[lease], keys)
            case Leases():
                return Known(frozenset(self.leases))

    def _keys_of(self, lease: int) -> frozenset[bytes]:
        _refuse_if(lease not in self.leases, Why.NO_LEASE)
        return frozenset(key for key, item in self.states[-1].items() if item.lease == lease)

    # --- Transactions ---------------------------------------------------------------------

    def _alone(self, step: Put | DeleteRange | Range) -> Answer:
        alone = Txn(then=(step,))
        if isinstance(step, Put):
            # Within a transaction a key that is to be kept and is not there is told first.
            _check_shape(alone)
            self._check_lease(step)
        return self._carried_out(alone).results[0]

    def _carried_out(self, txn: Txn) -> Decided:
        _check_shape(txn)
        before = self.states[-1]
        taken = [*_taken(txn, before)]
        for operation in taken:
            if isinstance(operation, Put):
                self._check_put(operation, before)
        for operation in taken:
            if isinstance(operation, Range) and operation.at is not None:
                self._check_kept(operation.at, floor=self.floor)
        after = _Changing(before, self.revision)
        results = self._results(txn, before, after)
        if after.changed:
            self._add(after.keys, after.changed)
        return Decided(self.revision, _holds(txn, before), results)

    def _check_put(self, put: Put, before: Keys) -> None:
        is_kept = put.keep_value or put.keep_lease
        _refuse_if(is_kept and put.key not in before, Why.INVALID)
        self._check_lease(put)

    def _check_lease(self, put: Put) -> None:
        _refuse_if(put.lease != 0 and put.lease not in self.leases, Why.NO_LEASE)

    def _check_kept(self, at: int, floor: int) -> None:
        _refuse_if(at < floor, Why.COMPACTED)
        _refuse_if(at > self.revision, Why.FUTURE)

    def _results(self, txn: Txn, before: Keys, after: _Changing) -> tuple[Answer, ...]:
        return tuple(self._result(one, before, after) for one in _branch(txn, before))

    def _result(self, operation: Operation, before: Keys, after: _Changing) -> Answer:
        match operation:
            case Put():
                return after.put(operation)
            case DeleteRange():
                return after.delete(operation)
            case Range(at=at):
                keys = after.keys if at is None else self.states[at]
                return _found(operation, keys, after.revision)
            case Txn():
                results = self._results(operation, before, after)
                return Decided(None, _holds(operation, before), results)


class _Changing:
    """The keys as a transaction leaves them: its first change makes the next revision."""

    def __init__(self, before: Keys, revision: int) -> None:
        self.keys = dict(before)
        self.changed: list[bytes] = []
        self._before = revision

    @property
    def revision(self) -> int:
        return self._before + bool(self.changed)

    def put(self, put: Put) -> Written:
        self.changed.append(put.key)
        old = self.keys.get(put.key)
        kept = old or Item(put.key, b"", self.revision, 0, 0, 0)
        self.keys[put.key] = Item(
            put.key,
            kept.value if put.keep_value else put.value,
            kept.create,
            self.revision,
            kept.version + 1,
            kept.lease if put.keep_lease else put.lease,
        )
        return Written(self.revision, old if put.previous else None)

    def delete(self, delete: DeleteRange) -> Deleted:
        gone = _within(self.keys, delete.key, delete.end)
        for item in gone:
            self.changed.append(item.key)
            del self.keys[item.key]
        return Deleted(self.revision, len(gone), tuple(gone) if delete.previous else ())


def _taken(txn: Txn, before: Keys) -> Iterator[Operation]:
    """What is carried out of it, with all levels in one line."""
    for operation in _branch(txn, before):
        if isinstance(operation, Txn):
            yield from _taken(operation, before)
        else:
            yield operation


def _branch(txn: Txn, before: Keys) -> tuple[Operation, ...]:
    return txn.then if _holds(txn, before) else txn.otherwise


def _holds(txn: Txn, before: Keys) -> bool:
    """Whether all its compares hold, which see what was before the outermost one."""
    return all(_compares(compare, before) for compare in txn.compares)


def _compares(compare: Compare, before: Keys) -> bool:
    found = _within(before, compare.key, compare.end)
    if not found and compare.target is Target.VALUE:
        return False
    operand = _NEVER if compare.operand is None else compare.operand
    relation = _RELATIONS[compare.relation]
    absent = Item(compare.key, b"", create=_NEVER, mod=_NEVER, version=0, lease=0)
    return all(relation(_FIELDS[compare.target](item), operand) for item in found or [absent])


# --- What is refused for its shape, whatever there is -------------------------------------


def _check_shape(txn: Txn) -> None:
    for one in (txn, *_all_within(txn)):
        if isinstance(one, Txn):
            longest = max(map(len, (one.compares, one.then, one.otherwise)))
            _refuse_if(longest > LIST_MAX, Why.INVALID)
        elif isinstance(one, Put):
            _refuse_if(one.keep_value and one.value != b"", Why.INVALID)
            _refuse_if(one.keep_lease and one.lease != 0, Why.INVALID)
    for branch in (txn.then, txn.otherwise):
        _check_keys(branch)


def _all_within(txn: Txn) -> Iterator[Operation]:
    for one in txn.then + txn.otherwise:
        yield one
        if isinstance(one, Txn):
            yield from _all_within(one)


def _check_keys(branch: tuple[Operation, ...]) -> tuple[frozenset[bytes], list[DeleteRange]]:
    """The keys that a branch may put, and what it may delete; each key is changed once.

    Both branches of a nested transaction count, as both might be taken, but not against
    each other.
    """
    puts: frozenset[bytes] = frozenset()
    deletes: list[DeleteRange] = []
    for operation in branch:
        now_put: frozenset[bytes] = frozenset()
        now_deleted: list[DeleteRange] = []
        match operation:
            case Put():
                now_put = frozenset((operation.key,))
            case DeleteRange():
                now_deleted = [operation]
            case Txn():
                for nested in (operation.then, operation.otherwise):
                    nested_puts, nested_deletes = _check_keys(nested)
                    now_put |= nested_puts
                    now_deleted += nested_deletes
        _refuse_if(bool(puts & now_put), Why.INVALID)
        _refuse_if(_is_any_in(now_put, deletes) or _is_any_in(puts, now_deleted), Why.INVALID)
        puts |= now_put
        deletes += now_deleted
    return puts, deletes


def _is_any_in(keys: frozenset[bytes], deletes: list[DeleteRange]) -> bool:
    return any(_is_in(key, one.key, one.end) for key in keys for one in deletes)


def _refuse_if(condition: bool, why: Why) -> None:
    if condition:
        raise _RefusedError(why)


# --- Ranges -------------------------------------------------------------------------------


def _is_in(key: bytes, start: bytes, end: bytes | None) -> bool:
    if end is None:
        return key == start
    return start <= key and (end == FROM_KEY or key < end)


def _within(keys: Keys, start: bytes, end: bytes | None) -> list[Item]:
    return [keys[key] for key in sorted(keys) if _is_in(key, start, end)]


def _found(asked: Range, keys: Keys, revision: int) -> Found:
    within = _within(keys, asked.key, asked.end)
    if asked.count_only:
        return Found(revision, (), False, len(within))
    items = [item for item in within if _passes(item, asked)]
    # Both ways, what is equal stays in the order of keys.
    items.sort(key=_FIELDS[asked.target], reverse=asked.order is Order.DESCEND)
    shown = items[: asked.limit] if asked.limit else items
    if asked.keys_only:
        shown = [replace(item, value=b"") for item in shown]
    return Found(revision, tuple(shown), len(shown) < len(items), len(within))


def _passes(item: Item, asked: Range) -> bool:
    return (
        (asked.min_mod is None or item.mod >= asked.min_mod)
        and (asked.max_mod is None or item.mod <= asked.max_mod)
        and (asked.min_create is None or item.create >= asked.min_create)
        and (asked.max_create is None or item.create <= asked.max_create)
    )
