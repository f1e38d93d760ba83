"""The same two stores without a disk, for a simulator and for tests.

Law: an honest double. It keeps the encoded records and checks them when it
reads, it is atomic, and what was not made durable is gone after `crash`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap

from kvstore.kv.view import NO_FOOTPRINT, Applied, Footprint
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import DurableUpdate, Entry, HardState, LogStart, Recovered
from kvstore.storage import cost, records
from kvstore.storage.base import Acquaintance, Divergence, Identity
from kvstore.storage.outline import (
    Outline,
    batch,
    check_range,
    counted,
    decode_hard_state,
    recovered,
)
from kvstore.storage.reading import Pair, Reading
from kvstore.storage.sizes import Sizes
from kvstore.storage.successor import Successor
from kvstore.storage.tables import (
    ATTACHED,
    ENDS,
    HISTORY,
    INDEX,
    KEYS,
    LEASES,
    SESSIONS,
    TableRow,
)

_KEY_BYTES_MAX = 510
_BOUNDLESS = 1 << 62


class MemoryLog:
    """A `LogStore`; `pairs` are its records, as a disk would hold them."""

    def __init__(
        self,
        identity: Identity,
        hard_state: HardState = HardState(),  # noqa: B008 - frozen
        start: LogStart = LogStart(),  # noqa: B008 - frozen
        configuration: Configuration = Configuration(),  # noqa: B008 - frozen
    ) -> None:
        """`configuration`: as of `start`."""
        self.identity = identity
        self.configuration = configuration
        self.pairs: list[tuple[bytes, bytes]] = []
        self.outline = Outline.empty(start)
        self.sizes = Sizes(start.index, run_bytes=1)
        self._hard_state = records.encode_named(records.HARD_STATE, hard_state)

    @property
    def last_index(self) -> int:
        """Index of the last entry; in an empty log, of what comes before it."""
        return self.outline.last_index

    def recover(self) -> Recovered:
        """Read and check everything. What cannot be read of the log is named `damaged`."""
        hard_state = decode_hard_state(self._hard_state)
        self.outline.check(self.outline.extent, hard_state)
        self.sizes = Sizes(self.outline.start.index, run_bytes=1)
        pairs = counted(self.pairs, self.outline, self.sizes)
        return recovered(hard_state, self.outline, pairs, self.configuration)

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty."""
        check_range(start, stop, self.outline)
        stored = starmap(records.decode_entry, self.pairs[self.before(start) : self.before(stop)])
        return batch(stored, start, stop, bytes_max)

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, whole or not at all."""
        outline = self.outline.after(update)
        added = [records.encode_entry(entry) for entry in update.entries]
        repaired = [records.encode_entry(entry) for entry in update.repairs]
        hard_state = self._hard_state
        if update.hard_state is not None:
            hard_state = records.encode_named(records.HARD_STATE, update.hard_state)
        # Nothing below can fail.
        if update.truncate_from is not None:
            del self.pairs[self.before(update.truncate_from) :]
            self.sizes.truncate(update.truncate_from, self._measure)
        self.configuration = update.configuration or self.configuration
        if update.start is not None:
            del self.pairs[: self.before(update.start.index + 1)]
        self.outline = outline
        self._hard_state = hard_state
        if update.start is not None:
            self.sizes.drop(update.start.index, self._measure)
        for key, value in repaired:
            self.pairs[self.before(records.log_index(key))] = (key, value)
        if repaired:
            self.sizes.measure((entry.index for entry in update.repairs), self._measure)
        self.pairs.extend(added)
        self.sizes.append([records.record_bytes(value) for _, value in added])

    def _measure(self, first: int, stop: int) -> int:
        pairs = self.pairs[self.before(first) : self.before(stop)]
        return sum(records.record_bytes(value) for _, value in pairs)

    def before(self, index: int) -> int:
        """How many entries there are before that one."""
        return index - self.outline.start.index - 1

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """Without bounds."""
        return _BOUNDLESS - beside_bytes

    def growth_bytes(self, beside_bytes: int = 0) -> int:
        """Nothing is free inside."""
        return self.room_bytes(beside_bytes)

    @property
    def truncation_bytes(self) -> int:
        """Nothing is kept, as nothing can run out."""
        return 0

    def entry_bytes(self, data_bytes: int) -> int:
        """What it would take of a disk."""
        return cost.entry_bytes(data_bytes)

    def repair_bytes(self, data_bytes: int) -> int:
        """What it would take of a disk."""
        return cost.repair_bytes(data_bytes, depth=1)

    def crash(self) -> None:
        """End without notice: everything written stays."""

    def close(self) -> None:
        """End in order: everything written stays."""


class MemoryLineage:
    """A `Lineage` that lasts as long as the process."""

    def __init__(self, start: bytes = b"") -> None:
        self.starts = start
        self.known: dict[int, Acquaintance] = {}

    def add_start(self, start: bytes) -> None:
        """A server begins on this directory."""
        self.starts += start

    def remember(
        self, node_id: int, acquaintance: Acquaintance, forget: Iterable[int] = ()
    ) -> None:
        """Keep what is known of a peer's directory, and nothing of those to forget."""
        self.known[node_id] = acquaintance
        for gone in forget:
            self.known.pop(gone, None)


