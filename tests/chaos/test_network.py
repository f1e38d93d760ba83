"""The network between nodes loses what it is told to lose, nothing else, and is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from process.cluster import eventually

from .conftest import needs_root
from .machine import made_by, remove_leftovers, run
from .network import Network, Way

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]

PORTS = {1: 9_001, 2: 9_002, 3: 9_003}
BULK_BYTES = 40_000

_ECHO = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(1, 9)
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    connection, _ = listener.accept()
    while data := connection.recv(1 << 16):
        connection.sendall(data)
"""
_CALL = """
import socket, sys
address, port, size = sys.argv[1], *map(int, sys.argv[2:])
with socket.create_connection((address, port), 1.0 + size / 10_000) as connection:
    connection.sendall(bytes(size))
    while size:
        received = len(connection.recv(1 << 16))
        assert received, "hung up"
        size -= received
"""


@pytest.fixture
def network() -> Iterator[Network]:
    """With an echo on each node."""
    network = Network(PORTS)
    echoes = []
    with network.made():
        for node_id, port in PORTS.items():
            words = [sys.executable, "-c", _ECHO, network.host(node_id), str(port)]
            echoes.append(subprocess.Popen([*network.enter(node_id), *words]))
        try:
            eventually(lambda: all(hears(network, *pair) for pair in pairs()), "all hear all")
            yield network
        finally:
            for echo in echoes:
                echo.kill()
                echo.wait()


def pairs() -> Iterator[tuple[int, int]]:
    return permutations(PORTS, 2)


def hears(network: Network, sender: int, recipient: int, size: int = 1) -> bool:
    """Whether the recipient sends back what the sender says; 0 is a client outside."""
    enter = network.enter(sender) if sender else []
    address = (network.host(recipient), str(PORTS[recipient]))
    try:
        run(*enter, sys.executable, "-c", _CALL, *address, str(size))
    except RuntimeError:
        return False
    return True


def all_hear_but(network: Network, *deaf: tuple[int, int]) -> None:
    """These pairs do not get through, and all others do."""
    for pair in deaf:
        assert not hears(network, *pair), pair
    for pair in {*pairs(), *((0, node_id) for node_id in PORTS)} - set(deaf):
        eventually(lambda pair=pair: hears(network, *pair), f"{pair} get through")


def test_a_lost_link_silences_one_way_and_leaves_the_other(network: Network) -> None:
    network.set({(1, 2): Way.LINK})
    all_hear_but(network, (1, 2))
    assert network.dropped_packets()
    network.heal()
    all_hear_but(network)


def test_packets_lost_one_way_silence_both_because_tcp_is_answered(network: Network) -> None:
    network.set({(1, 2): Way.PACKETS})
    all_hear_but(network, (1, 2), (2, 1))


def test_an_unplugged_node_hears_nobody_and_is_plugged_in_again(network: Network) -> None:
    network.unplug(3)
    all_hear_but(network, (0, 3), (1, 3), (2, 3), (3, 1), (3, 2))
    network.heal()
    all_hear_but(network)


def test_a_lossy_network_loses_some_packets_and_not_all(network: Network) -> None:
    network.set(dict.fromkeys(pairs(), Way.LOSSY))
    eventually(lambda: hears(network, 1, 2) and network.dropped_packets(), "some are lost")


def test_a_slow_network_takes_its_time(network: Network) -> None:
    def bulk_s() -> float:
        began = time.monotonic()
        eventually(lambda: hears(network, 0, 1, BULK_BYTES), "the bulk comes back")
        return time.monotonic() - began

    fast_s = min(bulk_s() for _ in range(3))
    network.slow_down(1)
    assert min(bulk_s() for _ in range(2)) > fast_s + 0.1


_KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[1:]
from pathlib import Path
from chaos.disks import Disk
from chaos.network import Network
with Network({1: 9_001}).made(), Disk(Path.cwd(), 1).made():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    roots = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    killed = subprocess.Popen([sys.executable, "-c", _KILLED, *roots], cwd=tmp_path)
    # Until it is waited for its id is in use: nobody beside us removes what it left.
    ended = os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_status == signal.SIGKILL
    assert len(made_by(killed.pid)) == 5, "bridge, cable, namespace, firewall, disk"
    remove_leftovers()
    assert len(made_by(killed.pid)) == 5, "they are not removed while it lives"
    killed.wait()
    remove_leftovers()
    assert made_by(killed.pid) == []
