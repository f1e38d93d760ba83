"""If two logs hold an entry with the same index and term, they agree up to there (Figure 3).

Law: an index and a term name one entry and one term before it. That each name has
one meaning on all disks is log matching, by induction over the index.
"""

from __future__ import annotations

from kvstore.raft.types import DurableUpdate, LogStart
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.log_start import FIRST


class LogMatching(Checker):
    """Remembers what stood under each (index, term) on any disk."""

    theorem = "log matching"

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._known: dict[tuple[int, int], tuple[bytes, int]] = {}
        """(index, term) -> (data, term of the entry before)."""

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        terms = host.disk.log.terms
        for entry in update.entries:
            is_first = entry.index == terms.start + 1
            before = host.disk.log.start.term if is_first else terms[entry.index - 1]
            known = self._known.setdefault((entry.index, entry.term), (entry.data, before))
            if known != (entry.data, before):
                self.fail(
                    f"entry {entry.index} of term {entry.term} is not the same on every disk;"
                    f" node {host.id} holds another one, or after another one"
                )
