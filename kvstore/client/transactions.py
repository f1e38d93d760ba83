"""Transactions as one writes them in Python: comparisons and operations, and one of both.

Law: what is written here becomes one request, and is carried out nowhere else. A comparison is
judged by the store; here it has no truth value, as `if key("a").version == 0:` would be a slip.

It must not know who is asked, nor how.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from kvstore import api
from kvstore.api import CompareTarget, Relation
from kvstore.api.intervals import FROM_KEY, with_prefix
from kvstore.client.arguments import Text, as_bytes, as_flag, as_guard, as_integer
from kvstore.errors import ConfigError, TransactionFailedError

_NUMBERS: Final = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
}
_SIGNS: Final = {
    Relation.EQUAL: "==",
    Relation.NOT_EQUAL: "!=",
    Relation.LESS: "<",
    Relation.GREATER: ">",
}


class Condition:
    """What is to hold for a transaction to be carried out; `key("a").version == 0` makes one."""

    def __init__(self, compare: api.Compare) -> None:
        self.compare = compare

    def __bool__(self) -> NoReturn:
        raise TypeError("a comparison is for a transaction: the store judges it, not this program")

    def __str__(self) -> str:
        compare = self.compare
        key = repr(compare.key)[1:]
        of = f"key({key})" if compare.range_end is None else f"keys from {key} on"
        sign = _SIGNS[compare.relation]
        if compare.target is CompareTarget.VALUE:
            return f"{of}.value {sign} ..."
        return f"{of}.{_NUMBERS[compare.target]} {sign} {compare.number}"


class _Compared:
    """A number of a key, or its value, on the left side of a comparison."""

    __hash__ = None  # type: ignore[assignment]  # it is equal to nothing: `==` makes a condition

    def __init__(self, key: bytes, range_end: bytes | None, target: CompareTarget) -> None:
        self._key = key
        self._range_end = range_end
        self._target = target

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._to(Relation.EQUAL, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._to(Relation.NOT_EQUAL, other)

    def __lt__(self, other: int | Text) -> Condition:
        return self._to(Relation.LESS, other)

    def __gt__(self, other: int | Text) -> Condition:
        return self._to(Relation.GREATER, other)

    def _to(self, relation: Relation, other: object) -> Condition:
        number, value = 0, b""
        if self._target is CompareTarget.VALUE:
            value = as_bytes(other, "a value is compared with")  # type: ignore[arg-type]
        else:
            what = f"a {_NUMBERS[self._target]} is compared with"
            number = as_integer(other, what)  # type: ignore[arg-type]
        return Condition(
            api.Compare(self._key, self._target, relation, number, value, self._range_end)
        )


class KeyRange:
    """Keys, within a transaction: a comparison holds if it does for each that is there.

    Where there is none, its numbers are 0, and no comparison of values holds.
    """

    def __init__(self, key: bytes, range_end: bytes | None) -> None:
        self._key = key
        self._range_end = range_end

    @property
    def version(self) -> _Compared:
        return self._compared(CompareTarget.VERSION)

    @property
    def create_revision(self) -> _Compared:
        return self._compared(CompareTarget.CREATE)

    @property
    def mod_revision(self) -> _Compared:
        return self._compared(CompareTarget.MOD)

    @property
    def value(self) -> _Compared:
        return self._compared(CompareTarget.VALUE)

    @property
    def exists(self) -> Condition:
        return self.version > 0

    @property
    def absent(self) -> Condition:
        return self.version == 0

    def _compared(self, target: CompareTarget) -> _Compared:
        return _Compared(self._key, self._range_end, target)

    def delete(self, *, limit: int = 0, return_previous: bool = False) -> api.DeleteRange:
        """Remove them: all, or the first ones."""
        return api.DeleteRange(
            self._key,
            self._range_end,
            as_integer(limit, "a limit is"),
            as_flag(return_previous, "return_previous"),
        )


class Key(KeyRange):
    """A key, within a transaction."""

    def put(self, value: Text, *, return_previous: bool = False) -> api.Put:
        """Write it."""
        is_wanted = as_flag(return_previous, "return_previous")
        return api.Put(self._key, as_bytes(value), return_previous=is_wanted)

    def get(self) -> api.Get:
        """Read it."""
        return api.Get((self._key,))


def key(key: Text) -> Key:
    """A key, to compare something of it, or to do something with it, in a transaction."""
    return Key(as_bytes(key), None)


def keys(
    prefix: Text | None = None, *, start: Text | None = None, end: Text | None = None
) -> KeyRange:
    """All keys that begin with `prefix`, or those from `start` on and before `end`."""
    if prefix is not None:
        if start is not None or end is not None:
            raise ConfigError("give a prefix, or start and end, and not both")
        return KeyRange(*with_prefix(as_bytes(prefix)))
    if end is not None and as_bytes(end) == FROM_KEY:
        raise ConfigError("no key but the empty one stands before a zero byte: leave the end out")
    return KeyRange(as_bytes(start or b""), FROM_KEY if end is None else as_bytes(end))


def txn(
    when: Iterable[Condition],
    then: Iterable[api.Operation],
    otherwise: Iterable[api.Operation],
    guard: tuple[Text, int] | None,
) -> api.Txn:
    """What asks for a transaction."""
    return api.Txn(
        _compares(when),
        _operations(then, "then"),
        _operations(otherwise, "otherwise"),
        guard=as_guard(guard),
    )


def _compares(when: Iterable[Condition]) -> tuple[api.Compare, ...]:
    conditions = tuple(when)
    for one in conditions:
        if not isinstance(one, Condition):
            raise TypeError(f'a condition is made by key("a").version == 0, not {one!r}')
    return tuple(one.compare for one in conditions)


def _operations(branch: Iterable[api.Operation], name: str) -> tuple[api.Operation, ...]:
    operations = tuple(branch)
    for one in operations:
        if not isinstance(one, api.Operation):
            raise TypeError(f'an operation of {name} is made by key("a").put("b"), not {one!r}')
    return operations


class Transaction:
    """What is done at the end of a `with` block, whole, if everything required holds by then.

    * `revision` and `results` (of the operations, in their order) are there behind the block.
    """

    def __init__(self, guard: tuple[Text, int] | None) -> None:
        self._guard = guard
        self._required: list[Condition] = []
        self._operations: list[api.Operation] = []
        self._result: api.TxnResult | api.Repeated | None = None

    def require(self, *conditions: Condition) -> None:
        """All of these must hold when the transaction is carried out."""
        _compares(conditions)
        self._required += conditions

    def do(self, *operations: api.Operation) -> None:
        """Do this, as `key("a").put("b")` or `keys("job/").delete()`."""
        self._operations += _operations(operations, "a transaction")

    def put(self, key: Text, value: Text) -> None:
        """Write a key."""
        self.do(Key(as_bytes(key), None).put(value))

    def delete(self, *keys: Text) -> None:
        """Remove keys."""
        self.do(*(Key(as_bytes(one), None).delete() for one in keys))

    def get(self, *keys: Text) -> None:
        """Read keys, as they are then."""
        self.do(api.Get(tuple(map(as_bytes, keys))))

    def request(self) -> api.Txn:
        """All of it. Where something does not hold, it is looked up what."""
        look = tuple(one.compare.key for one in self._numbers())
        otherwise = (api.Get(look, with_values=False),) if look else ()
        return txn(self._required, self._operations, otherwise, self._guard)

    def take(self, result: api.TxnResult | api.Repeated) -> None:
        """What came of it. Raises TransactionFailedError."""
        self._result = result
        if not result.succeeded:
            raise TransactionFailedError(self._failed(result), result.revision)

    def _numbers(self) -> list[Condition]:
        """The comparisons of numbers of one key: those that can be looked up."""
        return [
            one
            for one in self._required
            if one.compare.range_end is None and one.compare.target in _NUMBERS
        ]

    def _failed(self, result: api.TxnResult | api.Repeated) -> list[str]:
        """The comparisons of numbers that do not hold; none if it was another one."""
        match result:
            case api.TxnResult(results=(api.GetResult(items=items),)):
                found = zip(self._numbers(), items, strict=True)
                return [told for one, item in found if (told := _why_not(one, item)) is not None]
        return []

    @property
    def revision(self) -> int:
        """That of the data behind it: the `mod_revision` of all that was put."""
        return self._done().revision

    @property
    def results(self) -> tuple[api.OperationResult, ...]:
        """What each operation was answered."""
        done = self._done()
        if isinstance(done, api.Repeated):
            raise ValueError("the transaction had to be sent twice, and its answer was too long")
        return done.results

    def _done(self) -> api.TxnResult | api.Repeated:
        if self._result is None:
            raise ValueError("a transaction is carried out at the end of its `with` block")
        return self._result


def _why_not(condition: Condition, item: api.KeyValue | None) -> str | None:
    """What was there instead; None if the comparison holds."""
    compare = condition.compare
    number = 0 if item is None else getattr(item, _NUMBERS[compare.target])
    holds = {
        Relation.EQUAL: number == compare.number,
        Relation.NOT_EQUAL: number != compare.number,
        Relation.LESS: number < compare.number,
        Relation.GREATER: number > compare.number,
    }
    return None if holds[compare.relation] else f"{condition}, and it is {number}"
