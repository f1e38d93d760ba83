"""Reads that need no log entry (ReadIndex): when may a node answer, and as of which index.

Law: a leader answers a read as of its commit index when the read arrived, at least
as of its own no-op, and not before that no-op is committed (Raft §8: until then it
does not know what is), nor before a majority has followed it after the read arrived
(Raft §8, thesis §6.4: until then another leader may have written). A follower that
asked it for an index may answer as of that one.
"""

from __future__ import annotations

from collections import defaultdict, deque

import msgspec

from kvstore.raft.configuration import Configuration
from kvstore.raft.safety import require


class ReadReady(msgspec.Struct, frozen=True, gc=False):
    """The read that node `reader` was asked for may be answered once `index` is applied there."""

    reader: int
    read_id: int
    index: int


class PendingReads:
    """Reads of one leadership that wait for a majority, in the order they came.

    * Rounds are numbered from 1. A read waits for the first round that is opened after it
      arrived, so whoever echoes that round, or a newer one, followed the leader since.
    * Each node counts with the newest round that it echoed, the leader with the newest: an
      echo that is late or repeated changes nothing.
    * They end with the leadership, which does not outlast its majority.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.newest_round = 0
        """What every AppendEntries carries; 0 until there was a read."""
        self._echoed = defaultdict[int, int](int)
        self._waiting: deque[tuple[int, ReadReady]] = deque()
        """(round, read); rounds do not go back."""

    def add(self, read: ReadReady) -> None:
        """A read has arrived, and waits for the next round."""
        self._waiting.append((self.newest_round + 1, read))

    def open_round(self) -> bool:
        """Open one round for all reads that came since the last one; False if none came.

        To be called right before messages are written, so that each of them carries it.
        """
        if not self._waiting or self._waiting[-1][0] <= self.newest_round:
            return False
        self.newest_round += 1
        self._echoed[self._leader] = self.newest_round
        return True

    def confirmed(self, peer: int, read_round: int) -> None:
        """`peer` has echoed a round; one that was never opened confirms nothing."""
        if read_round <= self.newest_round:
            self._echoed[peer] = max(self._echoed[peer], read_round)

    def release(self, configuration: Configuration) -> list[ReadReady]:
        """The reads whose round a majority has reached, each once."""
        confirmed = configuration.reached_by_majority(self._echoed)
        ready: list[ReadReady] = []
        while self._waiting and self._waiting[0][0] <= confirmed:
            ready.append(self._waiting.popleft()[1])
        return ready

    def __len__(self) -> int:
        return len(self._waiting)

    def check(self) -> None:
        """That each read waits for a round that was opened, or for the next one."""
        rounds = [number for number, _ in self._waiting]
        require(rounds == sorted(rounds), "reads wait in another order than they came")
        require(
            all(1 <= number <= self.newest_round + 1 for number in rounds),
            "a read waits for a round that will not come next",
        )
        require(
            all(0 <= number <= self.newest_round for number in self._echoed.values()),
            "a round was echoed that was not opened",
        )