class MemoryTable:
    """A `Table`; every key stands after the prefix of its `row` where its checksum is made.

    * `_before` holds what each key had at the last commit, if it changed since.
    * A scan that is continued after a change raises `RuntimeError`.
    """

    def __init__(self, row: TableRow) -> None:
        self.row, self.prefix = row, row.prefix
        self._values: dict[bytes, bytes] = {}
        self._sorted: list[bytes] = []
        self._before: dict[bytes, bytes | None] = {}
        self._changes = 0

    def get(self, key: bytes) -> bytes | None:
        """The record of `key`, None if there is none."""
        value = self._values.get(key)
        return None if value is None else records.decode_value(self.prefix + key, value)

    def put(self, key: bytes, record: bytes) -> None:
        """Set the record of `key`. Raises `ValueError` if the key is longer than LMDB's 510."""
        if len(key) > _KEY_BYTES_MAX:
            raise ValueError(f"key of {len(key)} bytes")
        self._replace(key, records.encode_value(self.prefix + key, record))

    def append(self, key: bytes, record: bytes) -> None:
        """Put a key that is greater than all there are."""
        assert not self._sorted or key > self._sorted[-1]
        self.put(key, record)

    def delete(self, key: bytes) -> bool:
        """Remove a key; false if there was none."""
        return key in self._values and self._replace(key, None) is not None

    def scan(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= start with their records; the iterator ends with the next change."""
        yield from self._walk(range(bisect_left(self._sorted, start), len(self._sorted)))

    def scan_back(self, before: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Keys < before (None: all) with their records, the last first; ends likewise."""
        end = len(self._sorted) if before is None else bisect_left(self._sorted, before)
        yield from self._walk(reversed(range(end)))

    def _walk(self, positions: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        changes = self._changes
        for position in positions:
            if self._changes != changes:
                raise RuntimeError("the key space changed during a scan")
            key = self._sorted[position]
            yield key, records.decode_value(self.prefix + key, self._values[key])

    def count(self) -> int:
        """The number of keys."""
        return len(self._values)

    def keep_changes(self) -> None:
        """A commit."""
        self._before.clear()
        self._changes += 1

    def committed(self) -> list[Pair]:
        """All records as of the last commit, in order, unchecked."""
        values = {**self._values, **self._before}
        return [
            (self.prefix + key, value) for key, value in sorted(values.items()) if value is not None
        ]

    def replace_all(self, pairs: Iterable[Pair]) -> None:
        """These are the records from now on, durably; their keys ascend, with the prefix."""
        self._values = {stored[len(self.prefix) :]: value for stored, value in pairs}
        self._sorted = [*self._values]
        self.keep_changes()

    def data_bytes(self) -> int:
        """What keys and records take."""
        return sum(len(key) + len(value) for key, value in self._values.items())

    def take_back_changes(self) -> None:
        """An end without a commit."""
        for key, value in dict(self._before).items():
            self._replace(key, value)
        self._before.clear()

    def _replace(self, key: bytes, value: bytes | None) -> bytes | None:
        old = self._values.get(key)
        self._before.setdefault(key, old)
        self._changes += 1
        if value is not None:
            if old is None:
                insort(self._sorted, key)
            self._values[key] = value
        elif old is not None:
            del self._values[key]
            del self._sorted[bisect_left(self._sorted, key)]
        return old


class MemorySpool:
    """A `Spool`."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """Append."""
        self._data += data

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What stands from `offset` on."""
        return bytes(self._data[offset : offset + bytes_max])

    def close(self) -> None:
        """Its room is free."""
        self._data.clear()


class MemorySuccessor:
    """A `Successor`; `applied` is None until it is finished."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self.pairs: list[Pair] = []
        self.applied: Applied | None = None

    def put(self, pairs: Sequence[Pair]) -> None:
        """Take the next records."""
        self.pairs += pairs

    def finish(self, applied: Applied) -> None:
        """That was all of them."""
        self.applied = applied

    def abandon(self) -> None:
        """It is not wanted."""
        self._state.successor = None


class MemoryState(MemoryTable):
    """A `StateStore`; as a table it is the key space.

    * `successor`: what is being built to take its place, and stays through a crash.
    """

    def __init__(
        self,
        identity: Identity,
        applied: Applied = Applied(),  # noqa: B008 - frozen
    ) -> None:
        """`applied`: as of when it begins, without a key."""
        super().__init__(KEYS)
        self.identity = identity
        self.attached = MemoryTable(ATTACHED)
        self.ends = MemoryTable(ENDS)
        self.history = MemoryTable(HISTORY)
        self.index = MemoryTable(INDEX)
        self.leases = MemoryTable(LEASES)
        self.sessions = MemoryTable(SESSIONS)
        self.divergence: Divergence | None = None
        self._applied = applied
        self._readings: set[Reading] = set()
        self.successor: MemorySuccessor | None = None

    @property
    def tables(self) -> tuple[MemoryTable, ...]:
        """All of them, in the order of `TABLES`."""
        return (
            *(self.attached, self.ends, self.history, self.index),
            *(self, self.leases, self.sessions),
        )

    def hold(self, pairs: Sequence[Pair]) -> None:
        """These are the records of all tables from now on, durably; they ascend."""
        for table in self.tables:
            table.replace_all([one for one in pairs if one[0].startswith(table.prefix)])

    def _take_all_back(self) -> None:
        for table in self.tables:
            table.take_back_changes()

    def applied(self) -> Applied:
        """What the last `commit` said; of a new store, as of when it begins."""
        return self._applied

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, together with `applied`."""
        if applied.last_applied < self._applied.last_applied:
            raise ValueError(f"last_applied goes back to {applied.last_applied}")
        for table in self.tables:
            table.keep_changes()
        self._applied = applied

    def record_divergence(self, divergence: Divergence) -> None:
        """Make durable that this state is not to be trusted; changes so far are forgotten."""
        self._take_all_back()
        self.divergence = divergence

    def reading(self) -> Reading:
        """All that the last `commit` made durable, whatever comes later."""
        committed = [table.committed() for table in self.tables]
        counts, pairs = tuple(map(len, committed)), _checked(chain.from_iterable(committed))
        reading = Reading(self._applied, counts, pairs, self._readings.discard, lambda: 0)
        self._readings.add(reading)
        return reading

    def new_spool(self) -> MemorySpool:
        """A file for a snapshot."""
        return MemorySpool()

    def begin_successor(self) -> MemorySuccessor:
        """Build a state to take this one's place; what an earlier one left is gone."""
        self.successor = MemorySuccessor(self)
        return self.successor

    def change_over(self, successor: Successor) -> None:
        """From now on this is `successor`, which is finished; what was here is gone."""
        self._become(successor)

    def _become(self, successor: Successor) -> None:
        assert isinstance(successor, MemorySuccessor)
        assert successor.applied is not None
        self.close()
        self.hold(successor.pairs)
        self._applied = successor.applied
        self.successor = self.divergence = None

    def finish_change_over(self, start_index: int) -> None:
        """A start on a log that begins after that entry: finish what was interrupted, or drop it.

        Only a successor that is whole was ever named by a log.
        """
        successor, self.successor = self.successor, None
        if successor is None or successor.applied is None:
            return
        is_behind = self.divergence is not None or self._applied.last_applied < start_index
        if successor.applied.last_applied == start_index and is_behind:
            self._become(successor)

    def tidy(self) -> bool:
        """Nothing is left of what is not wanted."""
        return False

    @property
    def certain_index(self) -> int:
        """Up to which entry a start would find the data, if its log begins there."""
        successor = self.successor
        whole = successor.applied if successor is not None else None
        return max(self._applied.last_applied, whole.last_applied if whole else 0)

    def data_bytes(self) -> int:
        """What keys and records take."""
        return sum(MemoryTable.data_bytes(table) for table in self.tables)

    def free_bytes(self) -> int:
        """Without bounds."""
        return _BOUNDLESS

    @property
    def capacity_bytes(self) -> int:
        """Without bounds."""
        return _BOUNDLESS

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """Without bounds."""
        return _BOUNDLESS

    def growth_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """Nothing is free inside."""
        return self.room_bytes(footprint)

    def can_hold(self, footprint: Footprint) -> bool:
        """It holds whatever there is."""
        return True

    def owed_bytes(self) -> int:
        """Nothing, as there is no disk."""
        return 0

    def crash(self) -> None:
        """End without notice: what was not committed is gone."""
        for reading in tuple(self._readings):
            reading.close()
        self._take_all_back()

    def close(self) -> None:
        """End in order, which commits nothing either."""
        self.crash()


def _checked(pairs: Iterable[Pair]) -> Iterator[Pair]:
    for stored, value in pairs:
        records.decode_value(stored, value)
        yield stored, value
