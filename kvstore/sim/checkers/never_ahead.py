"""The cluster's time never runs ahead of the world's.

Law: between two entries that carry the time, as the log's clock shows it after each, lies no
more than passed in the world between their proposals, by the fastest clock that there is. So
what ends by the time ends early on nobody, whoever led meanwhile.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from kvstore import api
from kvstore.raft.types import Entry, EntryKind, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST

_ALL: Final = 1 << 40
_ROUNDING_MS: Final = 1.001
"""Stamps are whole milliseconds."""
_decode = msgspec.msgpack.Decoder(api.Logged).decode


class NeverAhead(Checker):
    """Remembers when entries were proposed, and the least lead that the log's clock has had.

    * `_lead_ms`: of the log's clock over the fastest one of the world. It may only shrink.
    """

    theorem = "the cluster's time never runs ahead"
    watches = Part.LOG | Part.APPLIED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._proposed_ms: dict[tuple[int, int], float] = {}
        """(term, index) -> the world's time, of entries that are not judged yet."""
        self._noted: dict[int, int] = {}
        """Term -> the last index of it of which that is known."""
        self._judged = start.index
        self._clock_ms = 0
        self._lead_ms = math.inf

    def changed(self, host: Watched) -> None:
        if host.is_leading:
            self._note(host)
        log, last_applied = host.running.raft.log, host.running.machine.last_applied
        if log.start.index > self._judged:
            self._judged = log.start.index  # Nobody lived to be seen with these.
        while self._judged < last_applied:
            for entry in log.slice(self._judged + 1, last_applied + 1, _ALL):
                self._judge(host, entry)
                self._judged = entry.index

    def _note(self, host: Watched) -> None:
        """When its leader proposed what is new in its term."""
        log, term = host.running.raft.log, host.running.raft.current_term
        if log.last_term != term:
            return
        first = max(self._noted.get(term, 0) + 1, log.last_term_start)
        for index in range(first, log.last_index + 1):
            self._proposed_ms[term, index] = host.now_ms
        self._noted[term] = log.last_index

    def _judge(self, host: Watched, entry: Entry) -> None:
        proposed_ms = self._proposed_ms.pop((entry.term, entry.index), None)
        if entry.kind is not EntryKind.COMMAND or proposed_ms is None:
            return
        logged = _decode(entry.data)
        if not isinstance(logged, api.Stamped):
            return
        self._clock_ms = max(self._clock_ms, logged.time_ms)
        lead_ms = self._clock_ms - proposed_ms * (1.0 + host.drift)
        if lead_ms > self._lead_ms + _ROUNDING_MS:
            self.fail(
                f"entry {entry.index} of term {entry.term} carries the time {logged.time_ms} ms:"
                f" {lead_ms - self._lead_ms:.0f} ms more than have passed"
            )
        self._lead_ms = min(self._lead_ms, lead_ms)
