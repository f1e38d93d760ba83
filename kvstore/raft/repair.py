"""Getting back entries that this node's own disk has lost: its questions to the peers.

Law: an entry is asked for by index and term, which name it uniquely (Raft §5.3, log
matching), so that whoever holds it gives the right one, whatever its role, and whether
it is committed or not. Nothing is taken for absent because it cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from kvstore.raft.configuration import PerPeer
from kvstore.raft.events import CannotVouch, Event, Repaired
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    FETCHED_ENTRIES_MAX,
    FETCHED_RANGES_MAX,
    EntryRange,
    FetchEntries,
    FetchEntriesReply,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.types import DurableUpdate, Entry, RaftSettings

_TELL_INTERVAL_MS = 1_000.0
_NOTHING = (1, 0)


class _Sweep:
    """How far one peer was asked: from the first damaged entry to the last, again and again.

    * `after`: what it was asked for, and gave or lacks, ends here.
    * `due_ms`: when it is asked next. That is at once when it has answered; when the
      answer stays away, or the sweep is over, after a heartbeat.
    * `claim`: the indexes (first, last) for which nobody else is asked meanwhile.
    """

    def __init__(self) -> None:
        self.after = 0
        self.due_ms = -math.inf
        self.gives = False
        """Its last answer in this sweep brought entries: else it claims nothing."""
        self.is_asked = False
        self.claim = _NOTHING


class Repair:
    """One node's part in it: it asks for what it lost, and gives what others lost.

    * One question is out to each peer, and one of each peer's waits for an answer.
    * What came is durable, and so gone from the damage, before anything more is asked for.
    """

    def __init__(
        self,
        node_id: int,
        log: RaftLog,
        outbox: Outbox,
        settings: RaftSettings,
        events: list[Event],
    ) -> None:
        """`events` is where it says what happened."""
        self._log = log
        self._outbox = outbox
        self._settings = settings
        self._events = events
        self._sweeps_by_peer = PerPeer(node_id, log.configuration, lambda _peer: _Sweep())
        self._questions: dict[int, FetchEntries] = {}
        """By who asked, who waits longest first."""
        self._has_told = False
        self._now_ms = self._told_ms = -math.inf
        self._missed_index, self._missed_ms = 0, -math.inf
        """The first entry that the leader lacks as well, and since when that is known."""
        self._untold = 0
        """Entries that were repaired since it last said so."""

    @property
    def _sweeps(self) -> dict[int, _Sweep]:
        return self._sweeps_by_peer.of(self._log.configuration)

    @property
    def has_more(self) -> bool:
        """Whether `write_messages` has something to do now."""
        return bool(self._questions) or (
            self._may_ask and any(sweep.due_ms == -math.inf for sweep in self._sweeps.values())
        )

    @property
    def due_ms(self) -> float:
        """When somebody is to be asked again."""
        if not self._may_ask:
            return math.inf
        return min((sweep.due_ms for sweep in self._sweeps.values()), default=math.inf)

    def write_messages(self, now_ms: float, term: int) -> None:
        """Answer the question that waits longest; ask whoever is due."""
        self._now_ms = now_ms
        if self._questions:
            self._answer(self._questions.pop(next(iter(self._questions))), term)
        if not self._may_ask:
            return
        for peer, sweep in self._sweeps.items():
            if now_ms >= sweep.due_ms:
                self._ask(peer, sweep, term)
        if not self._has_told:
            self._has_told = True
            damaged = self._log.damaged
            first = next(iter(damaged))
            self._events.append(CannotVouch(term, first, self._log.term(first), len(damaged)))

    # --- Asking ---------------------------------------------------------------------------

    @property
    def _may_ask(self) -> bool:
        """Whether entries are missing that are not on their way to the disk, and have room."""
        log = self._log
        return bool(log.damaged) and not log.is_repairing and log.room.takes_repairs

    def _ask(self, peer: int, sweep: _Sweep, term: int) -> None:
        sweep.due_ms = self._now_ms + self._settings.heartbeat_interval_ms
        if sweep.is_asked:
            # No answer came: others must not be kept from what this peer does not give.
            sweep.gives = False
        sweep.claim = _NOTHING
        ranges = self._ranges(sweep.after + 1)
        sweep.is_asked = bool(ranges)
        if not ranges:
            sweep.after, sweep.gives = 0, False
            return
        if sweep.gives:
            sweep.claim = (ranges[0].first, _end_of(ranges, FETCHED_ENTRIES_MAX))
        self._outbox.fetch_entries(peer, term, ranges)

    def _ranges(self, start: int) -> list[EntryRange]:
        """What is missing from `start` on and not claimed, as much as one question holds."""
        log, found = self._log, list[EntryRange]()
        claims = sorted(sweep.claim for sweep in self._sweeps.values())
        for run in log.damaged.runs(start):
            for first, last in _outside(run, claims):
                while first <= last:
                    if len(found) == FETCHED_RANGES_MAX:
                        return found
                    term = log.term(first)
                    found.append(EntryRange(first, min(last, log.end_of_term(term)), term))
                    first = found[-1].last + 1
        return found

    def take(self, reply: FetchEntriesReply, *, is_leader: bool) -> None:
        """Entries came; which of them are those that were lost, the log knows."""
        for entry in reply.entries:
            self._log.repair(entry)
        sweep = self._sweeps.get(reply.sender)  # None for one that is a member no more.
        if sweep is not None and sweep.is_asked and reply.until > sweep.after:
            sweep.is_asked, sweep.gives = False, bool(reply.entries)
            sweep.after, sweep.due_ms, sweep.claim = reply.until, -math.inf, _NOTHING
        if is_leader:
            self._note_lack(reply)

    def _note_lack(self, reply: FetchEntriesReply) -> None:
        """What the leader has not given is lacking there as well: for a while others may have it.

        What it has given, and there was no room for, it has.
        """
        log = self._log
        first = log.damaged.first_from(0)
        if first is None or first > reply.until or log.is_repairing:
            return
        if any(entry.index == first for entry in reply.entries):
            return
        if first != self._missed_index:
            self._missed_index, self._missed_ms = first, self._now_ms
        elif self._now_ms >= self._missed_ms + self._settings.election_timeout_max_ms:
            log.lost_index = first

    def persisted(self, update: DurableUpdate, term: int) -> None:
        """`update` is durable: what was repaired with it counts again."""
        if not update.repairs:
            return
        self._untold += len(update.repairs)
        damaged = self._log.damaged
        if not damaged or self._now_ms >= self._told_ms + _TELL_INTERVAL_MS:
            self._events.append(Repaired(term, self._untold, len(damaged)))
            self._told_ms, self._untold = self._now_ms, 0

    # --- Giving ---------------------------------------------------------------------------

    def give(self, request: FetchEntries) -> None:
        """A question came; it takes the place of an earlier one of the same peer."""
        self._questions[request.sender] = request

    def _answer(self, request: FetchEntries, term: int) -> None:
        found: list[Entry] = []
        bytes_left = self._settings.append_bytes_max
        for entries in self._held(request.ranges):
            for entry in entries:
                bytes_left -= len(entry.data)
                if found and (bytes_left < 0 or len(found) == FETCHED_ENTRIES_MAX):
                    self._outbox.give_entries(request, term, found, until=found[-1].index)
                    return
                found.append(entry)
        self._outbox.give_entries(request, term, found, until=request.ranges[-1].last)

    def _held(self, ranges: Iterable[EntryRange]) -> Iterator[Sequence[Entry]]:
        """What this node holds of them, piece by piece."""
        for one in ranges:
            for start, stop in self._log.sound_runs(one.first, one.last, one.term):
                while start < stop:
                    entries = self._log.slice(
                        start,
                        min(stop, start + FETCHED_ENTRIES_MAX),
                        self._settings.append_bytes_max,
                    )
                    yield entries
                    start = entries[-1].index + 1


def _end_of(ranges: Iterable[EntryRange], count: int) -> int:
    """Index of the `count`th of these entries, or of the last one."""
    last = 0
    for one in ranges:
        last = min(one.last, one.first + count - 1)
        count -= last - one.first + 1
        if not count:
            break
    return last


def _outside(run: tuple[int, int], claims: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of a run that lie in none of these, which ascend."""
    first, last = run
    for claimed_first, claimed_last in claims:
        if first <= claimed_last and claimed_first <= last:
            if first < claimed_first:
                yield first, claimed_first - 1
            first = claimed_last + 1
    if first <= last:
        yield first, last
