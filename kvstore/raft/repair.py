"""Getting back entries that this node's own disk has lost: its questions to the peers.

Law: an entry is asked for by index and term, which name it uniquely (Raft §5.3, log
matching), so that whoever holds it gives the right one, whatever its role, and whether
it is committed or not. Nothing is taken for absent because it cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvstore.raft.events import CannotVouch, Event, Repaired
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import FETCHED_ENTRIES_MAX, FetchEntries, FetchEntriesReply
from kvstore.raft.outbox import Outbox
from kvstore.raft.types import DurableUpdate, Entry, RaftSettings


class Repair:
    """One node's part in it: it asks for what it lost, and gives what others lost."""

    def __init__(
        self,
        log: RaftLog,
        outbox: Outbox,
        peers: Sequence[int],
        settings: RaftSettings,
        events: list[Event],
    ) -> None:
        """`events` is where it says what happened."""
        self._log = log
        self._outbox = outbox
        self._peers = peers
        self._settings = settings
        self._events = events
        self._next_ms = 0.0
        self._has_told = False

    def tick(self, now_ms: float, term: int) -> None:
        """Ask all peers for the first damaged entries, once a heartbeat; say so once."""
        if not self._log.damaged or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + self._settings.heartbeat_interval_ms
        damaged = self._log.damaged
        names = [(index, self._log.term(index)) for index in damaged[:FETCHED_ENTRIES_MAX]]
        for peer in self._peers:
            self._outbox.fetch_entries(peer, term, names)
        if not self._has_told:
            self._has_told = True
            self._events.append(CannotVouch(term, *names[0], len(damaged)))

    def persisted(self, update: DurableUpdate, term: int) -> None:
        """`update` is durable: what was repaired with it counts again."""
        if update.repairs:
            self._events.append(Repaired(term, len(update.repairs), len(self._log.damaged)))

    def take(self, reply: FetchEntriesReply) -> None:
        """Entries came; which of them are those that were lost, the log knows."""
        for entry in reply.entries:
            self._log.repair(entry)

    def give(self, request: FetchEntries, term: int) -> None:
        """Answer with those of the entries that this node holds, as far as a message goes."""
        found: list[Entry] = []
        room = self._settings.append_bytes_max
        for index, entry_term in request.names:
            if not self._holds(index, entry_term):
                continue
            [entry] = self._log.slice(index, index + 1, room)
            room -= len(entry.data)
            if room < 0 and found:
                break
            found.append(entry)
        if found:
            self._outbox.give_entries(request, term, found)

    def _holds(self, index: int, term: int) -> bool:
        log = self._log
        return index >= 1 and log.holds(index, term) and not log.is_damaged(index)
