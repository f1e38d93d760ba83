"""How a node starts and stops: when callers come in, what it says meanwhile, what signals do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.samples import noop, open_node

from kvstore.config.limits import MAP_BYTES_CEILING
from kvstore.raft.types import DurableUpdate, HardState

from .cluster import CLUSTER_NAME, DEADLINE_S, ROOT, Cluster, eventually
from .conftest import MakeCluster
from .proxy import Reservation
from .resp import ask, dial
from .steps import assert_holds_everywhere, assert_refuses, others, put
from .test_handover import stopping_ms

pytestmark = pytest.mark.process

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENTRIES = 100

# It stops itself where it is about to check its log, so that no test has to be fast. The first
# look is at whose it is.
_STANDS_STILL = """
import os, signal, sys
seen = []
def stop(event, arguments):
    if event == "open" and str(arguments[0]).endswith("raft/data.mdb") and len(seen) < 2:
        seen.append(event)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(stop)
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Cluster]:
    """A node that was not started yet."""
    cluster = Cluster(tmp_path, size=1)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def starting(stopped: Cluster) -> Cluster:
    """A node that stands still in the middle of the checks of its start."""
    cluster = stopped
    node = cluster.nodes[1]
    directory = open_node(node.data_dir, cluster_id=CLUSTER_NAME, members=[1])
    entries = [noop(index, 1, 1) for index in range(1, ENTRIES + 1)]
    directory.log.write(DurableUpdate(HardState(1), None, entries))
    directory.close()
    python, option, boot, *words = cluster.command(1)
    node.spawn([python, option, _STANDS_STILL + boot, *words], cluster.process_environ())
    cluster.wait_until_stopped(1)
    return cluster


def test_a_start_tells_how_far_it_is_and_lets_nobody_in_before_it_can_answer(
    starting: Cluster,
) -> None:
    node = starting.nodes[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.host, node.port), 5.0)
    paused_s = time.monotonic()
    eventually(lambda: time.monotonic() > paused_s + 1.1, "a second has passed")
    starting.resume(1)
    starting.wait_until_answers(1)
    said, _, _ = node.log.partition("listening on")
    assert f" of {ENTRIES} log entries (" in said


def test_an_address_that_is_in_use_is_told_before_anything_is_looked_at(stopped: Cluster) -> None:
    node = stopped.nodes[1]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((node.host, node.port))
        other.listen()
        done = stopped.run_to_end(1)
    assert done.returncode == 2
    assert f"cannot listen on {node.host}:{node.port}" in done.stderr
    assert not node.data_dir.exists()


@pytest.mark.parametrize("number", STOPS)
def test_a_start_ends_when_it_is_told_to_stop(starting: Cluster, number: signal.Signals) -> None:
    node = starting.nodes[1]
    assert node.process is not None
    node.process.send_signal(number)
    assert node.end(signal.SIGCONT) == 0
    assert "stopped while it was starting" in node.log
    starting.restart(1)


def test_maps_as_large_as_may_be_can_be_had(make_cluster: MakeCluster) -> None:
    """They are address space: neither memory nor room on the disk."""
    most = f"{MAP_BYTES_CEILING >> 40}TiB"
    sizes = {"KVSTORE_LOG_MAP_BYTES": most, "KVSTORE_STATE_MAP_BYTES": most}
    cluster = make_cluster(size=1, environ=sizes)
    cluster.wait_for_leader()
    put(cluster, 1, "k", "v")
    cluster.kill(1)
    cluster.restart(1)
    assert_holds_everywhere(cluster, {"k": "v"})


