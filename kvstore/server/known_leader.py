"""Who is known to lead, since when, and what ends with the one before.

Law: a read waits by the word of one leader of one term; once another is known, or none, that
word is worth nothing, and the read leaves before anything else is done for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvstore.raft.core import Raft
from kvstore.server.ticket import Answer
from kvstore.server.waiting.kind import Here
from kvstore.server.waiting.reads import WaitingReads


class KnownLeader:
    """As one node took note of it.

    * `_leader`: (term, leader) by whose word the reads wait.
    """

    def __init__(self, raft: Raft, reads: WaitingReads) -> None:
        self._raft = raft
        self._reads = reads
        self._leader: tuple[int, int | None] = (0, None)
        self._since_ms = 0.0

    def refuse_reads_of_others(self, here: Here) -> Sequence[Answer]:
        """Take note of who leads; reads that wait by another's word will not be answered by it."""
        leader = self._raft.known_leader
        if leader == self._leader:
            return ()
        self._leader, self._since_ms = leader, here.now_ms
        return self._reads.refuse_all(here.redirect()) if self._reads.waiting else ()

    def age_ms(self, now_ms: float) -> float | None:
        """For how long it is known; None if there is none."""
        leader = self._raft.known_leader
        if leader[1] is None:
            return None
        # Of one that became known in this turn, nobody has taken note yet.
        return now_ms - self._since_ms if leader == self._leader else 0.0
