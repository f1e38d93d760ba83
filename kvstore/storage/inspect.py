"""What a data directory holds, as values, whether its node is running, stopped or dead.

Law: read-only, and every checksum is checked. What is damaged becomes a finding
that names the directory and the record, and the reading goes on behind it.

This module must not know how a report is shown, nor what commands mean.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kvstore.errors import DamagedError, DirectoryRefusedError, StorageError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import configuration_of
from kvstore.raft.types import INDEX_MAX, Entry, EntryKind, HardState, LogStart, TermRange
from kvstore.storage import filesystem, peers_file, records
from kvstore.storage.base import Divergence, Identity
from kvstore.storage.directory import LOCK, PEERS, RAFT, STATE, UNFINISHED
from kvstore.storage.lmdb_reader import pairs_at_leisure, snapshot
from kvstore.storage.lmdb_successor import SUCCESSOR
from kvstore.storage.recovered_log import RECOVERED, in_force
from kvstore.storage.tables import TABLES

_FINDINGS_MAX: Final = 100
"""Per directory; a log that is damaged all over needs no longer list."""

_T = TypeVar("_T")


class TermSpan(msgspec.Struct, frozen=True):
    """The entries of one term: indexes [first_index, last_index].

    `leader` is who opened the term, None if its first entry does not say.
    """

    term: int
    first_index: int
    last_index: int
    leader: int | None


class Report(msgspec.Struct, frozen=True):
    """One directory. What could not be read is None or empty, and a finding says why.

    * `start`: after what the log begins. All up to there is committed, and no damage.
    * `checksums`: the crc32c of each entry, from the first on; it covers index, term, kind
      and data.
    * `unread`: indexes behind `start`, up to `last_index`, whose entry is damaged or missing.
    """

    directory: Path
    server_pid: int | None
    """The process that holds the directory, None if there is none that can be seen."""
    identity: Identity | None
    hard_state: HardState | None
    configurations: tuple[tuple[int, Configuration], ...]
    """Those that can be read, each with the index from which on it is in force."""
    applied: Applied | None
    successor: Applied | None
    """Of the state that a snapshot becomes beside the one in use: zeros until that is whole."""
    counts: tuple[int, ...]
    """How many records each table of the state has."""
    start: LogStart
    terms: tuple[TermSpan, ...]
    checksums: array[int]
    unread: frozenset[int]
    findings: tuple[str, ...]

    @property
    def name(self) -> str:
        """How findings call the directory."""
        return str(self.directory)

    @property
    def first_index(self) -> int:
        """Index of the first entry, if there is one."""
        return self.start.index + 1

    @property
    def last_index(self) -> int:
        """Index of the last entry; in an empty log, of what comes before it."""
        return self.start.index + len(self.checksums)

    def configuration_at(self, index: int) -> Configuration:
        """The one in force when the log ended at `index`; empty if none can be read."""
        held = [one for first, one in self.configurations if first <= index]
        return held[-1] if held else Configuration()

    def checksums_of(self, first: int, last: int) -> array[int]:
        """Of the entries [first, last], which are all of this log."""
        return self.checksums[first - self.first_index : last - self.start.index]

    def term_at(self, index: int) -> int | None:
        """Term of the entry at `index`, also that of `start`; None where it cannot be told."""
        if index == self.start.index:
            return self.start.term
        for span in self.terms:
            if span.first_index <= index <= span.last_index:
                return span.term
        return None


class DamagedEntry(msgspec.Struct, frozen=True):
    """Stands in a listing for an entry that cannot be read."""

    message: str


def inspect_directory(directory: Path) -> Report:
    """Read and check one directory. Raises `DirectoryRefusedError` if it is none of ours."""
    return inspect_directories([directory])[0]


def inspect_directories(directories: Sequence[Path]) -> list[Report]:
    """Read and check several directories, so that their reports can be compared.

    Of all directories the applied index is read first, and the logs afterwards:
    what was applied anywhere must then be found in a majority of the logs, even
    if the servers went on meanwhile.
    """
    for directory in directories:
        _check_is_ours(directory)
    _check_distinct(directories)
    readings = [_Reading(directory) for directory in directories]
    for reading in readings:
        reading.read_state()
    for reading in readings:
        reading.read_raft()
        reading.read_peers()
    return [reading.report() for reading in readings]


def read_entries(directory: Path) -> Iterator[Entry | DamagedEntry]:
    """Every entry of a directory's log, in order, without holding up a running server."""
    damage: list[str] = []
    try:
        raft = in_force(directory, directory / RAFT)
        with snapshot(raft) as pages:
            first = _first_key(_extent_of(pages.main_values()))
        for key, value in pairs_at_leisure(raft, records.LOG, first, damage.append):
            yield from map(DamagedEntry, damage)
            damage.clear()
            try:
                yield records.decode_entry(key, value)
            except (DamagedError, DirectoryRefusedError) as error:
                yield DamagedEntry(str(error))
    except DamagedError as error:
        damage.append(str(error))
    yield from map(DamagedEntry, damage)


