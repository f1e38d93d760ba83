"""The rules that a log's records obey together, whatever holds them.

Law: indexes run from 1 without a gap, terms start at 1, never go back, and never
pass the hard state's. A log that breaks them is damaged; an update that would
break them is a mistake of the caller and touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvstore.errors import DamagedError
from kvstore.raft.types import DurableUpdate, Entry, HardState, Recovered, TermRange
from kvstore.storage import records


def recovered(hard_state: HardState, entries: Iterable[Entry]) -> Recovered:
    """What a node finds when it starts, from all entries of its log in order."""
    ranges: list[TermRange] = []
    last_index = last_term = 0
    for entry in entries:
        last_index += 1
        if entry.index != last_index:
            raise DamagedError(f"log record {last_index} is missing")
        if entry.term != last_term or not ranges:
            if entry.term < max(last_term, 1):
                raise DamagedError(f"log record {last_index}: its term goes back to {entry.term}")
            last_term = entry.term
            ranges.append(TermRange(last_index, last_term))
    if last_term > hard_state.current_term:
        raise DamagedError(
            f"log record {last_index} has term {last_term},"
            f" but the hard state only {hard_state.current_term}"
        )
    return Recovered(hard_state, tuple(ranges), last_index)


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


def check_range(start: int, stop: int, last_index: int) -> None:
    """Raises `ValueError` unless [start, stop) is a part of the log."""
    if not 1 <= start < stop <= last_index + 1:
        raise ValueError(f"no entries [{start}, {stop}): the log ends at {last_index}")


def check_update(update: DurableUpdate, last_index: int) -> int:
    """The last index after `update`. Raises `ValueError` if it does not fit the log."""
    if update.truncate_from is not None:
        if not 1 <= update.truncate_from <= last_index:
            raise ValueError(f"cannot truncate from {update.truncate_from} of {last_index}")
        last_index = update.truncate_from - 1
    for entry in update.entries:
        if entry.index != last_index + 1:
            raise ValueError(f"entry {entry.index} does not follow {last_index}")
        last_index = entry.index
    return last_index


def decode_hard_state(value: bytes | None) -> HardState:
    """The hard state, checked."""
    hard_state = records.decode_named(records.HARD_STATE, value, HardState)
    if hard_state.current_term < 0:
        raise DamagedError(f"the hard state has term {hard_state.current_term}")
    return hard_state
