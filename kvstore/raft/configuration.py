"""Who is in the cluster, who of them votes, and what a majority is: on this every argument rests.

Law: nobody else counts. Supporters are a set of node ids and marks a mapping from them,
never a running number or a bare list: so a duplicate cannot count twice, an outsider
does not count at all, and a voter of whom nothing is known cannot be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from functools import cached_property
from typing import Final, Generic, TypeVar

import msgspec

_Mark = TypeVar("_Mark", int, float)
_Thing = TypeVar("_Thing")

NOT_ADMITTED: Final = -1


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node of the cluster.

    * `address`: where the others reach it; its form is no business of the core.
    * `admitted_at`: index of the entry since which its directory votes; 0 for a founder, and
      `NOT_ADMITTED` for a *learner*, which is sent the log and does not vote.
    * `directory`: name of the directory that votes; empty for a founder's first one, and for
      learners.
    """

    node_id: int
    address: str = ""
    admitted_at: int = 0
    directory: str = ""

    @property
    def is_voter(self) -> bool:
        """Whether it votes, and counts towards majorities."""
        return self.admitted_at != NOT_ADMITTED

    def votes_as(self, directory: str) -> bool:
        """Whether the directory of this name is the one that votes."""
        return self.is_voter and self.directory == directory


class Configuration(msgspec.Struct, frozen=True, dict=True):
    """The members, by id. Any two majorities of its voters share one of them.

    A node that joins knows none yet: in the empty configuration nothing is ever a majority.
    """

    members: tuple[Member, ...] = ()

    @staticmethod
    def of_founders(addresses: Mapping[int, str]) -> Configuration:
        """That of a new cluster, whose nodes are at these addresses."""
        return Configuration(
            tuple(Member(node_id, addresses[node_id]) for node_id in sorted(addresses))
        )

    @cached_property
    def voters(self) -> frozenset[int]:
        """Who votes."""
        return frozenset(one.node_id for one in self.members if one.is_voter)

    @cached_property
    def voting_directories(self) -> frozenset[tuple[int, str]]:
        """Who votes, and with which directory: a change of one of these is safe, of two is not."""
        return frozenset((one.node_id, one.directory) for one in self.members if one.is_voter)

    def member(self, node_id: int) -> Member | None:
        """The member of this id, None if there is none."""
        return next((one for one in self.members if one.node_id == node_id), None)

    def with_member(self, member: Member) -> Configuration:
        """With that one, in place of the one that had its id."""
        others = [one for one in self.members if one.node_id != member.node_id]
        return Configuration(tuple(sorted([*others, member], key=lambda one: one.node_id)))

    def without(self, node_id: int) -> Configuration:
        """Without that one."""
        return Configuration(tuple(one for one in self.members if one.node_id != node_id))

    @property
    def majority(self) -> int:
        """The smallest number of voters such that any two such groups share one."""
        return len(self.voters) // 2 + 1

    def has_majority(self, supporters: Set[int]) -> bool:
        """Whether a majority of the voters is among these nodes."""
        return len(self.voters & supporters) >= self.majority

    def reached_by_majority(self, marks: Mapping[int, _Mark]) -> _Mark:
        """The highest mark that a majority has reached: an index, a round, a time.

        `marks`: of every voter; those of others are not looked at.
        """
        ordered = sorted([marks[voter] for voter in self.voters], reverse=True)
        return ordered[self.majority - 1]

    def voters_besides(self, node_id: int) -> tuple[int, ...]:
        """The voters besides this node."""
        return tuple(sorted(self.voters - {node_id}))

    def members_besides(self, node_id: int) -> tuple[int, ...]:
        """All members besides this node."""
        return tuple(one.node_id for one in self.members if one.node_id != node_id)

    def __str__(self) -> str:
        voters, learners = ([], [])  # type: tuple[list[str], list[str]]
        for one in self.members:
            (voters if one.is_voter else learners).append(str(one.node_id))
        text = f"voters {','.join(voters) or 'none'}"
        return f"{text}; learners {','.join(learners)}" if learners else text


class PerPeer(Generic[_Thing]):
    """What a node keeps of each peer in the configuration in force.

    * It begins when the peer comes into the configuration, and ends when it leaves.
    """

    def __init__(
        self, node_id: int, configuration: Configuration, begin: Callable[[int], _Thing]
    ) -> None:
        self._node_id = node_id
        self._begin = begin
        self._configuration = configuration
        self._things = {peer: begin(peer) for peer in configuration.members_besides(node_id)}

    def of(self, configuration: Configuration) -> dict[int, _Thing]:
        """All of it, by peer, under the configuration that is in force now."""
        if configuration is not self._configuration:
            before = self._things
            self._things = {
                peer: before[peer] if peer in before else self._begin(peer)
                for peer in configuration.members_besides(self._node_id)
            }
            self._configuration = configuration
        return self._things
