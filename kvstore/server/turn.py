"""What a turn of a node is, in its order; who drives one sees to what happens around it.

Law: persist, then speak. In the first half the node wakes, hears its peers and then its clients,
and time passes; what rests on earlier turns alone leaves, and what is new goes to the disk. In
the second half leaves what may by then. Of a turn whose first half raises nothing more leaves. It
must not know sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Protocol

from kvstore.raft.versions import Versions
from kvstore.server.node import Node, Outcome


class Surroundings(Protocol):
    """Who drives a node: a server, a simulated machine, or a test."""

    def clock_ms(self) -> float:
        """The time by a monotonic clock."""
        ...

    def hear(self) -> None:
        """Hand the node what has arrived: of peers, and then of clients."""
        ...

    def unreachable(self) -> Set[int]:
        """Peers without a link."""
        ...

    def spoken_versions(self) -> Mapping[int, Versions]:
        """What each peer speaks to whom there is a link."""
        ...

    def pass_time(self, now_ms: float) -> None:
        """It is `now_ms` for the node: so it is for all around it."""
        ...

    def crowded(self) -> Set[int]:
        """Peers that have enough to read."""
        ...

    def let_out(self, outcome: Outcome) -> None:
        """Messages, events and answers leave."""
        ...


class Turn:
    """The turns of one node, one after the other.

    * `first_half` and `second_half` alternate. In between, time may pass, and what was let out is
      all that may have left.
    """

    def __init__(self, node: Node, around: Surroundings) -> None:
        self._node = node
        self._around = around
        self._rest: Outcome | None = None

    def take(self) -> None:
        """Both halves: the disk has been waited for."""
        self.first_half()
        self.second_half()

    def first_half(self) -> None:
        """Raises `StorageError` if the disk fails: the node ends."""
        node, around = self._node, self._around
        assert self._rest is None, "the second half comes before the next turn"
        node.wake(around.clock_ms())
        around.hear()
        now_ms = around.clock_ms()
        node.tick(now_ms, around.unreachable())
        node.cluster_version.tick(around.spoken_versions)
        around.pass_time(now_ms)
        around.let_out(node.prepare(around.crowded()))
        self._rest = node.complete()

    def second_half(self) -> None:
        """What rested on the disk leaves."""
        rest, self._rest = self._rest, None
        assert rest is not None, "a first half comes before"
        self._around.let_out(rest)
