"""Whom a node has links to, and what it can hope for by that.

Law: it tells what may come of the links that there are, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Set

from kvstore.raft.core import Raft


class Reach:
    """Of one node.

    * `unreachable`: the peers without a link, as the last turn had it.
    """

    def __init__(self, raft: Raft) -> None:
        self._raft = raft
        self.unreachable: Set[int] = frozenset()

    @property
    def leader(self) -> int | None:
        """Who leads, if there is a link to it."""
        leader = self._raft.leader_id
        return None if leader in self.unreachable else leader

    @property
    def has_majority(self) -> bool:
        """Whether there are links to so many that one of them may lead, and commit."""
        configuration = self._raft.log.configuration
        return configuration.has_majority(configuration.voters - self.unreachable)
