"""A leader that no majority answers stops being one (thesis §6.2), within bounded time.

Law: whoever sends an AppendEntries has heard a majority of the voters by its log, itself
included, within the longest election timeout, by however slow a clock.
"""

from __future__ import annotations

from typing import Final

from kvstore.raft.messages import AppendEntries, AppendEntriesReply, Message
from kvstore.raft.types import LogStart
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.checkers.voters import voters_of
from kvstore.sim.log_start import FIRST

_LONGEST_MS: Final = 1_000.0 / 0.8 + 100.0
"""The timeout by a clock that runs 20 per cent slow, and the time between two turns."""


class KeptMajority(Checker):
    """Remembers when each leader last heard each node, and when it began to lead."""

    theorem = "a leader keeps a majority, or stops leading"
    heeds = (AppendEntries,)
    hears_of = (AppendEntriesReply,)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._heard_ms: dict[tuple[int, int], dict[int, float]] = {}
        """(leader, term) -> when it heard each of the others last; at first, when it began."""
        self._keeps_until_ms: dict[tuple[int, int], float] = {}
        """(leader, term) -> until when what it has heard suffices, whatever else it hears."""

    def hears(self, host: Watched, message: Message) -> None:
        if isinstance(message, AppendEntriesReply):
            heard = self._heard_ms.get((host.id, message.term))
            if heard is not None:
                heard[message.sender] = host.now_ms

    def speaks(self, host: Watched, message: Message) -> None:
        if isinstance(message, AppendEntries):
            self._check(host, message.term)

    def _check(self, leader: Watched, term: int) -> None:
        now_ms, leadership = leader.now_ms, (leader.id, term)
        if now_ms <= self._keeps_until_ms.get(leadership, -1.0):
            return
        heard = self._heard_ms.get(leadership)
        if heard is None:
            others = (member for member in self.members if member != leader.id)
            heard = self._heard_ms[leadership] = dict.fromkeys(others, now_ms)
        answering = {node for node, at_ms in heard.items() if now_ms - at_ms <= _LONGEST_MS}
        # Each of these goes on to count until so long after the one that was heard first.
        first_ms = min([heard[node] for node in answering], default=now_ms)
        self._keeps_until_ms[leadership] = first_ms + _LONGEST_MS
        voters = voters_of(leader)
        if not are_majority(answering | {leader.id}, voters):
            self.fail(
                f"node {leader.id} leads term {term}, and in the last {_LONGEST_MS:.0f} ms it has"
                f" heard only {sorted(answering)} of {list(voters)}"
            )
