"""A leader that no majority answers stops being one (thesis §6.2), within bounded time.

Law: whoever sends an AppendEntries was answered by a majority, itself included, not
longer ago than the longest election timeout, by however slow a clock, and the longest
time that an answer may be under way or wait in a socket.
"""

from __future__ import annotations

from typing import Final

from kvstore.raft.messages import AppendEntries, AppendEntriesReply, Message
from kvstore.raft.quorum import reached_by_majority
from kvstore.sim.checkers.checker import Checker, Watched

_LONGEST_MS: Final = 1_250.0 + 1_500.0 + 1_250.0
"""The timeout by a clock that runs 20 per cent slow, a straggler, and a pause or stall of
less than that timeout."""


class KeptMajority(Checker):
    """Remembers when each node last answered each leader, and when that one began to lead."""

    theorem = "a leader keeps a majority, or stops leading"

    def __init__(self, members: tuple[int, ...]) -> None:
        super().__init__(members)
        self._answered_ms: dict[tuple[int, int], dict[int, float]] = {}
        """(leader, term) -> when each of the others answered last; at first, when it began."""

    def speaks(self, host: Watched, message: Message) -> None:
        if isinstance(message, AppendEntriesReply):
            answered = self._answered_ms.get((message.recipient, message.term))
            if answered is not None:
                answered[host.id] = host.now_ms
        elif isinstance(message, AppendEntries):
            self._check(host, message.term)

    def _check(self, leader: Watched, term: int) -> None:
        now_ms = leader.now_ms
        others = (member for member in self.members if member != leader.id)
        answered = self._answered_ms.setdefault((leader.id, term), dict.fromkeys(others, now_ms))
        silent_ms = now_ms - reached_by_majority([now_ms, *answered.values()])
        self.require(
            silent_ms <= _LONGEST_MS,
            f"node {leader.id} leads term {term}, and no majority has answered it for"
            f" {silent_ms:.0f} ms",
        )
