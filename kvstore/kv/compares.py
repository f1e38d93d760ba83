"""Whether a comparison holds.

Law: it is judged by the data as they are when its transaction is applied, before anything of
that is done. What there is not has the numbers 0 and no value, so no comparison of values holds
for it, not even with an empty one.

It must not know what depends on it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from kvstore import api
from kvstore.api import CompareTarget, Relation
from kvstore.kv.changing import Changing
from kvstore.kv.record import HEAD_BYTES, unpack_head

_RELATIONS: Final[dict[Relation, Callable[[Any, Any], bool]]] = {
    Relation.EQUAL: operator.eq,
    Relation.NOT_EQUAL: operator.ne,
    Relation.LESS: operator.lt,
    Relation.GREATER: operator.gt,
}
_PLACES: Final = {
    CompareTarget.CREATE: 0,
    CompareTarget.MOD: 1,
    CompareTarget.VERSION: 2,
}
"""Of the numbers, in the head of a record."""


def holds(compare: api.Compare, changing: Changing) -> bool:
    """Whether it does; for a range, whether it does for each key there."""
    if compare.range_end is None:
        return _holds_for(compare, changing.get(compare.key))
    is_empty = True
    for _, record in changing.scan(api.interval(compare.key, compare.range_end)):
        is_empty = False
        if not _holds_for(compare, record):
            return False
    return not is_empty or _holds_for(compare, None)


def _holds_for(compare: api.Compare, record: bytes | None) -> bool:
    relation = _RELATIONS[compare.relation]
    if compare.target is CompareTarget.VALUE:
        return record is not None and relation(record[HEAD_BYTES:], compare.value)
    number = 0 if record is None else unpack_head(record)[_PLACES[compare.target]]
    return relation(number, compare.number)
