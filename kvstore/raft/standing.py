"""Where a node stands in its term: what all its roles share.

Law: the term never goes back, and the vote changes at most once in it: a new term clears
it, and nothing else does. It decides nothing; who may vote, stand or lead, others know.
"""

from __future__ import annotations

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.types import HardState, Membership, Role


class Standing:
    """Term, vote and role of one node.

    * `hard_state` is what of it must be on the disk before anything is said of it.
    * `now_ms`: when the turn began, by a monotonic clock.
    """

    def __init__(self, membership: Membership, recovered: HardState) -> None:
        self.id = membership.node_id
        self.directory = membership.directory
        self.current_term = recovered.current_term
        self.voted_for = recovered.voted_for
        self.admitted_at = recovered.admitted_at
        self.role = Role.FOLLOWER
        self.leader_of_term: int | None = None
        """Who led or leads `current_term`, as far as this node knows."""
        self.now_ms = 0.0

    @property
    def hard_state(self) -> HardState:
        """What the disk must hold."""
        return HardState(self.current_term, self.voted_for, self.admitted_at)

    @property
    def is_voter(self) -> bool:
        """Whether this node's directory voted ever."""
        return self.admitted_at != NOT_ADMITTED

    def enter(self, term: int, vote: int | None = None) -> None:
        """A new term begins here, in which nobody is known to lead."""
        self.current_term = term
        self.voted_for = vote
        self.leader_of_term = None
