"""A cluster whose nodes have a network and a disk each.

Law: what a node has acknowledged it must still hold after its power was cut; what it
held only in memory is gone. Without root, proxies stand for the network and there are
no disks: the same faults of processes and links, and none of disks.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from process.cluster import Cluster, eventually
from process.proxy import Reservation

from .disks import Disk
from .machine import is_root, remove_leftovers
from .network import Network, Way, has_netem

_ENDED_AS_REMOVED = 3

FAST = {
    "KVSTORE_HEARTBEAT_MS": "50",
    "KVSTORE_ELECTION_MS": "300-600",
    "KVSTORE_REQUEST_TIMEOUT_MS": "1000",
    # The least there is: logs are dropped all the time, and who was away needs a snapshot.
    "KVSTORE_LOG_KEPT_BYTES": "64KiB",
}


class ChaosCluster(Cluster):
    """`size` nodes; on a `network` and `disks` of their own if this process is root.

    * There are `spares` machines more, which may join: nothing runs there at first.
    """

    def __init__(
        self,
        directory: Path,
        size: int = 3,
        environ: Mapping[str, str] | None = None,
        spares: int = 0,
    ) -> None:
        environ = {**FAST, **(environ or {})}
        super().__init__(directory, size + spares, links=not is_root(), environ=environ)
        self._founders = tuple(self.nodes)[:size]
        self.network: Network | None = None
        self.disks: dict[int, Disk] = {}
        if is_root():
            self.network = Network({node.id: node.port for node in self.nodes.values()})
            self.disks = {node_id: Disk(directory, node_id) for node_id in self.nodes}
            for node in self.nodes.values():
                node.data_dir = self.disks[node.id].mount_point / "data"

    @contextlib.contextmanager
    def running(self) -> Iterator[ChaosCluster]:
        """Make network and disks and start; end and remove everything at last."""
        with contextlib.ExitStack() as stack:
            if self.network is not None:
                remove_leftovers()
                stack.enter_context(self.network.made())
                for node in self.nodes.values():
                    node.host = self.network.host(node.id)
            for disk in self.disks.values():
                stack.enter_context(disk.made())
            stack.callback(self.close)
            self.start(*self._founders)
            yield self

    def command(self, node_id: int, **changes: object) -> list[str]:
        enter = self.network.enter(node_id) if self.network is not None else []
        words = super().command(node_id, **changes)
        spares = {f"{one}={self.address(one)}" for one in self.nodes if one not in self._founders}
        return [*enter, *(_without(spares, word) for word in words)]

    def end_all(self) -> None:
        """SIGTERM to all that run, woken first."""
        for node_id, node in self.nodes.items():
            if node.is_running:
                self.terminate(node_id)

    def wait_until_removed(self, node_id: int) -> None:
        """Wait until a node ends by itself, as it is no member any more."""
        process = self.nodes[node_id].process
        assert process is not None
        eventually(lambda: process.poll() is not None, f"node {node_id} ends, as it was removed")
        assert process.returncode == _ENDED_AS_REMOVED

    def move(self, node_id: int) -> None:
        """Give a node that does not run another port; where it was, nobody is."""
        node = self.nodes[node_id]
        node.reservation.release()
        node.reservation = Reservation()
        node.port = node.reservation.port
        if self.network is not None:
            self.network.move(node_id, node.port)

    # --- Network --------------------------------------------------------------------------

    def lose(
        self,
        pairs: Iterable[tuple[int, int]],
        way: Way = Way.PACKETS,
        *,
        is_awaited: bool = True,
    ) -> None:
        """Lose what goes from one node to another, and see that something is lost."""
        if self.network is not None:
            self.network.set(dict.fromkeys(pairs, way))
            if not is_awaited:
                return
            eventually(self.network.dropped_packets, "the firewall drops something")
            return
        before = self._swallowed_bytes()
        for sender, recipient in pairs:
            self.cut(sender, recipient)
        eventually(lambda: self._swallowed_bytes() > before, "the proxies swallow something")

    def heal(self) -> None:
        if self.network is not None:
            self.network.heal()
        else:
            super().heal()

    def _swallowed_bytes(self) -> int:
        return sum(link.swallowed_bytes for link in self._links.values())

    # --- Disks ----------------------------------------------------------------------------

    def cut_power(self, *node_ids: int) -> None:
        """Stop nodes at this moment, leaving them what their disks hold, and not their memory."""
        for node_id in node_ids:
            self.nodes[node_id].send(signal.SIGSTOP)
        for node_id in node_ids:
            self.pause(node_id)
        for node_id in node_ids:
            self.disks[node_id].photograph()
        self.kill(*node_ids)
        for node_id in node_ids:
            self.disks[node_id].return_to_photograph()


def abilities() -> list[str]:
    """What chaos can do here and what it cannot, to be said beside every verdict."""
    if not is_root():
        return [
            "not root: proxies stand for the network, and nothing is done to disks;"
            " no power cuts, no full disks, no lost, slow or unplugged packets"
        ]
    delay = "tc netem delays packets"
    if not has_netem():
        delay = "this kernel has no sch_netem, so a narrow queue (tc tbf) delays packets instead"
    return [
        "root: a network namespace and a loop-mounted ext4 for each node",
        f"nftables loses packets; {delay}",
    ]


def _without(peers: set[str], word: str) -> str:
    """A word of a command line that does not name these peers."""
    option, equals, value = word.partition("=")
    if option != "--peers":
        return word
    return f"{option}{equals}{','.join(one for one in value.split(',') if one not in peers)}"
