"""One client shared by processes, threads and copies: every acknowledged write is there."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence

import pytest

import kvstore
from kvstore import Client

from .cluster import Cluster, eventually
from .conftest import MakeCluster

pytestmark = pytest.mark.process

FAST = {"KVSTORE_HEARTBEAT_MS": "50", "KVSTORE_ELECTION_MS": "300-600"}
PATIENCE_MS = 60_000
PRELUDE = """
import os, sys
import multiprocessing
from kvstore import Client

client = Client(sys.argv[1].split(","), timeout_ms=60_000)

def write(writer, count):
    '''Put keys of its own, count them too, and say what was acknowledged.'''
    for n in range(count):
        key = f"{writer}.{n}"
        assert client.put(key, key).written
        client.increment("count")
        os.write(1, f"{key}\\n".encode())
"""


def addresses(cluster: Cluster) -> list[str]:
    return [f"{node.host}:{node.port}" for node in cluster.nodes.values()]


def start(cluster: Cluster, program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program)]
    return subprocess.Popen(
        [*command, ",".join(addresses(cluster))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged(process: subprocess.Popen[str]) -> list[str]:
    """The keys that a program says were acknowledged, at its end."""
    out, err = process.communicate(timeout=2 * PATIENCE_MS / 1_000)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    return out.split()


def check(cluster: Cluster, keys: Sequence[str], expected: int) -> None:
    assert len(keys) == expected
    with Client(addresses(cluster), timeout_ms=PATIENCE_MS) as client:
        missing = [key for key in keys if client.get(key) is None]
        counted = client.get("count")
    assert missing == []
    assert counted is not None
    assert int(counted.value) == expected


def test_two_forked_processes_lose_nothing(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=FAST)
    cluster.wait_for_leader()
    program = """
        write("parent", 1)
        fork = multiprocessing.get_context("fork").Process
        children = [fork(target=write, args=(f"child{n}", 60)) for n in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
        write("parent2", 3)
        """
    check(cluster, acknowledged(start(cluster, program)), 1 + 2 * 60 + 3)


def test_workers_of_a_server_that_used_its_client_before_it_forked_lose_nothing(
    make_cluster: MakeCluster,
) -> None:
    """As gunicorn does with --preload; workers are replaced, and the leader is killed meanwhile."""
    cluster = make_cluster(environ=FAST)
    leader = cluster.wait_for_leader()
    program = """
        write("before", 2)
        for generation in range(2):
            workers = []
            for n in range(3):
                pid = os.fork()
                if pid == 0:
                    write(f"worker{generation}.{n}", 20)
                    sys.exit()
                workers.append(pid)
            write(f"master{generation}", 20)
            for pid in workers:
                assert os.waitpid(pid, 0)[1] == 0
        """
    process = start(cluster, program)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "before.0"
    cluster.kill(leader)
    check(cluster, ["before.0", *acknowledged(process)], 2 + 2 * (3 * 20 + 20))


def test_eight_threads_on_one_client_lose_nothing_in_a_failover(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=FAST)
    leader = cluster.wait_for_leader()
    count, writes = 8, 25
    keys: list[str] = []
    errors: list[kvstore.KvstoreError] = []
    with Client(addresses(cluster), timeout_ms=PATIENCE_MS) as client:

        def run(thread: int) -> None:
            try:
                for n in range(writes):
                    key = f"{thread}.{n}"
                    assert client.put(key, key).written
                    client.increment("count")
                    keys.append(key)
            except kvstore.KvstoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(keys) > 30, "the threads are at work")
        cluster.kill(leader)
        for thread in threads:
            thread.join(2 * PATIENCE_MS / 1_000)
            assert not thread.is_alive()
        assert errors == []
    check(cluster, keys, count * writes)


def test_copies_that_take_turns_are_each_told_of_their_own_write(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=FAST)
    cluster.wait_for_leader()
    keys: list[str] = []
    with Client(addresses(cluster), timeout_ms=PATIENCE_MS) as client:
        client.put("first", "first")
        with copy.deepcopy(client) as other, copy.copy(other) as third:
            for n in range(20):
                for name, one in (("client", client), ("other", other), ("third", third)):
                    keys.append(f"{name}.{n}")
                    assert one.put(keys[-1], keys[-1]).written
                    one.increment("count")
    check(cluster, keys, 60)
