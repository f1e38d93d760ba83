"""The replicated log as the core sees it: a durable past and a tail not yet on disk.

Law: an index at or below `durable_index` is on this node's disk exactly as this
log shows it, save for `damaged` ones: of those only (index, term) is known, which
names an entry uniquely (Raft §5.3, log matching). Terms of all indexes are known in
memory (one range per term); recent entries are cached, older ones are read through
`StableLog`.

Updates are handed to the disk in order, and become durable in order, later: whatever
was removed from the log meanwhile does not come to count by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import Configurations
from kvstore.raft.messages import PreVote, RequestVote
from kvstore.raft.repairs import Repairs
from kvstore.raft.room import EntryRoom
from kvstore.raft.safety import require
from kvstore.raft.terms import Terms
from kvstore.raft.types import (
    COMMAND,
    CONFIGURE,
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    LogStart,
    Recovered,
    StableLog,
    TermRange,
)
from kvstore.raft.under_way import UnderWay

_SLICE_ENTRIES_MAX: Final = 8_192
"""A follower far behind must not make each request copy the whole tail."""
_CACHED_ENTRIES_MAX: Final = 32_768  # Each takes some 130 bytes beside its data.
_NOTHING: Final = DurableUpdate()


class _Checked(NamedTuple):
    """A cache in which everything was right, and what was known beside it."""

    entries: list[Entry]
    cached_bytes: int
    names: tuple[object, ...]


_NOT_CHECKED: Final = _Checked([], 0, ())


class RaftLog:
    """Entries start.index + 1..last_index.

    * What is at and before `start` is committed, so every leader has it (Raft §5.4.3), and no
      damage matters there.
    * `durable_index` <= `submitted_index` <= `last_index`: what is on the disk, what was
      handed to it.
    * `applied_index`: what of it has been applied, by the last word of who does.
    * `commit_index` never goes back, and what it covers is never removed but from the front.
    * The cache holds a contiguous run that ends at `last_index`, and every entry
      that is not durable is in it, repairs apart.
    """

    def __init__(self, stable: StableLog, recovered: Recovered, cached_bytes_max: int) -> None:
        self._stable = stable
        self.start = recovered.start
        self.room = EntryRoom(stable)
        self._terms = Terms(recovered.term_ranges)
        self._cache: list[Entry] = []
        self.cached_bytes = 0
        """Entry data in memory."""
        self._cached_bytes_max = cached_bytes_max
        self._truncate_from: int | None = None
        self._new_start: LogStart | None = None
        """What the disk is still to be told."""
        self._new_base: Configuration | None = None
        """So, of the configuration as of the start."""
        self.durable_start = recovered.start
        self.lacks_base = False
        """Whether the data is missing, or no good, on which the log goes on: nothing is applied."""
        self.lost_index = 0
        """The first entry that this disk lost, and that the leader cannot give; 0 for none."""
        self._repairs = Repairs(recovered.damaged)
        self.damaged = self._repairs.damaged
        """Indexes of durable entries that this node cannot vouch for."""
        self.configurations = Configurations(
            recovered.start.index, recovered.configuration, recovered.configurations
        )
        self.configuration = self.configurations.in_force
        """Who asks for it later may find another."""
        self.last_index = self.submitted_index = self.durable_index = recovered.last_index
        self._under_way = UnderWay()
        self.commit_index = self.applied_index = self.start.index
        self._checked = _NOT_CHECKED

    @property
    def needs_snapshot(self) -> int:
        """The least index of a snapshot without which this node cannot go on; 0 if it can."""
        if self.lacks_base:
            return max(self.start.index, self.applied_index, 1)
        return max(self.lost_index, self.applied_index) if self.lost_index in self.damaged else 0

    @property
    def applicable_index(self) -> int:
        """Up to here entries are committed, and can be read and applied here."""
        if self.lacks_base:
            return 0
        last = min(self.commit_index, self.durable_index)
        first = self.damaged.first_from(0)
        return last if first is None else min(last, first - 1)

    @property
    def vouched_index(self) -> int:
        """Last index up to which every entry is here, or new and on its way to the disk."""
        first = self.damaged.first_from(0)
        return self.last_index if first is None else first - 1

    @property
    def is_repairing(self) -> bool:
        """Whether entries that were damaged are on their way to the disk."""
        return bool(self._repairs)

    def repair(self, entry: Entry) -> None:
        """Take back an entry of which only the name was left; any other changes nothing."""
        is_missed = self._repairs.misses(entry.index)
        if is_missed and self.holds(entry.index, entry.term) and self.room.take_repair(entry):
            if entry.kind is CONFIGURE:
                self._configure(entry)
            self._repairs.add(entry)

    @property
    def last_term(self) -> int:
        """Term of the last entry; in an empty log, of what comes before it."""
        return self.start.term if self._terms.last is None else self._terms.last

    @property
    def last_term_start(self) -> int:
        """First index here of the last entry's term; in an empty log, of what comes before it."""
        start = self._terms.last_start
        return self.start.index if start is None else start

    @property
    def term_ranges(self) -> tuple[TermRange, ...]:
        """The log's terms, oldest first."""
        return self._terms.ranges

    def term(self, index: int) -> int:
        """Term at `index`, which is that of an entry, or of what comes before the log."""
        start = self.start
        assert start.index <= index <= self.last_index
        if index == start.index:
            return start.term
        return self._terms.at(index)

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry at `index` has `term` (the AppendEntries check, Raft §5.3).

        Before the log begins whatever a leader has is what was here: it is committed.
        """
        if index < self.start.index:
            return True
        return index <= self.last_index and self.term(index) == term

    def is_ahead_of(self, candidate: PreVote | RequestVote) -> bool:
        """Whether it is more complete than the candidate's (Raft §5.4.1)."""
        theirs = (candidate.last_log_term, candidate.last_log_index)
        return (self.last_term, self.last_index) > theirs

    def first_index_of_term(self, term: int, at: int) -> int:
        """First index of the run of `term` that contains `at`."""
        assert self.term(at) == term
        return self._terms.start_of_run(at)

    def last_index_of_term(self, term: int) -> int | None:
        """Last index whose entry carries `term`, None if there is none."""
        run = self._run_of_term(term)
        return None if run is None else run[1]

    def end_of_term(self, term: int) -> int:
        """Last index whose entry carries `term`, of which there is one."""
        run = self._run_of_term(term)
        assert run is not None
        return run[1]

    def sound_runs(self, first: int, last: int, term: int) -> Iterator[tuple[int, int]]:
        """Where in [first, last] entries of `term` can be read: [start, stop) each."""
        run = self._run_of_term(term)
        if run is None:
            return
        start, end = max(first, run[0]), min(last, run[1])
        for damaged_first, damaged_last in self.damaged.runs(start):
            if damaged_first > end:
                break
            if start < damaged_first:
                yield start, damaged_first
            start = damaged_last + 1
        if start <= end:
            yield start, end + 1

    def _run_of_term(self, term: int) -> tuple[int, int] | None:
        """First and last index of `term`, None if no entry carries it."""
        return self._terms.run(term, self.last_index)

    def commit(self, index: int) -> None:
        """Up to `index` it is decided for ever; what was decided stays so."""
        self.commit_index = max(self.commit_index, index)

    def take(self, entries: Sequence[Entry]) -> tuple[int, int] | None:
        """Append what is new; truncate only where a term really differs (Raft §5.3).

        Entries already held stay: a delayed short request must not erase what a
        later one brought. The indexes (first, last) that were removed, None if none was.
        """
        removed = None
        for position, entry in enumerate(entries):
            if self.holds(entry.index, entry.term):
                self.repair(entry)
                continue
            if entry.index <= self.last_index:
                require(entry.index > self.commit_index, "a committed entry would be removed")
                removed = (entry.index, self.last_index)
                self.truncate(entry.index)
            self.append(entries[position:])
            break
        return removed

    def part_that_fits(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The first of `entries`, as far as they are here already or have room."""
        held = 0
        while held < len(entries) and self.holds(entries[held].index, entries[held].term):
            held += 1
        return entries[: held + self.room.fitting(entries[held:])]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow the last one, and each other."""
        assert not entries or entries[0].index == self.last_index + 1
        last_term = self._terms.last
        for entry in entries:
            if entry.term != last_term or entry.kind is not COMMAND:
                self._note(entry)
                last_term = entry.term
        sizes = [len(entry.data) for entry in entries]
        self.cached_bytes += sum(sizes)
        self.room.take_all(sizes)
        self.last_index += len(entries)
        self._cache += entries

    def add(self, term: int, kind: EntryKind, data: bytes) -> int:
        """Add a new entry; its index."""
        index = self.last_index = self.last_index + 1
        entry = Entry(index, term, kind, data)
        if kind is not COMMAND or term != self._terms.last:
            self._note(entry)
        size = len(data)
        self.cached_bytes += size
        self.room.take(size)
        self._cache.append(entry)
        return index

    def _note(self, entry: Entry) -> None:
        """An entry comes that may open a term, or give the cluster a configuration."""
        if entry.term != self._terms.last:
            # What comes before the log may be of the term in which it begins.
            assert self._terms.last is None or entry.term > self._terms.last
            self._terms.begin(entry.index, entry.term)
        if entry.kind is CONFIGURE:
            self._configure(entry)

    def _configure(self, entry: Entry) -> None:
        self.configurations.add(entry)
        self.configuration = self.configurations.in_force

    def truncate(self, from_index: int) -> None:
        """Remove the entries at and after `from_index`, on disk with the next update."""
        assert self.start.index < from_index <= self.last_index
        self._terms.truncate(from_index)
        while self._cache and self._cache[-1].index >= from_index:
            self.cached_bytes -= len(self._cache.pop().data)
        self._repairs.remove_from(from_index)
        self.configurations.truncate(from_index)
        self.configuration = self.configurations.in_force
        self.last_index = from_index - 1
        if from_index <= self.submitted_index:
            self._truncate_from = from_index
            self.submitted_index = self.last_index
            self.durable_index = min(self.durable_index, self.last_index)
            self._under_way.cut(self.last_index)

    def compact(self, index: int) -> None:
        """Drop what is at and before `index`, on disk with the next update (Raft §7).

        Its effect is durable elsewhere, and nobody will ask for it, this node included. Nothing of
        it is lost: that might be a configuration.
        """
        known = min(self.commit_index, self.durable_index)
        require(self.start.index < index <= known, "what is not committed and durable is dropped")
        require(index <= self.vouched_index, "a log begins after what its disk has lost")
        self._begin_after(LogStart(index, self.term(index)), *self.configurations.held_at(index))

    def install(self, start: LogStart, configuration: Configuration) -> None:
        """The data up to `start` came from elsewhere: the log goes on from there (Raft §7).

        What is behind it stays if it follows: this node may have vouched for it.
        """
        assert not self.has_new, "what is new goes to the disk first"
        require(start.index > self.start.index or self.lacks_base, "a snapshot leads back")
        if start == self.start:
            return
        if start.index > self.last_index or self.term(start.index) != start.term:
            require(self.commit_index <= start.index, "a snapshot is of another log")
            if self.last_index > self.start.index:
                self.truncate(self.start.index + 1)
            self.last_index = start.index
        self.lacks_base = True
        self._begin_after(start, start.index, configuration)

    def _begin_after(self, start: LogStart, since: int, configuration: Configuration) -> None:
        """Drop what is at and before `start`, on disk with the next update."""
        index = start.index
        self.start = self._new_start = start
        if self.configurations.begin_after(index, since, configuration):
            self._new_base = configuration
        self.configuration = self.configurations.in_force
        self._terms.begin_after(index, self.last_index)
        self._repairs.remove_to(index)
        gone = min(len(self._cache), max(0, index + 1 - self._cache_start))
        self.cached_bytes -= sum(len(entry.data) for entry in self._cache[:gone])
        del self._cache[:gone]
        self.submitted_index = max(self.submitted_index, index)
        self.durable_index = max(self.durable_index, index)
        self._under_way.raise_to(index)
        self.commit(index)

    def readable(self, start: int, last: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, last] that are on this disk, and sound; none if the first is not."""
        stop = min(last, self.durable_index) + 1
        if start >= stop:
            return []
        stop = min(stop, self.damaged.first_from(start) or stop)
        return self.slice(start, stop, bytes_max) if start < stop else []

    def slice(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty."""
        assert self.start.index < start < stop <= self.last_index + 1
        stop = min(stop, start + _SLICE_ENTRIES_MAX)
        cache_start = self._cache_start
        if start < cache_start:
            return self._stable.entries(start, min(stop, cache_start), bytes_max)
        entries = self._cache[start - cache_start : stop - cache_start]
        sizes = [len(entry.data) for entry in entries]
        if sum(sizes) <= bytes_max:
            return entries
        fitting = sum(total <= bytes_max for total in accumulate(sizes))
        return entries[: max(1, fitting)]

    def is_in_memory(self, index: int) -> bool:
        """Whether the entry at `index` is read without the disk."""
        return index >= self._cache_start

    def last_term_from(self, index: int) -> Sequence[Entry]:
        """The entries of the last term from `index` on, of those in memory."""
        return self._cached_from(max(index, self.last_term_start))

    def sizes_in_memory(self, start: int) -> list[int]:
        """How much data each entry from `start` on has, of those in memory."""
        return [len(entry.data) for entry in self._cached_from(start)]

    def _cached_from(self, index: int) -> list[Entry]:
        return self._cache[max(0, index - self._cache_start) :]

    @property
    def has_new(self) -> bool:
        """Whether `submit` would hand something over."""
        is_submitted = self.last_index == self.submitted_index
        return not is_submitted or bool(
            self._truncate_from or self._repairs.has_new or self._new_start
        )

    @property
    def written_since_ms(self) -> float:
        """Since when the oldest update waits that is not durable; infinity if none does."""
        return self._under_way.since_ms

    @property
    def is_writing(self) -> bool:
        """Whether something was handed to the disk that is not durable."""
        return bool(self._under_way)

    @property
    def submitted_number(self) -> int:
        """Of the last update that was handed to the disk."""
        return self._under_way.last_number

    def submit(self, hard_state: HardState | None, now_ms: float) -> DurableUpdate:
        """What was not handed to the disk yet, and a new hard state if there is one."""
        if not (self.has_new or hard_state):
            return _NOTHING
        count = self.last_index - self.submitted_index
        update = DurableUpdate(
            hard_state=hard_state,
            truncate_from=self._truncate_from,
            entries=self._cache[len(self._cache) - count :],
            repairs=self._repairs.take_new(),
            start=self._new_start,
            configuration=self._new_base,
            number=self.submitted_number + 1,
        )
        self._under_way.hand_over(update, self.last_index, self.room.submit(), now_ms)
        self._truncate_from = self._new_start = self._new_base = None
        self.submitted_index = self.last_index
        return update

    def mark_durable(self, number: int) -> list[DurableUpdate]:
        """The updates up to this one are on the disk; those of which it was not known."""
        require(number <= self.submitted_number, "what was never written is durable")
        durable: list[DurableUpdate] = []
        while one := self._under_way.take(number):
            durable.append(one.update)
            self.room.durable(one.taken_bytes)
            self.durable_index = one.last_index
            self.durable_start = one.update.start or self.durable_start
            self._repairs.durable(one.update.repairs)
        return durable

    def shrink_cache(self, keep_from: int) -> None:
        """Over a limit, drop the older half of the cache, but keep what is not done."""
        if self.cached_bytes <= self._cached_bytes_max and len(self._cache) <= _CACHED_ENTRIES_MAX:
            return
        droppable = min(keep_from, self.durable_index + 1) - self._cache_start
        dropped = max(0, min(droppable, len(self._cache) // 2))
        self.cached_bytes -= sum(len(entry.data) for entry in self._cache[:dropped])
        del self._cache[:dropped]

    @property
    def _cache_start(self) -> int:
        return self.last_index + 1 - len(self._cache)

    def _check_cache(self) -> None:
        """That what is counted of the cache is what there is.

        Entries that were found right are not looked at again, while they stand where they stood.
        """
        cache = self._cache
        names = (*self._terms.names, *self.configurations.held)
        before = self._checked
        if names != before.names:
            self._terms.check()
            before = _NOT_CHECKED
        elif cache[: len(before.entries)] != before.entries:
            before = _NOT_CHECKED
        held = len(before.entries)
        fresh = cache[held:]
        require(
            self.cached_bytes == before.cached_bytes + sum([len(entry.data) for entry in fresh]),
            "the cache's bytes are not those of its entries",
        )
        require(
            not cache or cache[0].index == self._cache_start, "the cache is not the end of the log"
        )
        if fresh or before is _NOT_CHECKED:
            indexes = range(self._cache_start + held, self.last_index + 1)
            require(
                [(entry.index, entry.term) for entry in fresh]
                == [(index, self.term(index)) for index in indexes],
                "the cache is not the end of the log",
            )
            self.configurations.check(self.last_index, fresh)
            self._checked = _Checked(cache[:], self.cached_bytes, names)

    def check(self) -> None:
        """That what is counted is what there is."""
        cache = self._cache
        self._check_cache()
        self._terms.check_ends(self.start.index, self.last_index)
        require(
            self._cache_start <= self.durable_index + 1, "an entry is neither cached nor durable"
        )
        if waits := self.last_index - self.durable_index:
            taken = [self._stable.entry_bytes(len(entry.data)) for entry in cache[-waits:]]
            require(self.room.taken_bytes >= sum(taken), "an entry takes room that is not counted")
        require(
            self.start.term <= self.last_term and self.start.index <= self.commit_index,
            "the log begins after what is not committed",
        )
        require(
            self._truncate_from in (None, self.submitted_index + 1) or self._new_start is not None,
            "a truncation that the disk lacks is forgotten",
        )
        ends = self._under_way.ends or [self.durable_index]
        require(
            self.durable_index <= min(ends) and max(ends) == ends[-1] == self.submitted_index,
            "what is being written is not the end of what was handed to the disk",
        )
        self._repairs.check(self.start.index, self.durable_index)
