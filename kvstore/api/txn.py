"""Transactions: comparisons, and what is done if all of them hold, or if one does not.

Law: a transaction says all that carrying it out needs. It is carried out whole or not at all,
under one revision, and no operation of it depends on how it is asked for.

It must not know how requests arrive, nor where data rests.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

from kvstore.api.base import Result, Struct, Write
from kvstore.api.data import DeleteResult, Get, GetResult, Put, PutResult


class CompareTarget(enum.IntEnum):
    """What of a key is compared; the value goes by bytes, all else by number."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3


class Relation(enum.IntEnum):
    """How what is there is to stand to what the comparison names."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class Compare(Struct, frozen=True):
    """What is to hold for a key, or for each key of a range, as the transaction finds it.

    * `number`: what VERSION, CREATE and MOD are compared with; `value` is for VALUE.
    * An absent key, and a range without keys, has the numbers 0, and no value: none holds.
    """

    key: bytes
    target: CompareTarget
    relation: Relation = Relation.EQUAL
    number: int = 0
    value: bytes = b""
    range_end: bytes | None = None


class DeleteRange(Write, frozen=True, tag="deleterange"):
    """Remove the keys from `key` on and before `range_end`; without that, the key itself.

    * `limit`: so many at most, the first ones, and fewer where that would take too long: ask
      again until nothing is deleted. 0 is all of them, or a refusal.
    """

    key: bytes
    range_end: bytes | None = None
    limit: int = 0
    return_previous: bool = False


class Txn(Write, frozen=True, tag="txn"):
    """If all `compares` hold, do what `then` says in its order, else what `otherwise` says.

    Comparisons see what was there before, those of transactions within this one too;
    operations see what earlier ones did. No key is put twice, or put and deleted, by
    operations that may be carried out together.
    """

    compares: tuple[Compare, ...]
    then: tuple[Put | DeleteRange | Get | Txn, ...] = ()
    otherwise: tuple[Put | DeleteRange | Get | Txn, ...] = ()


class TxnResult(Result, frozen=True, tag="txn"):
    """Which branch was taken, and what each of its operations is answered, in their order.

    `revision` is that of the data behind it: the `mod_revision` of whatever was put.
    """

    revision: int
    succeeded: bool
    results: tuple[PutResult | DeleteResult | GetResult | TxnResult, ...]


Operation: TypeAlias = Put | DeleteRange | Get | Txn
"""What a branch consists of."""
OperationResult: TypeAlias = PutResult | DeleteResult | GetResult | TxnResult
