"""What is committed stays with whoever could elect, whatever directories are lost.

Law: from the moment an entry is committed on, of the voters by the configuration that is
committed, those whose disks lack it are no majority; and a directory that holds it keeps it.
A directory that was lost is no voter any more. docs/verification.md tells why.
"""

from __future__ import annotations

from kvstore.raft.configuration import Member
from kvstore.raft.types import DurableUpdate, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST
from kvstore.storage.base import Identity


class Retention(Checker):
    """Remembers what is committed, and how much of it each directory holds."""

    theorem = "what is committed stays with the voters"
    watches = Part.COMMITTED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._hosts: dict[int, Watched] = {}
        self._terms = Indexed[int](start.index)
        """Of the committed entries."""
        self._members: tuple[Member, ...] = ()
        """By the configuration that is committed."""
        self._held: dict[int, tuple[Identity, int]] = {}
        """Node -> its present directory, and the last committed entry on its disk."""

    def started(self, host: Watched) -> None:
        self._hosts[host.id] = host
        self._members = self._members or host.running.raft.log.configuration.members
        self._look_at(host)
        self._judge()

    def directory_changed(self, host: Watched) -> None:
        self._look_at(host)

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        self._look_at(host)
        self._judge()

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        known = self._terms.last
        if raft.commit_index <= known:
            return
        self._terms.extend(raft.log.term(i) for i in range(known + 1, raft.commit_index + 1))
        self._members = raft.log.configurations.as_of(raft.commit_index).members or self._members
        for one in self._hosts.values():
            self._look_at(one)
        self._judge()

    def _judge(self) -> None:
        committed = self._terms.last
        voters = {one.node_id: one.directory for one in self._members if one.admitted_at >= 0}
        lacking = {
            node
            for node, (identity, held) in self._held.items()
            if voters.get(node) == identity.directory and held < committed
        }
        if lacking and are_majority(lacking, voters):
            self.fail(
                f"entry {committed} is committed, and the disks of {sorted(lacking)} of"
                f" {sorted(voters)} vote without it"
            )

    def _look_at(self, host: Watched) -> None:
        """Find the last committed entry on a disk; all before it are there too (log matching).

        Or they were dropped, as was whatever its log begins after.
        """
        log, committed = host.disk.log, self._terms
        terms = log.terms
        index = min(terms.last, committed.last)
        while index > terms.start and terms[index] != committed[index]:
            index -= 1
        before, held = self._held.get(host.id, (None, 0))
        if before == log.identity and index < held:
            self.fail(f"node {host.id} held what is committed up to {held}, and up to {index} now")
        self._held[host.id] = (log.identity, index)
