"""A majority is lost for good, and the cluster goes on with what one node held."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from kvstore import Client

from .cluster import Cluster, eventually, running
from .conftest import MakeCluster
from .revisions import Writer
from .successors import BUMP, Alone, run, told

pytestmark = pytest.mark.process


def addresses(cluster: Cluster, *node_ids: int) -> list[str]:
    nodes = [cluster.nodes[node_id] for node_id in node_ids or cluster.nodes]
    return [f"{node.host}:{node.port}" for node in nodes]


def test_one_directory_goes_on_alone_with_all_that_it_held(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    old = make_cluster()
    leader = old.wait_for_leader()
    last = 0
    with Client(addresses(old), timeout_ms=20_000) as client:
        for number in range(500):
            last = client.put(b"%04d" % number, b"value %d" % number).revision
        old.wait_until_level()
        survivor = next(node_id for node_id in old.nodes if node_id != leader)
        lost = [node_id for node_id in old.nodes if node_id != survivor]
        # Written to the survivor's log, and not known there to be committed when it is killed.
        client.put(b"late", b"1")
    data_dir = old.nodes[survivor].data_dir
    refused = run("recover", "--data", str(data_dir), "--yes", code=3)
    assert "in use by process" in refused.stderr
    old.kill(*lost)
    run("backup", str(tmp_path / "last"), "--to", *addresses(old, survivor))
    run("verify", str(tmp_path / "last"))
    old.kill(survivor)
    for node_id in lost:
        shutil.rmtree(old.nodes[node_id].data_dir)
    asked = run("recover", "--data", str(data_dir), code=2)
    assert "known to be committed: all up to entry" in asked.stdout
    assert "say --yes" in asked.stderr
    done = told("recover", "--data", str(data_dir), "--yes")
    assert done["node"] == survivor
    assert done["last_index"] >= done["applied_index"] > 500
    old.start(survivor)  # with the settings of before, the old cluster's name among them
    eventually(lambda: old.status(survivor).role == "leader", "it leads alone")
    with Client(addresses(old, survivor)) as client:
        assert client.status().cluster_id == done["cluster"]
    old.kill(survivor)
    (tmp_path / "alone").mkdir()
    shutil.move(data_dir, tmp_path / "alone" / data_dir.name)
    alone = Alone(tmp_path / "alone", survivor)
    with running(alone):
        alone.wait_for_leader()
        with Client(addresses(alone), timeout_ms=20_000) as client:
            found = {item.key: item.value for item in client.scan()}
            wanted = {b"%04d" % number: b"value %d" % number for number in range(500)}
            assert {**wanted, b"late": b"1"} == {b"late": b"1", **found}
            token = client.put(b"lock", b"mine").revision
            assert token > BUMP > last
            assert client.status().term > done["term"] - 1
        alone.kill(survivor)
        alone.restart(survivor)
        alone.wait_for_leader()
        assert not alone.audit()
        assert_old_nodes_are_refused(old, alone, lost[0], survivor)


def assert_old_nodes_are_refused(old: Cluster, new: Cluster, lost: int, survivor: int) -> None:
    """One of the lost nodes is back after all, and asks where the survivor was."""
    port = new.nodes[survivor].port
    peers = f"{survivor}=127.0.0.1:{port},{6 - lost - survivor}=127.0.0.1:1"
    node = old.nodes[lost]
    node.spawn(old.command(lost, peers=peers), old.process_environ())
    told = "belongs to cluster"
    eventually(lambda: told in node.log.rpartition("listening on")[2], "it is told of the mix-up")
    status = new.status(survivor)
    assert status.role == "leader"
    node.end(signal.SIGKILL)


def test_each_directory_of_a_cluster_that_died_under_load_holds_all_of_one_moment(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    """Key by key, as of the revision that it came to; what was acknowledged, a majority holds."""
    old = make_cluster()
    old.wait_for_leader()
    writer = Writer(old, patience_ms=5_000)
    writer.fill()
    with writer.at_work():
        eventually(lambda: len(writer.written) > 200, "the writer is at work")
        old.kill(*old.nodes)
    writer.client.close()
    acknowledged = writer.written[-1][0]
    came_to = []
    for survivor, node in old.nodes.items():
        place = tmp_path / f"alone{survivor}"
        place.mkdir()
        shutil.copytree(node.data_dir, place / f"n{survivor}")
        done = told("recover", "--data", str(place / f"n{survivor}"), "--yes")
        came_to.append(done["revision"] - BUMP)
        with running(Alone(place, survivor)) as alone:
            alone.wait_for_leader()
            with Client(addresses(alone), timeout_ms=20_000) as client:
                found = {item.key: (item.value, item.mod_revision) for item in client.scan()}
            assert not alone.audit()
        assert found == held_at(writer, came_to[-1])
    assert sum(revision >= acknowledged for revision in came_to) >= 2


def held_at(writer: Writer, revision: int) -> dict[bytes, tuple[bytes, int]]:
    """What a directory of that revision must hold; the last write may be the one in doubt."""
    if revision > writer.written[-1][0]:
        writer.written.append((revision, writer.in_doubt))
    return writer.as_of(revision)
