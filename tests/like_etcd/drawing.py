"""Random sequences: few keys, values and leases, so that much of what is done meets.

Law: a sequence follows from its seed alone. What `differences.py` tells of is not drawn, and
nothing that one of those who are asked cannot be asked for, as the empty key is for etcd.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from .answers import Refused
from .naive import Naive
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
    Sequence,
    Step,
    Target,
    TimeToLive,
    Txn,
    Watch,
)

# At most twelve: more than that etcd does not sort stably.
_KEYS = (b"a", b"aa", b"ab", b"b", b"b\0", b"c", b"\xff", b"\xff\xff", b"\0")
_ENDS = (b"b", b"ac", b"c", b"\xff", b"\xff\xff\xff", b"a", FROM_KEY, FROM_KEY)
_VALUES = (b"", b"1", b"10", b"2", b"\xff")
_LEASES = (1, 2, 3, (1 << 63) - 1)
_TTLS_S = (1_000, 1_000, 5_000, 9_000_000_000, 9_000_000_001, 1 << 62)
_SHORT, _LONG = (5, 40), (100, 300)
"""So many steps."""
_NESTED_MAX = 3


@dataclass(frozen=True)
class _Changing:
    """What changes keys in a transaction, and in those within it, so that etcd sees whatever
    overlaps."""

    outside: tuple[type[Put] | type[DeleteRange], ...]
    within: tuple[type[Put] | type[DeleteRange], ...]
    to_the_end: bool = False


_CHANGING = (
    _Changing((Put, Put, Put, DeleteRange), (Put,)),
    _Changing((Put, Put, Put, DeleteRange), (DeleteRange,)),
    _Changing((DeleteRange,), (DeleteRange,), to_the_end=True),
)


def sequence(seed: int) -> Sequence:
    """The one that belongs to a seed."""
    return _Drawing(seed).sequence()


class _Drawing:
    """`_model` is asked all that is drawn."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"like etcd {seed}")
        self._model = Naive()
        self._model.begin()
        self._keys = self._random.sample(_KEYS, self._random.randint(2, len(_KEYS)))
        self._leases = self._random.sample(_LEASES, self._random.randint(1, 3))

    def sequence(self) -> Sequence:
        draws = [self._grant] * self._random.randint(0, 3)
        draws += [self._several]
        # Some are long: a key that changed often has more than one way into its past.
        least, most = _LONG if self._is(0.05) else _SHORT
        draws += [self._step] * self._random.randint(least, most)
        return tuple(map(self._asked, draws))

    def _several(self) -> Txn:
        """Keys to begin with, which have their revision in common."""
        keys = self._random.sample(self._keys, self._random.randint(0, len(self._keys)))
        return Txn(then=tuple(replace(self._put(), key=key) for key in keys))

    def _asked(self, draw: Callable[[], Step]) -> Step:
        """What would be refused is mostly drawn anew."""
        step = draw()
        while isinstance(self._model.ask(step), Refused) and self._is(0.75):
            step = draw()
        return step

    def _step(self) -> Step:
        kinds: dict[Callable[[], Step], float] = {
            self._put: 30,
            self._range: 25,
            self._txn: 20,
            self._delete_range: 3,
            self._compact: 3,
            self._grant: 6,
            self._revoke: 3,
            self._time_to_live: 6,
            self._watch: 0.5,
            Leases: 2,
        }
        (draw,) = self._random.choices([*kinds], [*kinds.values()])
        return draw()

    def _is(self, probability: float) -> bool:
        return self._random.random() < probability

    def _revision(self) -> int:
        if self._is(0.15):
            return self._random.choice((-1, self._model.floor - 1, self._model.revision + 1))
        return self._random.randint(self._model.floor, self._model.revision)

    def _maybe_revision(self, probability: float) -> int | None:
        # None of before the sequence: where 0 is asked for, etcd hears "none".
        return max(0, self._revision()) if self._is(probability) else None

    def _key(self) -> bytes:
        return self._random.choice(self._keys)

    def _lease(self) -> int:
        return self._random.choice(self._leases)

    def _bounds(self) -> tuple[bytes, bytes | None]:
        """A key, and the end of a range if it is one: seldom one that ends before it begins."""
        key = self._key()
        ends = [end for end in _ENDS if end == FROM_KEY or end > key or self._is(0.1)]
        return key, self._random.choice(ends) if self._is(0.6) else None

    # --- Operations -----------------------------------------------------------------------

    def _put(self) -> Put:
        keep_value, keep_lease = self._is(0.08), self._is(0.08)
        # Both together are refused, which is worth asking for now and then.
        has_value = not keep_value or self._is(0.1)
        has_lease = self._is(0.4) and (not keep_lease or self._is(0.2))
        return Put(
            self._key(),
            self._random.choice(_VALUES) if has_value else b"",
            self._lease() if has_lease else 0,
            self._is(0.3),
            keep_value,
            keep_lease,
        )

    def _delete_range(self) -> DeleteRange:
        return DeleteRange(*self._bounds(), self._is(0.5))

    def _range(self) -> Range:
        order = self._random.choice([*Order])
        targets = [target for target in Target if target is not Target.LEASE]
        key, end = (FROM_KEY, FROM_KEY) if self._is(0.3) else self._bounds()
        return Range(
            key,
            end,
            self._revision() if self._is(0.5) else None,
            self._random.choice((0, 0, 1, 2, 5)),
            order,
            # etcd cuts before it sorts where only a target is told.
            Target.KEY if order is Order.NONE else self._random.choice(targets),
            self._is(0.2),
            self._is(0.1),
            self._maybe_revision(0.1),
            self._maybe_revision(0.1),
            self._maybe_revision(0.1),
            self._maybe_revision(0.1),
        )

    def _txn(self) -> Txn:
        # Few that delete alone: what comes later wants keys.
        (changing,) = self._random.choices(_CHANGING, (6, 2, 1))
        txn = self._nested(changing, 0)
        if self._is(0.97) or any(isinstance(one, Txn) for one in txn.then + txn.otherwise):
            return txn
        if self._is(0.3):
            return replace(txn, compares=txn.compares * LIST_MAX)
        return replace(txn, then=(Range(b"a"),) * (LIST_MAX + self._random.randint(0, 1)))

    def _nested(self, changing: _Changing, depth: int) -> Txn:
        compares = tuple(self._compare() for _ in range(self._random.randint(0, 2)))
        return Txn(compares, self._branch(changing, depth), self._branch(changing, depth))

    def _branch(self, changing: _Changing, depth: int) -> tuple[Operation, ...]:
        return tuple(self._operation(changing, depth) for _ in range(self._random.randint(0, 4)))

    def _operation(self, changing: _Changing, depth: int) -> Operation:
        draw = self._random.random()
        changes = changing.within if depth else changing.outside
        if draw < 0.6 and changes:
            return self._change(self._random.choice(changes), changing.to_the_end)
        if draw < 0.75 and depth < _NESTED_MAX:
            return self._nested(changing, depth + 1)
        return self._range()

    def _change(self, kind: type[Put] | type[DeleteRange], to_the_end: bool) -> Put | DeleteRange:
        if kind is Put:
            return self._put()
        delete = self._delete_range()
        return delete if to_the_end or delete.end != FROM_KEY else replace(delete, end=b"b")

    def _compare(self) -> Compare:
        target = self._random.choice([target for target in Target if target is not Target.KEY])
        relation = self._random.choice([*Relation])
        key, end = self._bounds()
        return Compare(key, target, relation, self._operand(target), end)

    def _operand(self, target: Target) -> int | bytes | None:
        match target:
            case Target.VALUE:
                return self._random.choice(_VALUES)
            case Target.VERSION:
                return self._random.randint(0, 3)
            case Target.LEASE:
                return self._random.choice((0, self._lease()))
        return self._maybe_revision(0.8)

    # --- Leases and the past --------------------------------------------------------------

    def _compact(self) -> Compact:
        # Seldom to the newest: what comes later wants a past to be asked for.
        return Compact(min(self._revision(), self._revision()))

    def _watch(self) -> Watch:
        since = self._revision()
        # What the revision that was compacted to has replaced, etcd has forgotten.
        return Watch(since + 1 if since == self._model.floor else since)

    def _grant(self) -> Grant:
        return Grant(self._lease(), self._random.choice(_TTLS_S))

    def _revoke(self) -> Revoke:
        return Revoke(self._lease())

    def _time_to_live(self) -> TimeToLive:
        return TimeToLive(self._lease())
