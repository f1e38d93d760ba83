"""The five properties of Raft's Figure 3, and that of reads (§8), watched over all nodes of a
world at once.

Law: an observer; it never touches a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvstore.raft.core import Raft
from kvstore.raft.reads import ReadReady
from kvstore.raft.types import DurableUpdate, Entry, LogStart, Role


class Safety:
    """What has been seen so far.

    * `leaders`: who led each term (election safety).
    * `history`: per (index, term) the entry and the term before it. That each pair
      has one value in all logs is log matching, by induction over the index.
    * `committed`: per index the term of its entry and the term in which that was
      first known to be committed.
    * `applied_entries`: what any node has applied; a client may have been told of it.
    """

    def __init__(self, start: LogStart) -> None:
        self.leaders: dict[int, int] = {}
        self.history: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.committed: dict[int, tuple[int, int]] = {}
        self.applied_entries: dict[int, Entry] = {}
        self.reads_answered = 0
        self._commit_index_seen = start.index
        self._asked: dict[tuple[int, int], int] = {}
        """Per (node, read) the last index that anybody had applied when it arrived."""

    def observe(self, raft: Raft) -> None:
        """Look at one node after a step."""
        if raft.role is Role.LEADER and self.leaders.get(raft.current_term) is None:
            self._became_leader(raft)
        if raft.role is Role.LEADER:
            leader = self.leaders[raft.current_term]
            assert leader == raft.id, f"election safety: {leader} and {raft.id} lead one term"
        first = max(self._commit_index_seen + 1, raft.log.start.index)
        for index in range(first, raft.commit_index + 1):
            self.committed[index] = (raft.log.term(index), raft.current_term)
        self._commit_index_seen = max(self._commit_index_seen, raft.commit_index)
        if raft.commit_index in self.committed:
            found = raft.log.term(raft.commit_index)
            expected, _ = self.committed[raft.commit_index]
            assert found == expected, "state machine safety: nodes commit different entries"

    def _became_leader(self, raft: Raft) -> None:
        self.leaders[raft.current_term] = raft.id
        for index, (term, committed_in) in self.committed.items():
            if committed_in < raft.current_term:
                assert raft.log.holds(index, term), f"leader completeness: {raft.id} lacks {index}"

    def stored(self, log: Sequence[Entry], update: DurableUpdate, start: LogStart) -> None:
        """These entries are now on a disk that holds `log`, which begins after `start`."""
        for one in update.entries:
            position = one.index - start.index - 1
            before = log[position - 1].term if position else start.term
            known = self.history.setdefault((one.index, one.term), (one, before))
            assert known == (one, before), f"log matching: two entries {one.index}.{one.term}"

    def applied(self, entries: Sequence[Entry]) -> None:
        """A node applies these."""
        for one in entries:
            known = self.applied_entries.setdefault(one.index, one)
            assert known == one, f"state machine safety: nodes apply different entries {one.index}"

    def asked(self, node_id: int, read_ids: Iterable[int]) -> None:
        """These reads are about to arrive at a node."""
        applied = max(self.applied_entries, default=0)
        self._asked |= {(node_id, read_id): applied for read_id in read_ids}

    def answered(self, node_id: int, ready: Iterable[ReadReady]) -> None:
        """A node may answer these."""
        for one in ready:
            applied = self._asked.get((node_id, one.read_id), 0)
            assert one.index >= applied, f"linearizable reads: {one.read_id} misses {applied}"
            self.reads_answered += 1
