"""Who the members are, and where everybody is who speaks with this node.

Law: members and their addresses are those of the configuration in force, from the moment it is
in the log. It must not know sockets.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvstore.address import Address, parse_address
from kvstore.raft.core import Raft


class Roster:
    """Of one node.

    * `peers`: another object whenever it may say something else than before.
    """

    def __init__(self, raft: Raft, founders: Mapping[int, Address]) -> None:
        """`founders`: where the first members are, for who knows no configuration yet."""
        self._raft = raft
        self._founders = founders
        self._configuration = raft.log.configuration
        self._note()

    @property
    def members(self) -> Mapping[int, Address]:
        """All members, this node too if it is one, by id."""
        self._follow()
        return self._members

    @property
    def peers(self) -> Mapping[int, Address]:
        """Whom this node has links to."""
        self._follow()
        return self._peers

    def address_of(self, node_id: int) -> Address | None:
        """Where a node is, if that is known here."""
        return self.members.get(node_id)

    def _follow(self) -> None:
        if self._configuration is not self._raft.log.configuration:
            self._configuration = self._raft.log.configuration
            self._note()

    def _note(self) -> None:
        self._members = {
            one.node_id: parse_address(one.address) for one in self._configuration.members
        } or dict(self._founders)
        self._peers = {peer: at for peer, at in self._members.items() if peer != self._raft.id}
