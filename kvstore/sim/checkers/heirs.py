"""Leadership is offered to nobody who may be gone (thesis §3.10): it would move for nothing.

Law: a leader hands over only to a node that has answered it in its term within the shortest
election timeout, by its own clock; that it was elected counts as an answer of all.
"""

from __future__ import annotations

from kvstore.raft.messages import AppendEntriesReply, Message
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.voters import directory_of
from kvstore.sim.log_start import FIRST


class Heirs(Checker):
    """Remembers when each leader heard each of its followers last, and when its last turn was."""

    theorem = "leadership is offered to nobody who may be gone"
    watches = Part.ROLE
    hears_of = (AppendEntriesReply,)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._led: dict[int, int] = {}
        """Node -> the term that it led last."""
        self._heard_ms: dict[tuple[int, int], float] = {}
        """(leader, follower) -> when."""
        self._turn_ms: dict[int, float] = {}
        self._heirs: dict[int, int | None] = {}

    def started(self, host: Watched) -> None:
        self._heirs.pop(host.id, None)
        self._turn_ms.pop(host.id, None)

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is Role.LEADER and self._led.get(host.id) != raft.current_term:
            self._led[host.id] = raft.current_term
            for follower in self.members:
                self._heard_ms[host.id, follower] = host.turn_ms

    def hears(self, host: Watched, message: Message) -> None:
        if isinstance(message, AppendEntriesReply):
            if message.rejoining not in ("", directory_of(host, message.sender)):
                return
            raft = host.running.raft
            if raft.role is Role.LEADER and message.term == raft.current_term:
                self._heard_ms[host.id, message.sender] = host.turn_ms

    def turned(self, host: Watched) -> None:
        heir = host.running.raft.heir
        # An heir is chosen in a turn, or between the one before and that.
        since_ms = self._turn_ms.get(host.id, host.turn_ms)
        self._turn_ms[host.id] = host.turn_ms
        if heir == self._heirs.get(host.id):
            return
        self._heirs[host.id] = heir
        if heir is None:
            return
        silent_ms = since_ms - self._heard_ms[host.id, heir]
        if silent_ms > host.running.settings.raft.election_timeout_min_ms:
            self.fail(
                f"node {host.id} hands over to node {heir}, which has been silent for"
                f" {silent_ms:.0f} ms"
            )
