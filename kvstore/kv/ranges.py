"""Answers about ranges and versions of keys, as of any revision that is kept.

Law: an answer is of one revision, and whole, or it is refused: none takes more than
`RANGE_STEPS_MAX` and one key beside.

It must not know who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, Final

from kvstore import api
from kvstore.kv.history import Found
from kvstore.kv.keyspace import Keyspace
from kvstore.kv.past import refusal
from kvstore.kv.record import HEAD_BYTES, to_key_value, unpack_head

_LOOK_STEPS: Final = 1
"""For each key of a range as it is now; each KiB of its record is a step more."""
_ITEM_STEPS: Final = 3
"""For each that is in the answer."""

_Record = tuple[bytes, bytes]

_BY: Final[dict[api.Target, Callable[[_Record], Any]]] = {
    api.Target.KEY: lambda found: found[0],
    api.Target.VERSION: lambda found: unpack_head(found[1])[2],
    api.Target.CREATE: lambda found: unpack_head(found[1])[0],
    api.Target.MOD: lambda found: unpack_head(found[1])[1],
    api.Target.VALUE: lambda found: found[1][HEAD_BYTES:],
}
RANGE_STEPS_MAX: Final = api.RANGE_STEPS_MAX
_TOO_LONG: Final = api.Failure(
    api.FailureCode.INVALID,
    f"looking at this range takes more than {RANGE_STEPS_MAX} steps, about one for each key "
    "and each KiB: ask for a part of it, or scan it page by page",
)


class Ranging:
    """Answers from the key space, where `newest` is the revision.

    `steps`: what they took so far, beside those of the key space itself.
    """

    def __init__(self, keys: Keyspace, newest: int, reply_bytes_max: int) -> None:
        self._keys = keys
        self._newest = newest
        self._reply_bytes_max = reply_bytes_max
        self.steps = 0

    # --- Ranges ---------------------------------------------------------------------------

    def range(self, query: api.Range) -> api.RangeResult | api.Failure:
        """What etcd answers, as of the revision that is asked for."""
        if refused := refusal(query.revision, self._keys.floor, self._newest):
            return refused
        looked = self._look(query)
        if looked is None:
            return _TOO_LONG
        found, count = looked
        if query.target is not api.Target.KEY or query.order is not api.Order.NONE:
            is_down = query.order is api.Order.DESCEND
            found.sort(key=_BY[query.target], reverse=is_down)
        more = 0 < query.limit < len(found)
        items = self._items(found[: query.limit or None], with_values=not query.keys_only)
        if items is None:
            return self._too_much(query)
        return api.RangeResult(self._newest, items, more, count)

    def _look(self, query: api.Range) -> tuple[list[_Record], int] | None:
        """The records that may be in the answer, and how many keys the range has.

        None if that takes too long.
        """
        keys = api.interval(query.key, query.range_end)
        is_now = query.revision in (0, self._newest)
        is_all = is_now and keys == api.interval(b"", api.FROM_KEY)
        wanted = _wanted(query)
        steps_max = self._steps_so_far + RANGE_STEPS_MAX
        found: list[_Record] = []
        count = 0
        for key, record in self._records(keys, None if is_now else query.revision):
            if is_all and len(found) >= wanted:
                return found, self._keys.count()
            if self._steps_so_far >= steps_max:
                return None
            if record is not None:
                count += 1
                if len(found) < wanted and _passes(query, record):
                    found.append((key, record))
        return found, count

    def _records(self, keys: api.Interval, revision: int | None) -> Iterator[Found]:
        """All keys of it, and such as it had once."""
        if revision is not None:
            were = self._keys.scan_at(keys.start, revision)
            yield from takewhile(lambda found: keys.has(found[0]), were)
            return
        for key, record in self._keys.scan(keys.start):
            if not keys.has(key):
                return
            self.steps += _LOOK_STEPS + (len(record) >> 10)
            yield key, record

    @property
    def _steps_so_far(self) -> int:
        return self.steps + self._keys.steps

    def _items(self, found: list[_Record], *, with_values: bool) -> tuple[api.KeyValue, ...] | None:
        """None if they are too long for a reply."""
        self.steps += _ITEM_STEPS * len(found)
        room = self._reply_bytes_max
        for key, record in found:
            room -= len(key) + (len(record) if with_values else HEAD_BYTES)
        if room < 0:
            return None
        return tuple([to_key_value(*one, with_value=with_values) for one in found])

    def _too_much(self, query: api.Range) -> api.Failure:
        what = "a lower limit" if query.keys_only else "keys only, or a lower limit"
        return api.Failure(
            api.FailureCode.INVALID,
            f"the reply would exceed {self._reply_bytes_max} bytes; ask for {what}",
        )

    # --- Versions of a key ----------------------------------------------------------------

    def versions(self, query: api.History) -> api.HistoryResult | api.Failure:
        """What a key was, the last version first."""
        floor, newest = self._keys.floor, self._newest
        revision = newest if query.before == 0 else min(query.before - 1, newest)
        if refused := refusal(revision, floor, newest):
            return refused
        steps_max = self._steps_so_far + RANGE_STEPS_MAX
        room = self._reply_bytes_max
        versions: list[api.Version] = []
        more = False
        for at, record in self._keys.versions(query.key, revision):
            room -= len(record or b"")
            is_full = len(versions) == query.limit or room < 0
            if versions and (is_full or self._steps_so_far >= steps_max):
                more = True
                break
            self.steps += _ITEM_STEPS
            item = None if record is None else to_key_value(query.key, record)
            versions.append(api.Version(at, item))
        return api.HistoryResult(newest, tuple(versions), more, floor)


def _wanted(query: api.Range) -> int:
    """How many records of a range have to be kept, the first ones, to answer it."""
    if query.count_only:
        return 0
    is_ordered = query.target is not api.Target.KEY or query.order is api.Order.DESCEND
    return query.limit + 1 if query.limit and not is_ordered else 1 << 62


def _passes(query: api.Range, record: bytes) -> bool:
    """Whether the revisions of a record are within those that are asked for."""
    create_revision: int
    mod_revision: int
    create_revision, mod_revision, _, _, _ = unpack_head(record)
    return query.min_mod <= mod_revision <= (
        query.max_mod or api.REVISION_MAX
    ) and query.min_create <= create_revision <= (query.max_create or api.REVISION_MAX)
