"""Sequences that chance hardly comes to: bounds, and what is refused for its shape alone.

Law: as those that are drawn, they are answered alike by all.
"""

from __future__ import annotations

from .steps import (
    LIST_MAX,
    Compact,
    Compare,
    DeleteRange,
    Grant,
    Leases,
    Put,
    Range,
    Relation,
    Revoke,
    Sequence,
    Target,
    Txn,
    Watch,
)

_PUT = Txn(then=(Put(b"a"),))
_DELETE = Txn(then=(DeleteRange(b"a"),))
_RANGE = Range(b"a")

CORNERS: dict[str, Sequence] = {
    "no lease is granted for less than two seconds": (Grant(1, 1), Grant(2, 2), Grant(3, 3)),
    "the longest lease": (Grant(1, 9_000_000_000), Grant(2, 9_000_000_001), Leases()),
    "what is before all": (Compact(-1), Range(b"a", at=-1), Range(b"a", at=0), Compact(0)),
    "the newest revision is compacted to, twice": (
        *(Put(b"a"), Put(b"a", b"1"), Compact(2), Range(b"a", at=2), Range(b"a", at=1)),
        *(Compact(2), Compact(3), Put(b"b"), Range(b"a", b"c", at=2), Range(b"a", b"c")),
    ),
    "a deletion is compacted to": (
        *(Put(b"a"), Put(b"b"), DeleteRange(b"a"), Put(b"a"), Compact(3)),
        *(Range(b"a", b"c", at=3), Range(b"a", b"c", at=4), Range(b"a", b"c", at=2)),
    ),
    "what happened is told from the revision on that was compacted to": (
        *(Grant(1, 1_000), Put(b"b", lease=1), Put(b"a", lease=1), Revoke(1), Compact(1)),
        *(Watch(0), Watch(1), Watch(2), Watch(3), Watch(4), Compact(3), Watch(2), Watch(4)),
    ),
    "nothing is asked": (Txn(), Txn(then=(Txn(),))),
    "a key is put twice": (
        Txn(then=(Put(b"a"), Put(b"a"))),
        Txn(then=(Put(b"a"), _PUT)),
        Txn(then=(_PUT, Put(b"a"))),
        Txn(then=(_PUT, _PUT)),
        Txn(then=(Txn(then=(Put(b"a"),), otherwise=(Put(b"a"),)),)),
        Txn(then=(Put(b"a"),), otherwise=(Put(b"a"),)),
        Range(b"a"),
    ),
    "a key is put and deleted": (
        Put(b"a"),
        Txn(then=(Put(b"a"), DeleteRange(b"a"))),
        Txn(then=(DeleteRange(b"a"), Put(b"a"))),
        Txn(then=(DeleteRange(b"a", b"b"), Put(b"a\0"))),
        Txn(then=(DeleteRange(b"a", b"b"), Put(b"b"))),
        Txn(then=(_PUT, DeleteRange(b"a"))),
        Txn(then=(DeleteRange(b"a"), _PUT)),
        Txn(then=(_DELETE, Put(b"a"))),
        Txn(then=(_DELETE, _PUT)),
        Txn(then=(Txn(then=(Put(b"a"),), otherwise=(DeleteRange(b"a"),)),)),
        Range(b"a"),
    ),
    "a key is deleted twice": (Put(b"a"), Txn(then=(DeleteRange(b"a"), _DELETE, _RANGE))),
    "lists as long as they may be": (
        Txn(then=(_RANGE,) * LIST_MAX),
        Txn(otherwise=(_RANGE,) * (LIST_MAX + 1)),
        Txn(compares=(Compare(b"a", Target.LEASE, Relation.LESS, 1),) * LIST_MAX),
        Txn(compares=(Compare(b"a", Target.LEASE, Relation.LESS, 1),) * (LIST_MAX + 1)),
    ),
    "compares see what was before all of it": (
        Txn(
            then=(
                Put(b"a"),
                Txn(then=(Put(b"b"),)),
                *(
                    Txn(
                        (Compare(key, Target.VERSION, Relation.EQUAL, 1),),
                        (Put(key + b"1"),),
                        (Range(key),),
                    )
                    for key in (b"a", b"b")
                ),
            )
        ),
    ),
    "a transaction whose second put has no lease": (
        Txn(then=(Put(b"a"), Put(b"b", lease=7), Range(b"a", at=9))),
        Txn(then=(Put(b"a"), Range(b"a", at=1))),
        Txn(then=(Put(b"a"), Range(b"a", at=-1))),
        Txn(then=(Put(b"a"),), otherwise=(Range(b"a", at=9), Put(b"b", lease=7))),
    ),
}
