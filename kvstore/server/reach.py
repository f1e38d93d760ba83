"""Whom a node has links to, where they lead, and what it can hope for by that.

Law: it tells what may come of the links that there are, and decides nothing. A link that is there
has found the directory that it looked for, so where it leads is where that node is; of the others
the configuration is believed. It must not know sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from kvstore.address import Address
from kvstore.raft.core import Raft
from kvstore.server.roster import Roster


class Reach:
    """Of one node.

    * `unreachable`: the peers without a link, as the last turn had it.
    """

    def __init__(self, raft: Raft, roster: Roster) -> None:
        self._raft = raft
        self._roster = roster
        self.unreachable: Set[int] = frozenset()
        self.leads_to: Callable[[int], Address | None] = lambda _peer: None
        """Where the link to a peer leads, if there is one."""

    def place_of(self, node_id: int) -> Address | None:
        """Where a node is to be found: this one by its settings, a peer where it was found."""
        roster = self._roster
        if node_id == self._raft.id:
            return roster.said[node_id]
        peers = roster.peers
        return (self.leads_to(node_id) or peers[node_id]) if node_id in peers else None

    @property
    def members(self) -> Mapping[int, Address]:
        """All members, and where each is to be found."""
        members = self._roster.members
        return {node_id: self.place_of(node_id) or there for node_id, there in members.items()}

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
