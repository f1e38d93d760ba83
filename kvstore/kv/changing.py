"""A revision under construction: what a write decides before anything is written.

Law: nothing is written before all of it is decided; reads see what was decided so far. So a
write that is refused half-way has changed nothing, on any replica: whether it is refused follows
from the data and the write alone. How much work one write may be is bounded here, whatever it
asks for.

It must not know requests, nor what they are answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from typing import Final, NamedTuple

from kvstore import api
from kvstore.kv.effect import Change
from kvstore.kv.keyspace import Keyspace
from kvstore.kv.leases import no_lease
from kvstore.kv.record import next_record

READ_STEPS: Final = 4
WRITE_STEPS: Final = 8
"""For one key, found or not; its record costs a step for each KiB beside that."""
STEPS_MAX: Final = 40_000
"""What is more is refused. Not a setting: replicas must agree."""
_DECIDED_PER_STEP: Final = 8
_TOO_MUCH_WORK = api.Failure(
    api.FailureCode.INVALID,
    "this is too much work for one write, by the number or the size of the keys that it meets: do"
    " less at once, ranges with a limit",
    is_final=True,
)


class Refused(Exception):  # noqa: N818 - it is an answer
    """A write cannot be carried out, and nothing of it was."""

    def __init__(self, failure: api.Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class _Decided(NamedTuple):
    """What a key is to have, and what it had; None where there is nothing."""

    value: bytes | None
    old: bytes | None
    lease: int = 0


class Changing:
    """What will have changed under one revision, each key once.

    * `steps`: the work so far.
    """

    def __init__(self, keyspace: Keyspace, revision: int) -> None:
        """`revision` is that of the data before."""
        self._keys = keyspace
        self._revision = revision
        self._decided: dict[bytes, _Decided] = {}
        self.steps = 0

    @property
    def revision(self) -> int:
        """That of the data with what was decided."""
        return self._revision + bool(self._decided)

    def get(self, key: bytes) -> bytes | None:
        """The record of a key, None if there is none."""
        decided = self._decided.get(key)
        record = self._keys.get(key) if decided is None else self._record(decided)
        self._spend(READ_STEPS + (len(record) >> 10 if record else 0))
        return record

    def scan(self, keys: api.Interval) -> Iterator[tuple[bytes, bytes]]:
        """The keys there, in order, with their records; the iterator ends with the next change."""
        self._spend(len(self._decided) // _DECIDED_PER_STEP)
        anew = [
            (key, record)
            for key in sorted(filter(keys.has, self._decided))
            if (record := self._record(self._decided[key])) is not None
        ]
        for key, record in merge(self._untouched(keys), anew, key=itemgetter(0)):
            self._spend(READ_STEPS + (len(record) >> 10))
            yield key, record

    def _untouched(self, keys: api.Interval) -> Iterator[tuple[bytes, bytes]]:
        for key, record in self._keys.scan(keys.start):
            if not keys.has(key):
                return
            if key not in self._decided:
                yield key, record

    def put(self, key: bytes, value: bytes, lease: int) -> bytes | None:
        """Write a key, under a lease or none; the record that it had."""
        if lease and not self._keys.leases.is_alive(lease):
            raise Refused(no_lease(lease))
        old = self.get(key)
        self._decide(key, _Decided(value, old, lease))
        return old

    def delete(self, key: bytes, old: bytes) -> None:
        """Remove a key that has this record."""
        self._decide(key, _Decided(None, old))

    def _decide(self, key: bytes, decided: _Decided) -> None:
        assert key not in self._decided
        self._spend(WRITE_STEPS - READ_STEPS)
        self._decided[key] = decided

    def _record(self, decided: _Decided) -> bytes | None:
        if decided.value is None:
            return None
        return next_record(decided.value, decided.old, self._revision + 1, 0, decided.lease)

    def commit(self) -> tuple[Change, ...]:
        """Write all of it, in the order in which it was decided."""
        changes: list[Change] = []
        for key, (value, old, lease) in self._decided.items():
            sub = len(changes)
            if value is not None:
                changes.append(self._keys.write(key, value, old, self.revision, sub, lease))
            elif old is not None:
                changes.append(self._keys.remove(key, old, self.revision, sub))
        return tuple(changes)

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > STEPS_MAX:
            raise Refused(_TOO_MUCH_WORK)
