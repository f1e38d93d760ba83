"""The rules that a log's records obey together, whatever holds them.

Law: indexes run from the log's start without a gap, terms start at 1, never go back, and
never pass the hard state's. An update that would break them is a mistake of the caller
and touches nothing.

Which entries a log holds is known twice: from their records, and from an outline
that is kept beside them. So a record that is damaged or missing is still known by its
name, (index, term), and is neither taken for absent nor guessed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import starmap
from operator import attrgetter
from typing import Final

import msgspec

from kvstore.errors import DamagedError
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import (
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    LogStart,
    Recovered,
    TermRange,
)
from kvstore.storage import records
from kvstore.storage.sizes import Sizes

_first_index = attrgetter("first_index")
_COUNTED_AT_ONCE: Final = 4_096


class Outline(msgspec.Struct, frozen=True):
    """The names of a log's entries: after what it begins, where it ends, and each of its terms."""

    last_index: int = 0
    ranges: tuple[TermRange, ...] = ()
    start: LogStart = LogStart()

    @staticmethod
    def empty(start: LogStart) -> Outline:
        """That of a log which begins after `start`, and has no entry yet."""
        return Outline(start.index, (), start)

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self.last_index - self.start.index

    def holds(self, index: int) -> bool:
        """Whether there is an entry at `index`."""
        return self.start.index < index <= self.last_index

    @property
    def extent(self) -> records.Extent:
        """What tells whether the outline itself is whole."""
        return records.Extent(self.last_index, len(self.ranges), self.start)

    def term(self, index: int) -> int:
        """Term of the entry at `index`, which is one of this log."""
        return self.ranges[bisect_right(self.ranges, index, key=_first_index) - 1].term

    def after(self, update: DurableUpdate) -> Outline:
        """What it is once `update` is done. Raises `ValueError` if that does not fit the log."""
        left = self
        if update.truncate_from is not None:
            left = left._truncated(update.truncate_from)
        if update.start is not None:
            left = left._begun_after(update.start)
        for entry in update.repairs:
            if not left.holds(entry.index) or left.term(entry.index) != entry.term:
                raise ValueError(f"no entry {entry.index} of term {entry.term} is to be repaired")
        last_index, ranges = left.last_index, left.ranges
        last_term = ranges[-1].term if ranges else None
        for index, entry in enumerate(update.entries, last_index + 1):
            if entry.index != index:
                raise ValueError(f"entry {entry.index} does not follow {index - 1}")
            if entry.term != last_term:
                last_term = entry.term
                ranges = (*ranges, TermRange(index, last_term))
        return Outline(last_index + len(update.entries), ranges, left.start)

    def _truncated(self, from_index: int) -> Outline:
        if not self.holds(from_index):
            raise ValueError(f"cannot truncate from {from_index} of {self.last_index}")
        ranges = self.ranges[: self.ranges_before(from_index)]
        return Outline(from_index - 1, ranges, self.start)

    def _begun_after(self, start: LogStart) -> Outline:
        if not self.count and start.index >= self.start.index:
            return Outline.empty(start)
        if not self.holds(start.index) or self.term(start.index) != start.term:
            raise ValueError(f"the log cannot begin after {start}, which it does not hold")
        if start.index == self.last_index:
            return Outline.empty(start)
        first = start.index + 1
        behind = self.ranges[self.ranges_before(first + 1) :]
        return Outline(self.last_index, (TermRange(first, self.term(first)), *behind), start)

    def ranges_before(self, index: int) -> int:
        """How many terms begin before `index`."""
        return bisect_left(self.ranges, index, key=_first_index)

    def check(self, extent: records.Extent, hard_state: HardState) -> None:
        """Raises `DamagedError` unless it is whole, and can be the outline of a log."""
        if self.extent != extent:
            raise DamagedError(
                f"the log has {len(self.ranges)} terms and ends at {self.last_index}, where "
                f"{extent.terms} and {extent.last_index} are on record"
            )
        start = self.start
        if not start.can_be:
            raise DamagedError(f"the log begins after entry {start.index} of term {start.term}")
        last_term, next_index = max(start.term - 1, 0), start.index + 1
        for position, one in enumerate(self.ranges):
            if one.term <= last_term:
                raise DamagedError(
                    f"log record {one.first_index}: its term goes back to {one.term}"
                )
            if one.first_index < next_index or (position == 0 and one.first_index != next_index):
                raise DamagedError(f"term {one.term} begins at log record {one.first_index}")
            last_term, next_index = one.term, one.first_index + 1
        if next_index > self.last_index + 1 or (self.count and not self.ranges):
            raise DamagedError(f"the log ends at {self.last_index}, before its last term begins")
        last_term = max(last_term, start.term)
        if last_term > hard_state.current_term:
            raise DamagedError(
                f"the log ends in term {last_term}, but the hard state says only term "
                f"{hard_state.current_term}"
            )


