"""Terms, votes within a term, and commit indexes never go back.

Law: within one life of a node, its term, its vote within a term, its commit index
and its applied index only go forward; over all lives, so do the term and the vote
on its disk.
"""

from __future__ import annotations

from kvstore.raft.invariants import Snapshot, check_state, check_step
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.sim.checkers.checker import Checker, Watched
from kvstore.sim.log_start import FIRST


class NeverGoesBack(Checker):
    """Remembers each node at its last change, and the hard state on its disk."""

    theorem = "terms, votes and commit indexes never go back"

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._before: dict[int, tuple[Snapshot, int]] = {}
        self._durable: dict[int, HardState] = {}
        self._unchecked: set[int] = set()
        """Nodes that have changed in their turn at hand."""

    def started(self, host: Watched) -> None:
        raft = host.running.raft
        found = HardState(raft.current_term, raft.voted_for, raft.admitted_at)
        self._check_hard_state(host.id, found)
        self._before[host.id] = (Snapshot.of(raft), host.running.machine.last_applied)

    def directory_changed(self, host: Watched) -> None:
        self._durable.pop(host.id, None)

    def changed(self, host: Watched) -> None:
        raft, last_applied = host.running.raft, host.running.machine.last_applied
        before, applied = self._before[host.id]
        check_step(before, raft)
        if last_applied < applied:
            self.fail(f"node {host.id} un-applies entries")
        self._before[host.id] = (Snapshot.of(raft), last_applied)
        self._unchecked.add(host.id)

    def turned(self, host: Watched) -> None:
        if host.id in self._unchecked:
            self._unchecked.discard(host.id)
            check_state(host.running.raft)

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        if update.hard_state is not None:
            self._check_hard_state(host.id, update.hard_state)

    def _check_hard_state(self, node_id: int, found: HardState) -> None:
        before = self._durable.get(node_id, HardState())
        keeps_vote = before.voted_for in (None, found.voted_for)
        if found.current_term < before.current_term or (
            found.current_term == before.current_term and not keeps_vote
        ):
            self.fail(f"node {node_id} was durable at {before}, and stands at {found}")
        self._durable[node_id] = found
