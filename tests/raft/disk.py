"""A disk in memory for the core's tests: what is written survives a crash, and nothing else.

Law: `write` is atomic, and refuses what an honest log on a real disk would refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from founding import founders

from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import configuration_data
from kvstore.raft.types import (
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    LogStart,
    Recovered,
    TermRange,
)

THREE = founders((1, 2, 3))


def entry(index: int, term: int) -> Entry:
    """The entry that every test means by (index, term)."""
    return Entry(index, term, EntryKind.COMMAND, f"{index}.{term}".encode())


def entries_of_terms(terms: Iterable[int], first: int = 1) -> tuple[Entry, ...]:
    """A run of entries, written as the paper's figures write it: one term per box."""
    return tuple(entry(index, term) for index, term in enumerate(terms, first))


def configured(index: int, term: int, configuration: Configuration) -> Entry:
    """The entry that gives a cluster this configuration."""
    return Entry(index, term, EntryKind.CONFIGURE, configuration_data(configuration))


def admission(
    index: int, term: int, node_id: int = 2, name: str = "a" * 32, of: Configuration = THREE
) -> Entry:
    """The entry since which a node votes with its directory of that name."""
    member = of.member(node_id)
    assert member is not None
    voter = msgspec.structs.replace(member, admitted_at=index, directory=name)
    return configured(index, term, of.with_member(voter))


class Disk:
    """Hard state and log of one node, plus how much of the log its key space has kept.

    * `last_applied` stands for the lazily committed state environment: it may lag.
    """

    def __init__(
        self,
        hard_state: HardState | None = None,
        log: Iterable[Entry] = (),
        start: LogStart = LogStart(),  # noqa: B008 - frozen
        directory: str = "",
    ) -> None:
        """`directory`: its name, if it is not the first one of a founder."""
        self.hard_state = hard_state or HardState(start.term)
        self.directory = directory
        self.configuration = Configuration()
        """As of `start`; the world gives that of its founders to theirs."""
        self.start = start
        self.log = list(log)
        self.last_applied = start.index
        self.damaged: set[int] = set()
        """Indexes of records that cannot be read; which entries they were is still known."""
        self.writes: list[DurableUpdate] = []
        self.reads = 0

    def recovered(self) -> Recovered:
        ranges: list[TermRange] = []
        for one in self.log:
            if not ranges or ranges[-1].term != one.term:
                ranges.append(TermRange(one.index, one.term))
        damaged = tuple(sorted(self.damaged))
        configurations = tuple(
            one
            for one in self.log
            if one.kind is EntryKind.CONFIGURE and one.index not in self.damaged
        )
        return Recovered(
            self.hard_state,
            tuple(ranges),
            self.last_index,
            damaged,
            configurations,
            self.start,
            self.configuration,
        )

    @property
    def last_index(self) -> int:
        return self.start.index + len(self.log)

    def before(self, index: int) -> int:
        """How many entries there are before that one."""
        return index - self.start.index - 1

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        self.reads += 1
        assert self.start.index < start < stop <= self.last_index + 1, (
            "read of an entry that is not on disk"
        )
        assert not self.damaged & set(range(start, stop)), "read of a damaged record"
        taken: list[Entry] = []
        total = 0
        for one in self.log[self.before(start) : self.before(stop)]:
            total += len(one.data)
            if taken and total > bytes_max:
                break
            taken.append(one)
        return taken

    def entry_bytes(self, data_bytes: int) -> int:
        return data_bytes

    def repair_bytes(self, data_bytes: int) -> int:
        return data_bytes

    def write(self, update: DurableUpdate) -> None:
        kept = self.log
        if update.truncate_from is not None:
            left = self.before(update.truncate_from)
            assert 0 <= left < len(kept), "truncates what is not on disk"
            kept = kept[:left]
            self.damaged = {index for index in self.damaged if index < update.truncate_from}
        if update.start is not None:
            assert update.start.index >= self.start.index, "the log begins earlier again"
            if kept:
                at = kept[self.before(update.start.index)]
                assert (at.index, at.term) == (update.start.index, update.start.term)
                kept = kept[self.before(update.start.index) + 1 :]
            self.start = update.start
            self.damaged = {index for index in self.damaged if index > update.start.index}
        for one in update.repairs:
            assert one.index in self.damaged, "repairs what is whole"
            assert one == kept[self.before(one.index)], "repairs with another entry"
            self.damaged.discard(one.index)
        for position, one in enumerate(update.entries, len(kept)):
            assert self.before(one.index) == position, "a hole or an overlap in the log on disk"
        self.log = [*kept, *update.entries]
        self.configuration = update.configuration or self.configuration
        if update.hard_state is not None:
            assert update.hard_state.current_term >= self.hard_state.current_term
            self.hard_state = update.hard_state
        if update:
            self.writes.append(update)
