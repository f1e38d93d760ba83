"""Damage is not absence: what a disk lost is neither forgotten nor vouched for.

Law: a node that starts knows the name of every entry that its disk held for certain,
and which of them it cannot read. Until those are on its disk again, or were truncated,
it accepts no index that lies at or behind one of them.
"""

from __future__ import annotations

from kvstore.raft.messages import AppendEntriesReply, Message
from kvstore.raft.types import DurableUpdate, LogStart
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST


class Vouching(Checker):
    """Remembers, for each node, what it found damaged when it started."""

    theorem = "damage is not absence"
    heeds = (AppendEntriesReply,)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._lost: dict[int, set[int]] = {}

    def started(self, host: Watched) -> None:
        log, disk = host.running.raft.log, host.disk.log
        first = log.start.index + 1
        terms = Indexed(log.start.index, map(log.term, range(first, log.last_index + 1)))
        if terms != disk.terms:
            self.fail(
                f"node {host.id} starts with entries of terms {terms}, its disk held {disk.terms}"
            )
        if set(log.damaged) != disk.unreadable:
            self.fail(
                f"node {host.id} takes {list(log.damaged)} for damaged, on its disk it is"
                f" {sorted(disk.unreadable)}"
            )
        self._lost[host.id] = set(disk.unreadable)

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        lost = self._lost.get(host.id, set())
        lost -= {entry.index for entry in update.repairs}
        if update.truncate_from is not None:
            lost -= {index for index in lost if index >= update.truncate_from}
        if update.start is not None:
            lost -= {index for index in lost if index <= update.start.index}

    def speaks(self, host: Watched, message: Message) -> None:
        if isinstance(message, AppendEntriesReply) and message.success:
            lost = min(self._lost[host.id], default=message.match_index + 1)
            if message.match_index >= lost:
                self.fail(
                    f"node {host.id} vouches for entries up to {message.match_index}, and cannot"
                    f" read entry {lost}"
                )