def recovered(
    hard_state: HardState,
    outline: Outline,
    pairs: Iterable[tuple[bytes, bytes]],
    configuration: Configuration,
) -> Recovered:
    """What a node finds when it starts, from all records of its log in the medium's order.

    `configuration`: as of the log's start.
    Entries that are damaged or missing are named. Raises `DamagedError` where records
    stand that cannot be there: then the medium itself is damaged.
    """
    damaged: list[int] = []
    configurations: list[Entry] = []
    terms = iter((*outline.ranges, TermRange(outline.last_index + 1, 0)))
    term, following = 0, next(terms)
    next_index = outline.start.index + 1
    for key, value in pairs:
        index = records.log_index(key)
        if not next_index <= index <= outline.last_index:
            raise DamagedError(f"log record {index} lies behind record {next_index - 1}")
        damaged.extend(range(next_index, index))
        next_index = index + 1
        while index >= following.first_index:
            term, following = following.term, next(terms)
        try:
            entry = records.decode_entry(key, value)
        except DamagedError:
            damaged.append(index)
            continue
        if entry.term != term:
            raise DamagedError(f"log record {index} has term {entry.term}, on record is {term}")
        if entry.kind is EntryKind.CONFIGURE:
            configurations.append(entry)
    damaged.extend(range(next_index, outline.last_index + 1))
    return Recovered(
        hard_state,
        outline.ranges,
        outline.last_index,
        tuple(damaged),
        tuple(configurations),
        outline.start,
        configuration,
    )


def counted(
    pairs: Iterable[tuple[bytes, bytes]], outline: Outline, sizes: Sizes
) -> Iterator[tuple[bytes, bytes]]:
    """All records of a log, and `sizes` of them when they have been passed on.

    Those that are missing have none.
    """
    next_index, known = outline.start.index + 1, list[int]()
    for key, value in pairs:
        index = records.log_index(key)
        if next_index <= index <= outline.last_index:
            known += [0] * (index - next_index)
            known.append(records.record_bytes(value))
            next_index = index + 1
            if len(known) >= _COUNTED_AT_ONCE:
                sizes.append(known)
                known = []
        yield key, value
    sizes.append(known + [0] * (outline.last_index + 1 - next_index))


def batch(entries: Iterable[Entry], start: int, stop: int, bytes_max: int) -> list[Entry]:
    """Entries of [start, stop), cut after `bytes_max` of data but never empty.

    `entries` are what the medium holds from `start` on.
    """
    taken: list[Entry] = []
    total = 0
    for expected, entry in zip(range(start, stop), entries, strict=False):
        if entry.index != expected:
            break
        total += len(entry.data)
        if taken and total > bytes_max:
            return taken
        taken.append(entry)
    if len(taken) < stop - start:
        raise DamagedError(f"log record {start + len(taken)} is missing")
    return taken


def check_range(start: int, stop: int, outline: Outline) -> None:
    """Raises `ValueError` unless [start, stop) is a part of the log."""
    if not outline.start.index < start < stop <= outline.last_index + 1:
        raise ValueError(
            f"no entries [{start}, {stop}): the log begins after {outline.start.index}, and ends "
            f"at {outline.last_index}"
        )


def decode_hard_state(value: bytes | None) -> HardState:
    """The hard state, checked."""
    hard_state = records.decode_named(records.HARD_STATE, value, HardState)
    if hard_state.current_term < 0:
        raise DamagedError(f"the hard state has term {hard_state.current_term}")
    return hard_state


def decode_configuration(value: bytes | None) -> Configuration:
    """The configuration as of the log's start, checked."""
    return records.decode_named(records.CONFIGURATION, value, Configuration)


def decode_outline(
    extent_value: bytes | None, term_pairs: Iterable[tuple[bytes, bytes]], hard_state: HardState
) -> Outline:
    """The outline of a log, checked; raises `DamagedError` if it is not whole."""
    extent = records.decode_named(records.EXTENT, extent_value, records.Extent)
    ranges = starmap(records.decode_term_range, term_pairs)
    outline = Outline(extent.last_index, tuple(ranges), extent.start)
    outline.check(extent, hard_state)
    return outline
