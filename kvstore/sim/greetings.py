"""How nodes greet each other: one life of a node, as its peers meet it.

Law: the first message of a life opens a link, with the hello that a server says; it breaks when
either side ends. Who must not speak is told why.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from kvstore.raft.versions import Versions
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.node import Node
from kvstore.server.replaced import replaced_at
from kvstore.sim.disk import Disk
from kvstore.wire.peer import check_hello, check_versions


class Refusal(NamedTuple):
    """Why a peer's message is not taken. `is_final`: its sender ends, as it is told."""

    why: str
    is_final: bool = False


class Greetings:
    """Of one life.

    * `is_over`: the life has ended, and every link with it.
    * `_heard`: peer -> in which of its lives it said hello, last.
    * `_links`: the peers that took its own hello.
    """

    def __init__(self, node: Node, disk: Disk) -> None:
        self.id = node.raft.id
        self.speaks = node.cluster_version.speaks
        self.is_over = False
        self._heard: dict[int, int] = {}
        self._links: list[Greetings] = []
        self._acquaintances = Acquaintances(
            cluster_id=node.settings.cluster_id,
            node_id=self.id,
            address=str(node.settings.address),
            incarnation=disk.log.identity.incarnation,
            lineage=disk.lineage,
            admitted_at=lambda: node.raft.durable_hard_state.admitted_at,
            configured_at=lambda: node.roster.configured_at,
            peers=lambda: node.roster.peers,
            members=lambda: node.roster.members,
            replaced_at=partial(replaced_at, node.raft),
            cluster_version=lambda: node.machine.cluster_version,
            speaks=self.speaks,
        )

    def refuse(
        self, peer: int, life: int, sender: Greetings | None, admitted_at: int
    ) -> Refusal | None:
        """Why what a peer sent in this life is not taken, None if it is.

        `sender` is that life, unless it has ended. Raises `DirectoryRefusedError` if it is this
        node that must not speak.
        """
        if self._heard.get(peer) == life:
            why = self._acquaintances.reason_to_hang_up(peer, admitted_at)
            return None if why is None else Refusal(why, is_final=True)
        if sender is None:
            return Refusal("the connection is broken")
        return self._meet(sender, life)

    def _meet(self, sender: Greetings, life: int) -> Refusal | None:
        theirs, known = sender._acquaintances.hello_to(self.id), self._acquaintances
        if why := check_hello(known.hello_to(sender.id), theirs):
            return Refusal(why)
        if why := known.reason_to_refuse(theirs):
            return Refusal(why, is_final=True)
        known.check_own_version(theirs)
        if why := check_versions(known.hello_to(sender.id), theirs):
            return Refusal(why)
        known.remember(theirs)
        self._heard[sender.id] = life
        sender._links.append(self)
        return None

    def spoken_versions(self) -> dict[int, Versions]:
        """What each peer speaks to whom there is a link."""
        return {peer.id: peer.speaks for peer in self._links if not peer.is_over}