def test_a_start_without_the_address_space_for_a_map_says_so(stopped: Cluster) -> None:
    """Damage is not the matter, and --join would be the wrong thing to do."""
    limited = ["sh", "-c", 'ulimit -v 4194304; exec "$@"', "sh"]
    for given in ({}, {"log-map-bytes": "1GiB"}):
        done = subprocess.run(
            [*limited, *stopped.command(1, **given)],
            cwd=ROOT,
            env=stopped.process_environ(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        setting = "--state-map-bytes" if given else "--log-map-bytes"
        assert_refuses(done, "4096 MiB are allowed", "`ulimit -v`", f"a smaller {setting}")
        assert done.returncode == 3
        assert "damage" not in done.stderr
        assert "rejoin" not in done.stderr
    small = {"log-map-bytes": "1GiB", "state-map-bytes": "1GiB"}
    stopped.nodes[1].spawn([*limited, *stopped.command(1, **small)], stopped.process_environ())
    stopped.wait_until_answers(1)


@pytest.mark.parametrize("number", STOPS)
def test_whatever_tells_a_node_to_stop_has_it_hand_over_and_end_in_order(
    make_cluster: MakeCluster, number: signal.Signals
) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    assert cluster.nodes[leader].end(number) == 0
    assert f"shutting down  signal={number.name}\n" in cluster.nodes[leader].log
    assert "handing leadership to node " in cluster.nodes[leader].log
    assert cluster.nodes[leader].log.rstrip().endswith("stopped")


def test_signals_that_mean_nothing_change_nothing_and_say_so(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(size=1)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        cluster.nodes[1].send(number)
        cluster.wait_for_log(1, f"{number.name} means nothing to a node")
    with dial(cluster.nodes[1].port, DEADLINE_S) as connection:
        assert ask(connection, b"PING") == "+PONG"
    assert cluster.nodes[1].starts == 1


@pytest.mark.timed
def test_who_is_told_again_to_stop_waits_for_nobody(make_cluster: MakeCluster) -> None:
    """The heir is frozen, and would be waited for as long as an election takes."""
    cluster = make_cluster(environ={"KVSTORE_ELECTION_MS": "3000-6000"})
    leader = cluster.wait_for_leader()
    cluster.wait_until_level()
    for node_id in others(cluster, leader):
        cluster.pause(node_id)
    node = cluster.nodes[leader]
    node.send(signal.SIGTERM)
    cluster.wait_for_log(leader, "handing leadership to node ")
    told_s = time.monotonic()
    eventually(lambda: time.monotonic() > told_s + 0.5, "it is another request")
    assert node.end(signal.SIGTERM) == 0
    assert "told to stop again: waits for nobody" in node.log
    assert stopping_ms(node.log) < 2_500


def test_ctrl_c_ends_the_nodes_of_make_cluster_once_and_leaves_nothing(tmp_path: Path) -> None:
    """All of the terminal's processes get it: make, its shell, and the nodes."""
    reservations = {node_id: Reservation() for node_id in (1, 2, 3)}
    members = ",".join(f"{n}=127.0.0.1:{one.port}" for n, one in reservations.items())
    command = tmp_path / "kvstore"
    command.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "number = sys.argv[3]\n"
        f"members = dict(one.split('=') for one in {members!r}.split(','))\n"
        "port = members.pop(number).rpartition(':')[2]\n"
        "peers = ','.join('='.join(one) for one in members.items())\n"
        f"more = ['--port', port, '--peers', peers, '--data', f'{tmp_path}/n' + number]\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'kvstore', *sys.argv[1:], *more])\n"
    )
    command.chmod(0o755)
    log = tmp_path / "log"
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "-o", ".venv/.ready", "cluster", f"BIN={tmp_path}"],
            cwd=ROOT,
            env=Cluster.clean_environ(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        eventually(lambda: "following leader" in log.read_text(), "they have a leader")
        os.killpg(make.pid, signal.SIGINT)
        make.wait(DEADLINE_S)
        with pytest.raises(ProcessLookupError):
            os.killpg(make.pid, 0)
        said = log.read_text()
        assert said.count("shutting down") == said.count(" stopped\n") == 3
        assert "told to stop again" not in said
    finally:
        # The group is named for make, which this test has started, and holds what make started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGKILL)
        for reservation in reservations.values():
            reservation.release()


def test_a_node_starts_without_standard_streams_and_gives_their_numbers_to_no_file(
    tmp_path: Path,
) -> None:
    """Who prints would write into that file."""
    cluster = Cluster(tmp_path, 1)
    node = cluster.nodes[1]
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    try:
        node.spawn(["sh", "-c", script, *cluster.command(1)], cluster.process_environ())
        cluster.wait_until_answers(1)
        assert node.process is not None
        held = [os.readlink(f"/proc/{node.process.pid}/fd/{number}") for number in range(3)]
        assert held == ["/dev/null"] * 3
    finally:
        cluster.close()
