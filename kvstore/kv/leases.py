"""Leases: which there are, when they end, and which keys go with them.

Law: deterministic. A lease lives until an entry ends it, which may be any time after it is due by
the clock of the log; no other clock is read. So a renewal that comes before that entry is in time,
and none is lost to a leader that was late. What an entry costs is bounded, however many leases
end at once, and however many keys one has.

It must not know what keys hold, nor who deletes them: it says which are due, and is told of each
key that comes under a lease, or is none of it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.clock import LogClock
from kvstore.kv.view import View

_LEASE: Final = Struct(">Q")
_TIMES: Final = Struct(">QQ")
"""TTL and end, in ms."""
_END: Final = Struct(">QBQ")
"""When, what for, and the lease."""
LEASE_BYTES: Final = _LEASE.size
TIMES_BYTES: Final = _LEASE.size + _TIMES.size
END_BYTES: Final = _END.size
"""What a row takes with its key: but for the key under a lease, of a lease, and of an end."""
_OF_LEASE: Final = 0
"""What an end is for. Ends of keys alone may stand beside it."""
_OVER: Final = 0
"""For a TTL: of a lease that has ended, but for keys that are still to go."""
_NOTHING: Final = b""


def no_lease(lease: int) -> api.Failure:
    """It never was, or is no more."""
    return api.Failure(
        api.FailureCode.NO_LEASE,
        f"there is no lease {lease}, or its time is up, so nothing was changed: grant one",
        is_final=True,
    )


class Due(msgspec.Struct, frozen=True):
    """What is to be ended.

    * `leases` end whole. `keys` are to be deleted: theirs, or a first part of those of one lease
      alone, which stays.
    * `has_more`: there is more that is due.
    """

    leases: tuple[int, ...] = ()
    keys: tuple[bytes, ...] = ()
    has_more: bool = False


class Leases:
    """All leases of a cluster, in three tables: when each ends, in order of time, and its keys.

    * `leases` and `ends` name the same leases and times; what `attached` has is under one of them.
    """

    def __init__(self, view: View, rules: api.LeaseRules, clock: LogClock) -> None:
        self._leases, self._ends, self._attached = view.leases, view.ends, view.attached
        self._rules = rules
        self._clock = clock
        self._next_end_ms: int | None = None
        self._knows_next = False

    # --- Leases ---------------------------------------------------------------------------

    def grant(self, index: int, grant: api.Grant) -> api.Result:
        """Begin a lease, in the entry at `index`."""
        lease = grant.lease or self._free_number(index)
        if self._times(lease) is not None:
            return api.Failure(
                api.FailureCode.LEASE_EXISTS,
                f"there is a lease {lease} already: renew it, or choose another number",
                is_final=True,
            )
        ttl_ms = max(grant.ttl_ms, self._rules.ttl_min_ms)
        self._set(lease, ttl_ms, self._end_of(ttl_ms))
        return api.GrantResult(lease, ttl_ms)

    def _free_number(self, index: int) -> int:
        """Mostly that of the entry; somebody may have chosen it."""
        for lease, _ in self._leases.scan(_LEASE.pack(index)):
            if lease != _LEASE.pack(index):
                break
            index += 1
        return index

    def renew(self, leases: Iterable[int]) -> tuple[int, ...]:
        """Those that are alive last for their TTL from now on; the TTL of each, or 0."""
        return tuple([self._renew(lease) for lease in leases])

    def _renew(self, lease: int) -> int:
        if not self.is_alive(lease):
            return 0
        ttl_ms, before_ms = self._known_times(lease)
        ends_ms = self._end_of(ttl_ms)
        if ends_ms > before_ms:
            self._move(lease, ttl_ms, before_ms, ends_ms)
        return ttl_ms

    def is_alive(self, lease: int) -> bool:
        """Whether a key may be put under it."""
        times = self._times(lease)
        return times is not None and times[0] != _OVER

    def times(self, lease: int) -> tuple[int, int]:
        """Its TTL, and how much is left of that by the log's clock; zeros if it is not alive."""
        if not self.is_alive(lease):
            return 0, 0
        ttl_ms, ends_ms = self._known_times(lease)
        return ttl_ms, max(0, ends_ms - self._rules.grace_ms - self._clock.time_ms)

    def numbers(self, after: int) -> Iterator[int]:
        """All above that are alive, ascending."""
        for name, record in self._leases.scan(_LEASE.pack(after + 1)):
            if _TIMES.unpack(record)[0] != _OVER:
                yield _LEASE.unpack(name)[0]

    # --- Keys -----------------------------------------------------------------------------

    def attach(self, lease: int, key: bytes) -> None:
        """A key is put under a lease that is alive."""
        self._attached.put(_LEASE.pack(lease) + key, _NOTHING)

    def detach(self, lease: int, key: bytes) -> None:
        """A key is under this lease no more."""
        self._attached.delete(_LEASE.pack(lease) + key)

    def move(self, key: bytes, before: int, after: int) -> None:
        """A key is written that was under one lease, and is under another one now; 0 is none."""
        if before != after:
            if before:
                self.detach(before, key)
            if after:
                self.attach(after, key)

    def keys(self, lease: int) -> Iterator[bytes]:
        """Those under a lease, in order."""
        prefix = _LEASE.pack(lease)
        for name, _ in self._attached.scan(prefix):
            if not name.startswith(prefix):
                return
            yield name[_LEASE.size :]

    # --- Ends -----------------------------------------------------------------------------

    @property
    def next_end_ms(self) -> int | None:
        """When the next lease ends; None if there is none."""
        if not self._knows_next:
            first = next(iter(self._ends.scan(b"")), None)
            self._next_end_ms = None if first is None else _END.unpack(first[0])[0]
            self._knows_next = True
        return self._next_end_ms

    def end_now(self, lease: int) -> Due | None:
        """A lease is due, whatever its time was; what that ends. None if it is not alive.

        Of one with more keys than may go at once, the others are due from now on.
        """
        if not self.is_alive(lease):
            return None
        keys = self._first_keys(lease)
        return self._part_of(lease, keys) if len(keys) > api.KEYS_MAX else Due((lease,), keys)

    def _part_of(self, lease: int, keys: tuple[bytes, ...]) -> Due:
        """The first of its keys; it is over, and the others are due from now on."""
        self._move(lease, _OVER, self._known_times(lease)[1], self._clock.time_ms)
        return Due((), keys[: api.KEYS_MAX], has_more=True)

    def due(self, keys_max: int) -> Due:
        """What is due by the log's clock: up to so many keys, and one lease at least.

        What was due first ends first, and a lease without keys counts as one. A lease is split
        only where it has more keys than one entry may delete.
        """
        leases: list[int] = []
        keys: list[bytes] = []
        for lease in self._due_leases():
            of_it = self._first_keys(lease)
            if len(of_it) > api.KEYS_MAX and not leases:
                return self._part_of(lease, of_it)
            if leases and len(leases) + len(keys) + len(of_it) >= keys_max:
                return Due(tuple(leases), tuple(keys), has_more=True)
            leases.append(lease)
            keys += of_it
        return Due(tuple(leases), tuple(keys))

    def end(self, due: Due) -> None:
        """These leases are no more; each of their keys is detached by itself."""
        for lease in due.leases:
            _, ends_ms = self._known_times(lease)
            self._leases.delete(_LEASE.pack(lease))
            self._ends.delete(_END.pack(ends_ms, _OF_LEASE, lease))
        self._knows_next = False

    def _due_leases(self) -> Iterator[int]:
        for name, _ in self._ends.scan(b""):
            ends_ms, _, lease = _END.unpack(name)
            if ends_ms > self._clock.time_ms:
                return
            yield lease

    def _first_keys(self, lease: int) -> tuple[bytes, ...]:
        """One more than may go at once, if it has so many."""
        return tuple(islice(self.keys(lease), api.KEYS_MAX + 1))

    # --- Rows -----------------------------------------------------------------------------

    def _end_of(self, ttl_ms: int) -> int:
        return self._clock.time_ms + ttl_ms + self._rules.grace_ms

    def _times(self, lease: int) -> tuple[int, int] | None:
        record = self._leases.get(_LEASE.pack(lease))
        if record is None:
            return None
        ttl_ms, ends_ms = _TIMES.unpack(record)
        return ttl_ms, ends_ms

    def _known_times(self, lease: int) -> tuple[int, int]:
        """Of one that is in the table."""
        times = self._times(lease)
        assert times is not None
        return times

    def _move(self, lease: int, ttl_ms: int, before_ms: int, ends_ms: int) -> None:
        """It ends at another time than before."""
        self._ends.delete(_END.pack(before_ms, _OF_LEASE, lease))
        self._set(lease, ttl_ms, ends_ms)

    def _set(self, lease: int, ttl_ms: int, ends_ms: int) -> None:
        self._leases.put(_LEASE.pack(lease), _TIMES.pack(ttl_ms, ends_ms))
        self._ends.put(_END.pack(ends_ms, _OF_LEASE, lease), _NOTHING)
        self._knows_next = False
