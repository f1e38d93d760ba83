"""Who votes, and what a majority of them is: the arithmetic on which every safety argument rests.

Law: nobody else counts. Supporters are a set of node ids and marks a mapping from them,
never a running number or a bare list: so a duplicate cannot count twice, an outsider
does not count at all, and a voter of whom nothing is known cannot be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Generic, TypeVar

import msgspec

_Mark = TypeVar("_Mark", int, float)
_Thing = TypeVar("_Thing")


class Configuration(msgspec.Struct, frozen=True):
    """The voters that decide together. Any two majorities share one of them."""

    voters: frozenset[int]

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


class PerPeer(Generic[_Thing]):
    """What a node keeps of each peer in the configuration in force.

    * It begins when the peer comes into the configuration, and ends when it leaves.
    """

    def __init__(
        self, node_id: int, configuration: Configuration, begin: Callable[[], _Thing]
    ) -> None:
        self._node_id = node_id
        self._begin = begin
        self._configuration = configuration
        self._things = {peer: begin() for peer in configuration.voters_besides(node_id)}

    def of(self, configuration: Configuration) -> dict[int, _Thing]:
        """All of it, by peer, under the configuration that is in force now."""
        if configuration is not self._configuration:
            before = self._things
            self._things = {
                peer: before[peer] if peer in before else self._begin()
                for peer in configuration.voters_besides(self._node_id)
            }
            self._configuration = configuration
        return self._things