def _check_is_ours(directory: Path) -> None:
    try:
        is_there = directory.is_dir()
        has_parts = any(
            (directory / part).exists() for part in (RAFT, STATE, UNFINISHED, RECOVERED)
        )
    except OSError as error:
        raise DirectoryRefusedError(f"{directory}: {error.strerror}") from None
    if not is_there:
        raise DirectoryRefusedError(f"{directory}: no such directory")
    if not has_parts:
        raise DirectoryRefusedError(
            f"{directory}: not a data directory of kvstore (there is no {RAFT}/ in it)"
        )


def _check_distinct(directories: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for directory in directories:
        first = seen.setdefault(directory.resolve(), directory)
        if first is not directory:
            raise DirectoryRefusedError(f"{directory}: given twice (as {first} before)")


class _Reading:
    """Collects a report, part by part."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._findings: list[str] = []
        self._findings_left_out = 0
        self._server_pid = filesystem.lock_holder(directory / LOCK)
        self._identity: Identity | None = None
        self._state_identity: Identity | None = None
        self._hard_state: HardState | None = None
        self._configurations: list[tuple[int, Configuration]] = []
        self._applied: Applied | None = None
        self._successor: Applied | None = None
        self._counts = [0] * len(TABLES)
        self._start = LogStart()
        self._spans: list[TermSpan] = []
        self._checksums: array[int] = array("I")
        self._unread: set[int] = set()

    def report(self) -> Report:
        """What was read, after the checks across its parts."""
        self._check_parts()
        if self._findings_left_out:
            self._findings.append(f"{self._directory}: and {self._findings_left_out} more")
        return Report(
            self._directory,
            self._server_pid,
            self._identity,
            self._hard_state,
            tuple(self._configurations),
            self._applied,
            self._successor,
            tuple(self._counts),
            self._start,
            tuple(self._spans),
            self._checksums,
            frozenset(self._unread),
            tuple(self._findings),
        )

    def read_state(self) -> None:
        """The applied record, and the checksum of every record."""
        if self._is_unfinished:
            return
        self._read_successor()
        try:
            with snapshot(self._directory / STATE) as pages:
                named = pages.main_values()
                self._state_identity = self._named(STATE, named, records.IDENTITY, Identity)
                self._applied = self._named(STATE, named, records.APPLIED, Applied)
                if records.DIVERGENCE in named:
                    self._check_divergence(named)
                for place, row in enumerate(TABLES):
                    for key, value in pages.pairs(row.database, b"", self._finder(STATE)):
                        self._counts[place] += 1
                        self._check_value(key, value)
        except DamagedError as error:
            self._find(str(error), named=True)

    def _read_successor(self) -> None:
        """It may go while it is looked at, and is worth nothing before it is whole."""
        environment = self._directory / SUCCESSOR
        if environment.exists():
            self._successor = Applied()
            with suppress(StorageError), snapshot(environment) as pages:
                value = pages.main_values().get(records.APPLIED)
                self._successor = records.decode_named(records.APPLIED, value, Applied)

    def read_raft(self) -> None:
        """Identity, hard state, and every entry of the log."""
        if self._is_unfinished:
            self._find("its creation was interrupted; no server has run on it yet")
            return
        try:
            with snapshot(self._raft) as pages:
                named = pages.main_values()
                self._identity = self._named(RAFT, named, records.IDENTITY, Identity)
                self._hard_state = self._named(RAFT, named, records.HARD_STATE, HardState)
                extent = self._named(RAFT, named, records.EXTENT, records.Extent)
                base = self._named(RAFT, named, records.CONFIGURATION, Configuration)
                terms = pages.pairs(records.TERMS, b"", self._finder(RAFT))
                ranges = [*self._term_ranges(terms)]
                pairs = pages.pairs(records.LOG, _first_key(extent), self._finder(RAFT))
                head = [*islice(pairs, 1)]
                self._start = _start_of_log(extent, ranges, [key for key, _ in head])
                if base is not None:
                    self._configurations.append((self._start.index, base))
                for key, value in chain(head, pairs):
                    self._check_entry(key, value)
                if extent is not None:
                    self._check_extent(extent, ranges)
                self._check_starts(dict(pages.pairs(records.LINEAGE, b"", self._finder(RAFT))))
        except DamagedError as error:
            self._find(str(error), named=True)

    def read_peers(self) -> None:
        """What is known of peers, in both of its copies."""
        if self._is_unfinished:
            return
        path = self._raft / PEERS
        try:
            found = peers_file.read(path)
        except DamagedError as error:
            self._find(str(error), named=True)
            return
        if found.damage is not None:
            self._find(f"{path}: {found.damage}; its other copy is whole", named=True)
        if self._identity and self._identity.incarnation != found.peers.incarnation:
            self._find(f"{path}: was made for another directory than the log beside it", named=True)

    @property
    def _raft(self) -> Path:
        return in_force(self._directory, self._directory / RAFT)

    @property
    def _is_unfinished(self) -> bool:
        return (self._directory / UNFINISHED).exists() and not self._raft.exists()

    def _check_value(self, key: bytes, value: bytes) -> None:
        try:
            records.decode_value(key, value)
        except DamagedError as error:
            self._find(f"{STATE}/: {error}")

    def _check_starts(self, lineage: Mapping[bytes, bytes]) -> None:
        try:
            records.decode_starts(lineage.get(records.STARTS))
        except DamagedError as error:
            self._find(f"{RAFT}/: {error}")

    def _check_entry(self, key: bytes, value: bytes) -> None:
        try:
            entry = records.decode_entry(key, value)
        except (DamagedError, DirectoryRefusedError) as error:
            self._find(str(error))
        else:
            self._add(entry, records.entry_checksum(value))

    def _term_ranges(self, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[TermRange]:
        for key, value in pairs:
            try:
                yield records.decode_term_range(key, value)
            except DamagedError as error:
                self._find(str(error))

    def _check_extent(self, extent: records.Extent, ranges: Sequence[TermRange]) -> None:
        """The log must end, and its terms begin, where it is on record."""
        start, last_index = extent.start, self._last_index
        if not start.can_be:
            self._find(f"the log begins after entry {start.index} of term {start.term}")
        if extent.last_index > last_index:
            self._add_gap(last_index + 1, extent.last_index + 1)
        elif extent.last_index < last_index:
            self._find(f"the log ends at {last_index}, on record is {extent.last_index}")
        if len(ranges) != extent.terms:
            self._find(f"{len(ranges)} terms can be read, {extent.terms} are on record")
        firsts = {one.term: one.first_index for one in ranges}
        for span in self._spans:
            first = firsts.get(span.term, span.first_index)
            if first != span.first_index and not self._unread & {first, span.first_index - 1}:
                self._find(f"term {span.term} begins at {span.first_index}, on record is {first}")

    @property
    def _last_index(self) -> int:
        """Of what was read so far."""
        return self._start.index + len(self._checksums)

    def _add(self, entry: Entry, checksum: int) -> None:
        expected = self._last_index + 1
        if entry.index < expected:
            self._find(f"log record {entry.index} lies behind record {expected - 1}")
            return
        if entry.index > expected:
            self._add_gap(expected, entry.index)
        self._checksums.append(checksum)
        if entry.kind is EntryKind.CONFIGURE:
            self._configure(entry)
        leader = self._leader_named_by(entry)
        last = self._spans[-1] if self._spans else None
        if last is None or entry.term != last.term:
            self._check_term_start(entry, last, leader)
            self._spans.append(TermSpan(entry.term, entry.index, entry.index, leader))
            return
        if leader is not None and leader != last.leader:
            self._find(f"two leaders in term {entry.term}: node {last.leader} and node {leader}")
        self._spans[-1] = TermSpan(last.term, last.first_index, entry.index, last.leader)

    def _configure(self, entry: Entry) -> None:
        try:
            self._configurations.append((entry.index, configuration_of(entry)))
        except ValueError as error:
            self._find(f"log record {error}")

    def _add_gap(self, first: int, stop: int) -> None:
        which = f"record {first} is" if stop == first + 1 else f"records {first} to {stop - 1} are"
        self._find(f"log {which} damaged or missing")
        self._unread.update(range(first, stop))
        self._checksums.extend([0] * (stop - first))

    def _leader_named_by(self, entry: Entry) -> int | None:
        if entry.kind is not EntryKind.NOOP:
            return None
        if not entry.data.isdigit() or len(entry.data) > 20:
            self._find(f"log record {entry.index}: names no leader: {entry.data[:20]!r}")
            return None
        return int(entry.data)

    def _check_term_start(self, entry: Entry, last: TermSpan | None, leader: int | None) -> None:
        if entry.term < (last.term if last else max(self._start.term, 1)):
            self._find(f"log record {entry.index}: its term goes back to {entry.term}")
        if leader is None and not self._may_open_before(entry):
            self._find(f"term {entry.term} begins at {entry.index} without naming its leader")

    def _may_open_before(self, entry: Entry) -> bool:
        """Whether what opened its term may be in front of it: not readable, or not in the log."""
        if entry.index == self._start.index + 1:
            return entry.term == self._start.term
        return entry.index - 1 in self._unread

    def _check_parts(self) -> None:
        if self._applied:
            self._check_applied(self._applied.last_applied)
        if self._identity and self._identity.format_version != records.FORMAT_VERSION:
            self._find(f"has format version {self._identity.format_version}")
        fits = self._state_identity in (None, self._identity) or self._is_to_change
        if self._identity and not fits:
            self._find(f"{RAFT}/ and {STATE}/ were made for different nodes or at different times")
        last_term = self._spans[-1].term if self._spans else self._start.term
        if self._hard_state and last_term > self._hard_state.current_term:
            self._find(
                f"the log ends in term {last_term},"
                f" but the hard state says term {self._hard_state.current_term}"
            )

    def _check_applied(self, last_applied: int) -> None:
        """The log must reach from what was applied on; a server that runs has seen to it."""
        if last_applied > self._last_index:
            self._find(f"entry {last_applied} was applied, but the log ends at {self._last_index}")
        elif last_applied < self._start.index and not (self._server_pid or self._is_to_change):
            self._find(
                f"the log begins after entry {self._start.index}, but only up to {last_applied}"
                " was applied: what is between is not here"
            )

    @property
    def _is_to_change(self) -> bool:
        """Whether the next start puts a whole successor in the place of what was applied."""
        return self._successor is not None and self._successor.last_applied == self._start.index

    def _check_divergence(self, named: Mapping[bytes, bytes]) -> None:
        known = self._named(STATE, named, records.DIVERGENCE, Divergence)
        if known is not None:
            self._find(
                f"{STATE}/ as of entry {known.index} differs from that of a majority: its node"
                " answers nothing, and waits for a snapshot of its leader's"
            )

    def _named(
        self, part: str, named: Mapping[bytes, bytes], name: bytes, kind: type[_T]
    ) -> _T | None:
        try:
            return records.decode_named(name, named.get(name), kind)
        except DamagedError as error:
            self._find(f"{part}/: {error}")
            return None

    def _finder(self, part: str) -> Callable[[str], None]:
        return lambda message: self._find(f"{part}/: {message}")

    def _find(self, finding: str, *, named: bool = False) -> None:
        if len(self._findings) < _FINDINGS_MAX:
            self._findings.append(finding if named else f"{self._directory}: {finding}")
        else:
            self._findings_left_out += 1


def _extent_of(named: Mapping[bytes, bytes]) -> records.Extent | None:
    """None if it cannot be read: who checks the directory will find that."""
    with suppress(DamagedError):
        return records.decode_named(records.EXTENT, named.get(records.EXTENT), records.Extent)
    return None


def _first_key(extent: records.Extent | None) -> bytes:
    """Of the log: what lies before is no part of it, and on its way out."""
    if extent is None or not 0 <= extent.start.index < INDEX_MAX:
        return b""
    return records.log_key(extent.start.index + 1)


def _start_of_log(
    extent: records.Extent | None, ranges: Sequence[TermRange], first_key: Sequence[bytes]
) -> LogStart:
    """After what the log begins; where that cannot be read, it is what is before all that can."""
    if extent is not None:
        return extent.start
    firsts = [one.first_index for one in ranges]
    with suppress(DamagedError):
        firsts += map(records.log_index, first_key)
    return LogStart(min(firsts, default=1) - 1)
