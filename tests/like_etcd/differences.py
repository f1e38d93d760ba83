"""What etcd does and is not to be done here, each with steps that show it.

Law: none of it is drawn, and what is no longer so fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass

from .steps import FROM_KEY, LIST_MAX, DeleteRange, Grant, Put, Range, Sequence, Target, Txn


@dataclass(frozen=True)
class Difference:
    """The last of `steps` is answered differently."""

    reason: str
    steps: Sequence

    def __str__(self) -> str:
        return self.reason


_PUT_A = Txn(then=(Put(b"a"),))
_DELETE_A = Txn(then=(DeleteRange(b"a"),))

DIFFERENCES = (
    Difference(
        "Told what to sort by, and not which way, etcd takes the first keys and sorts those;"
        " here the first of what is sorted are taken.",
        (*map(Put, (b"c", b"b", b"a")), Range(b"a", b"d", limit=1, target=Target.MOD)),
    ),
    Difference(
        "A transaction that puts a key, and deletes from it or one before it to the end, is taken"
        " by etcd; here it is refused, as with any other end.",
        (Txn(then=(Put(b"a"), DeleteRange(b"a", FROM_KEY))),),
    ),
    Difference(
        "A transaction that puts a key in one within it, and deletes it in a later one, is taken"
        " by etcd; here it is refused, as the other way round.",
        (Txn(then=(_PUT_A, _DELETE_A)),),
    ),
    Difference(
        "A lease of no time, or less, is granted by etcd for two seconds; here it is refused.",
        (Grant(1, 0),),
    ),
    Difference(
        "etcd takes what the longest list of a transaction has from what lists within it may have;"
        " here each list is counted by itself, and all keys together.",
        (Txn(then=(Txn(then=(Range(b"a"),) * LIST_MAX),)),),
    ),
)
