"""Whoever hears a leader helps no other to stand (thesis §9.6), however long that leader leads.

Law: nobody says that it would vote for another in a term in which it leads, nor while it
has heard that term's leader within the shortest election timeout, by its own clock.
"""

from __future__ import annotations

from kvstore.raft.messages import AppendEntries, Message, PreVoteReply
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.log_start import FIRST


class Deference(Checker):
    """Remembers when each node heard its leader last."""

    theorem = "who hears a leader grants no pre-vote"
    heeds = (PreVoteReply,)
    hears_of = (AppendEntries,)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._heard: dict[int, tuple[int, float]] = {}
        """Node -> the term whose leader it heard last, and when."""

    def started(self, host: Watched) -> None:
        self._heard.pop(host.id, None)

    def hears(self, host: Watched, message: Message) -> None:
        if message.term == host.running.raft.current_term:
            self._heard[host.id] = (message.term, host.turn_ms)

    def _silent_ms(self, host: Watched) -> float:
        raft = host.running.raft
        if raft.role is Role.LEADER:
            return 0.0
        term, heard_ms = self._heard.get(host.id, (0, 0.0))
        return host.turn_ms - heard_ms if term == raft.current_term else float("inf")

    def speaks(self, host: Watched, message: Message) -> None:
        if not isinstance(message, PreVoteReply) or not message.vote_granted:
            return
        silent_ms = self._silent_ms(host)
        if silent_ms < host.running.settings.raft.election_timeout_min_ms:
            self.fail(
                f"node {host.id} would vote for node {message.recipient} in term"
                f" {message.term + 1}, {silent_ms:.0f} ms after it heard the leader of term"
                f" {message.term}"
            )
