"""Who the members are, and where everybody is who speaks with this node.

Law: members and their addresses are those of the configuration in force, from the moment it is
in the log. Who is none by it is heard until it is committed, as it may be the leader that says so.
Beside them stand a few strangers, by their own word: nodes of this cluster that know a newer
configuration than this node does, or any where it has none, and may be members by that. It must
not know sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kvstore.address import Address, parse_address
from kvstore.config.limits import MEMBERS_MAX
from kvstore.raft.configuration import Configuration
from kvstore.raft.core import Raft

NO_MEMBER: Final = -1
"""In place of a configuration's index, of a node that is a member by none."""


class _Stranger(NamedTuple):
    address: Address
    configured_at: int


def _places(configuration: Configuration) -> dict[int, Address]:
    return {one.node_id: parse_address(one.address) for one in configuration.members}


class Roster:
    """Of one node.

    * `peers`: another object whenever it may say something else than before.
    """

    def __init__(self, raft: Raft, own_address: Address, joined_at: int | None = None) -> None:
        """`own_address`: where the others reach this node, by its settings.

        `joined_at`: by which entry it was a member when its directory was made, in this life.
        """
        self._raft = raft
        self._joined_at = NO_MEMBER if joined_at is None else joined_at
        self.said: dict[int, Address] = {raft.id: own_address}
        """Where each node says itself that it is, this one and its peers."""
        self._elsewhere: set[int] = set()
        """Who says that this is not where its configuration has it."""
        self._said_by: dict[int, int] = {}
        """By which entry each of them was a member when it said so."""
        self._strangers: dict[int, _Stranger] = {}
        self._committed_at = 0
        self._note()

    @property
    def members(self) -> Mapping[int, Address]:
        """All members, this node too if it is one, by id."""
        self._follow()
        return self._members

    @property
    def peers(self) -> Mapping[int, Address]:
        """Whom this node has links to: the other members, who leaves, and strangers."""
        self._follow()
        return self._peers

    @property
    def configured_at(self) -> int:
        """Index of the configuration's entry by which this node is a member; -1 if it is none.

        Before its log says so: of that by which it could join. Was it removed since, it is told.
        """
        return self._index if self._raft.id in self.members else self._joined_at

    @property
    def committed_at(self) -> int:
        """Index of the newest configuration's entry that is committed, as far as is known here."""
        self._follow()
        return self._committed_at

    @property
    def _index(self) -> int:
        """Of the configuration in force; before all others if that is empty."""
        log = self._raft.log
        return log.configurations.in_force_at if log.configuration.members else NO_MEMBER

    def believes(self, node_id: int, configured_at: int) -> bool:
        """Whether a node that is a member by the configuration there is one, or may be."""
        if node_id == self._raft.id:
            return False
        return node_id in self.peers or configured_at > self._index

    def removed_at(self, node_id: int, configured_at: int) -> int | None:
        """Since when a node is no member that was one, if this node is sure, as it leads.

        Of one that votes, every node can be sure, as its directory is told from others.
        """
        raft, index = self._raft, self._index
        is_sure = raft.has_committed_in_term and index <= raft.commit_index
        is_gone = NO_MEMBER < configured_at < index and node_id not in self.members
        return index if is_sure and is_gone and self._was_member(node_id, configured_at) else None

    def _was_member(self, node_id: int, at: int) -> bool:
        """Whether it was one by what was committed there, or may have been: it is not known here.

        An entry of that index that was truncated made nobody one.
        """
        log = self._raft.log
        return at < log.start.index or log.configurations.as_of(at).member(node_id) is not None

    @property
    def is_elsewhere(self) -> bool:
        """Whether this node is a member, and not where the configuration has it."""
        own = self.said[self._raft.id]
        return self.members.get(self._raft.id, own) != own

    def elsewhere(self, node_id: int) -> Address | None:
        """Where a node says that it is instead of where the configuration here, or its own, has it.

        Here that may be an old one, as a node that lags goes through all of them.
        """
        knows_better = self._said_by.get(node_id, NO_MEMBER) > self._index
        return self.said.get(node_id) if node_id in self._elsewhere or knows_better else None

    def meet(
        self, node_id: int, address: Address, configured_at: int, *, is_elsewhere: bool = False
    ) -> None:
        """Whom this node believes, says where it is; of too many strangers, the first one goes."""
        self.said[node_id], self._said_by[node_id] = address, configured_at
        (self._elsewhere.add if is_elsewhere else self._elsewhere.discard)(node_id)
        if node_id in self.peers and node_id not in self._strangers:
            return
        stranger = _Stranger(address, configured_at)
        if self._strangers.pop(node_id, None) != stranger:
            while len(self._strangers) >= MEMBERS_MAX:
                del self._strangers[next(iter(self._strangers))]
        self._strangers[node_id] = stranger
        self._note()

    def _follow(self) -> None:
        log = self._raft.log
        is_settled = log.commit_index >= log.configurations.in_force_at
        if self._configuration is not log.configuration or self._is_settled is not is_settled:
            self._note()

    def _note(self) -> None:
        log = self._raft.log
        self._configuration = log.configuration
        self._is_settled = log.commit_index >= log.configurations.in_force_at
        self._members = _places(log.configuration)
        before = {}
        if self._is_settled:
            self._committed_at = log.configurations.in_force_at
        else:
            before = _places(log.configurations.as_of(log.commit_index))
        self._strangers = {
            node_id: stranger
            for node_id, stranger in self._strangers.items()
            if node_id not in self._members and stranger.configured_at > self._index
        }
        everybody = {node_id: one.address for node_id, one in self._strangers.items()}
        everybody |= before | self._members
        self._peers = {peer: at for peer, at in everybody.items() if peer != self._raft.id}
        there = {self._raft.id, *self._peers}
        self.said = {node_id: at for node_id, at in self.said.items() if node_id in there}
        self._said_by = {node_id: at for node_id, at in self._said_by.items() if node_id in there}
        self._elsewhere &= there
