"""A network namespace for each node, all on one bridge, with a firewall on the bridge.

Law: a change of the firewall is one transaction, and what it drops is counted. It
stands between nodes only: clients reach every node from the root namespace, unless
that node is unplugged.

Each node dials the others, and sends on the connections that it dialled. So a network
that loses one way of a *link* (`Way.LINK`) loses the messages of one node and no others;
one that loses one way of all *packets* loses the acknowledgements of TCP too, which in
the end silences both.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import os
import re
from collections.abc import Iterator, Mapping

from .machine import NAME, alone, run

_BLOCKS = 512
"""Networks of 256 addresses in 198.18.0.0/15, which is set apart for tests (RFC 2544)."""
_BRIDGE_HOST = 254

_NETEM = ("netem", "delay", "60ms", "40ms")
_TBF = ("tbf", "rate", "400kbit", "burst", "4kb", "latency", "250ms")
"""Without netem in the kernel: a narrow pipe, whose queue delays and at last drops."""


class Way(enum.Enum):
    """What the firewall does to packets from one node to another."""

    LINK = "tcp dport {port} counter drop"
    """Lose the connections that the sender dials; those that it accepted live."""
    PACKETS = "counter drop"
    LOSSY = "numgen random mod 100 < 15 counter drop"


class Network:
    """Namespaces of `ports`, which says where each node listens. One at a time in a process."""

    def __init__(self, ports: Mapping[int, int]) -> None:
        self._ports = dict(ports)
        self._prefix = ""
        self.faults: dict[tuple[int, int], Way] = {}
        self.slow: set[int] = set()
        self.unplugged: set[int] = set()

    def host(self, node_id: int) -> str:
        """The node's address, once the network is made."""
        assert self._prefix
        return f"{self._prefix}.{node_id}"

    def move(self, node_id: int, port: int) -> None:
        """The node listens there from now on; it does not run."""
        self._ports[node_id] = port
        self._load_rules()

    def enter(self, node_id: int) -> list[str]:
        """Put before a command, it runs in the namespace of the node, as the same process.

        Not `ip netns exec`: that copies all mounts, and so keeps the disks of others busy.
        """
        return ["nsenter", f"--net=/run/netns/{_namespace(node_id)}"]

    @contextlib.contextmanager
    def made(self) -> Iterator[Network]:
        """Make it, and remove it in the end."""
        with contextlib.ExitStack() as stack:
            stack.callback(run, "ip", "link", "delete", _BRIDGE)
            run("ip", "link", "add", _BRIDGE, "type", "bridge")
            with alone():
                self._prefix = _free_prefix()
                run("ip", "address", "add", f"{self._prefix}.{_BRIDGE_HOST}/24", "dev", _BRIDGE)
            run("ip", "link", "set", _BRIDGE, "up")
            for node_id in self._ports:
                stack.enter_context(self._plugged_in(node_id))
            stack.callback(run, "nft", "delete", "table", "bridge", NAME)
            self._load_rules()
            yield self

    @contextlib.contextmanager
    def _plugged_in(self, node_id: int) -> Iterator[None]:
        namespace, cable, socket = _namespace(node_id), _cable(node_id), "eth0"
        run("ip", "netns", "add", namespace)
        try:
            run("ip", "link", "add", cable, "type", "veth", "peer", socket, "netns", namespace)
            inside = ("ip", "-netns", namespace)
            run("ip", "link", "set", cable, "master", _BRIDGE, "up")
            run(*inside, "address", "add", f"{self.host(node_id)}/24", "dev", socket)
            run(*inside, "link", "set", socket, "up")
            run(*inside, "link", "set", "lo", "up")
            yield
        finally:
            # A namespace is taken apart later, in the kernel's own time; its cable must not be.
            run("ip", "link", "delete", cable)
            run("ip", "netns", "delete", namespace)

    # --- Faults ---------------------------------------------------------------------------

    def set(self, faults: Mapping[tuple[int, int], Way]) -> None:
        """Let these be the faults, by (sender, recipient), and no others."""
        self.faults = dict(faults)
        self._load_rules()

    def dropped_packets(self) -> int:
        """What the present rules have dropped."""
        rules = run("nft", "list", "table", "bridge", NAME)
        return sum(map(int, re.findall(r"counter packets (\d+)", rules)))

    def unplug(self, node_id: int) -> None:
        """Pull the node's cable: nobody reaches it, no client either."""
        run("ip", "link", "set", _cable(node_id), "down")
        self.unplugged.add(node_id)

    def slow_down(self, node_id: int) -> str:
        """Delay all that goes to the node; says by what."""
        self.slow.add(node_id)
        add = ("tc", "qdisc", "add", "dev", _cable(node_id), "root")
        if has_netem():
            run(*add, *_NETEM)
            return "netem"
        run(*add, *_TBF)
        return "tbf"

    def heal(self) -> None:
        """Plug in, speed up and let through whatever is not."""
        for node_id in self.unplugged:
            run("ip", "link", "set", _cable(node_id), "up")
        for node_id in self.slow:
            run("tc", "qdisc", "delete", "dev", _cable(node_id), "root")
        self.unplugged.clear()
        self.slow.clear()
        self.set({})

    def _load_rules(self) -> None:
        rules = [
            f"ip saddr {self.host(one)} ip daddr {self.host(two)} "
            + way.value.format(port=self._ports[two])
            for (one, two), way in self.faults.items()
        ]
        lines = "\n".join(rules)
        chain = f"chain between {{ type filter hook forward priority 0\n{lines}\n}}"
        table = f"table bridge {NAME}"
        run("nft", "-f", "-", stdin=f"{table}\ndelete {table}\n{table} {{\n{chain}\n}}\n")


@functools.cache
def has_netem() -> bool:
    """Whether the kernel can delay packets as it is told; tried in a passing namespace."""
    try:
        run("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", *_NETEM)
    except RuntimeError:
        return False
    return True


_BRIDGE = f"{NAME}b"


def _namespace(node_id: int) -> str:
    return f"{NAME}n{node_id}"


def _cable(node_id: int) -> str:
    """The root's end of the node's cable."""
    return f"{NAME}v{node_id}"


def _free_prefix() -> str:
    """The first three numbers of addresses that no link of this machine has."""
    taken = run("ip", "-4", "-o", "address", "show")
    for number in range(os.getpid(), os.getpid() + _BLOCKS):
        prefix = f"198.{18 + number % _BLOCKS // 256}.{number % 256}"
        if f" {prefix}." not in taken:
            return prefix
    raise RuntimeError("all of 198.18.0.0/15 is taken: remove old bridges (ip link)")
