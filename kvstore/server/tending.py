"""What a leader does about time: it has what is due ended, and tells the log the time.

Law: nothing ends but by an entry of the leader's own term, `Pass`, of which one at most is under
way. It says what time it is, and no more: what is due then follows from the log, so an entry of a
leader that is over changes nothing that would not be so anyway. Renewals that wait are proposed
before it, in the same turn. A leader that is new, or stood still, ends nothing for a while, in
which renewals that wait for it come first.

It must not know clocks: it is told the node's time, and the cluster's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Raft
from kvstore.server.waiting.writes import EntryName


class Tending:
    """What one node does while it leads."""

    def __init__(
        self,
        rules: api.LeaseRules,
        raft: Raft,
        machine: StateMachine,
        propose: Callable[[api.Pass], EntryName],
    ) -> None:
        self._rules = rules
        self._raft = raft
        self._machine = machine
        self._propose = propose
        self._under_way: EntryName | None = None
        self._now_ms = 0.0
        self._time_ms = 0
        self._term = 0
        """The last one in which this node had committed, as a leader."""
        self._held_until_ms = 0.0

    def stood_still(self, now_ms: float) -> None:
        """No turn was taken for long: what was to be heard before now is heard in this turn."""
        self._held_until_ms = now_ms + self._rules.hold_off_ms

    def tick(self, now_ms: float, time_ms: int) -> None:
        """See whether it is time for an entry, and propose it."""
        self._now_ms, self._time_ms = now_ms, time_ms
        if self._raft.has_committed_in_term and self._term != self._raft.current_term:
            self._term = self._raft.current_term
            self._held_until_ms = now_ms + self._rules.hold_off_ms
        if self._wait_ms() <= 0:
            is_due = self._until_end_ms() <= 0
            self._under_way = self._propose(api.Pass(self._rules.ends_max if is_due else 0))

    @property
    def due_ms(self) -> float:
        """When there is something to do, by the node's clock."""
        return self._now_ms + max(0.0, self._wait_ms())

    def _wait_ms(self) -> float:
        """How long from now on an entry is not due."""
        if not self._may_propose or self._machine.leases.next_end_ms is None:
            return math.inf
        since_ms = self._time_ms - self._machine.clock.time_ms
        return min(self._until_end_ms(), self._rules.beat_ms - since_ms)

    def _until_end_ms(self) -> float:
        """How long until something may be ended."""
        next_end_ms = self._machine.leases.next_end_ms
        assert next_end_ms is not None
        return max(next_end_ms - self._time_ms, self._held_until_ms - self._now_ms)

    @property
    def _may_propose(self) -> bool:
        raft = self._raft
        if not (raft.has_committed_in_term and raft.takes_commands and raft.log.room.takes_noops):
            return False
        if self._under_way is None:
            return True
        index, term = self._under_way
        return index <= self._machine.last_applied or term != raft.current_term
