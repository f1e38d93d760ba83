"""A cluster under load is saved by each of its nodes, and a new one made of it, key by key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kvstore import Client
from kvstore.errors import KvstoreError, RefusedError

from .cluster import Cluster, eventually, running
from .conftest import MakeCluster
from .revisions import Writer
from .successors import BUMP, Restored, told

pytestmark = pytest.mark.process


def address_of(cluster: Cluster, node_id: int) -> str:
    node = cluster.nodes[node_id]
    return f"{node.host}:{node.port}"


def test_backups_of_a_cluster_under_load_make_new_clusters_with_all_data_of_one_moment(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    old = make_cluster(environ={"KVSTORE_LOG_FORMAT": "text"})
    leader = old.wait_for_leader()
    writer = Writer(old)
    writer.fill()
    saved = {}
    with writer.at_work():
        eventually(lambda: len(writer.written) > 50, "the writer is at work")
        for node_id in old.nodes:
            file = tmp_path / f"of{node_id}"
            saved[node_id] = told("backup", str(file), "--to", address_of(old, node_id))
            assert saved[node_id]["node"] == address_of(old, node_id)
    for node_id, said in saved.items():
        verified = told("verify", str(tmp_path / f"of{node_id}"))
        assert {name: verified[name] for name in ("index", "revision")} == {
            name: said[name] for name in ("index", "revision")
        }
        assert verified["keys"] == len(writer.as_of(said["revision"]))
    last_token = writer.client.put(b"lock", b"held").revision
    follower = next(node_id for node_id in old.nodes if node_id != leader)
    new = Restored(tmp_path / "new", 3)
    (tmp_path / "new").mkdir()
    made = [new.restore(node_id, tmp_path / f"of{follower}") for node_id in new.nodes]
    assert len({one["cluster"] for one in made}) == 1
    with running(new):
        new.wait_for_leader()
        nodes = [address_of(new, node_id) for node_id in new.nodes]
        with Client(nodes, timeout_ms=20_000) as client:
            assert {
                item.key: (item.value, item.mod_revision) for item in client.scan()
            } == writer.as_of(saved[follower]["revision"])
            token = client.put(b"lock", b"mine").revision
            assert token > BUMP > last_token
            assert client.status().cluster_id == made[0]["cluster"]
        new.wait_until_level()
        with pytest.raises(KvstoreError):
            # It knows the old cluster, and takes the new one for a stranger.
            Client.backup(writer.client, Nowhere(), nodes[0])
        assert not new.audit()
        assert not_one_session_is_known(nodes)
    writer.client.close()
    assert old.audit() == []


class Nowhere:
    def write(self, _data: bytes) -> None:
        raise AssertionError("a piece came from another cluster")


def not_one_session_is_known(nodes: list[str]) -> bool:
    """A session of before is over: who goes on under it is refused."""
    from kvstore import api

    with Client(nodes, exactly_once=False) as client, pytest.raises(RefusedError) as refused:
        client.execute(api.Once(2, 9, api.Put(b"k", b"v")))
    return refused.value.code == "NOSESSION"


def test_a_restored_directory_is_refused_under_another_name_and_never_made_twice(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    old = make_cluster(1)
    old.wait_for_leader()
    file = tmp_path / "backup"
    told("backup", str(file), "--to", address_of(old, 1))
    (tmp_path / "new").mkdir()
    new = Restored(tmp_path / "new", 1)
    try:
        made = new.restore(1, file)
        again = subprocess.run(
            [*new.command(1), "--cluster=other"], capture_output=True, text=True, check=False
        )
        assert again.returncode == 3
        assert made["cluster"] in again.stderr
        refused = told("restore", str(file), *restore_words(new), code=3)
        assert refused["error"]["code"] == "DIRECTORY"
        new.start()
        new.wait_for_leader()
    finally:
        new.close()


def restore_words(cluster: Cluster) -> list[str]:
    command = cluster.command(1)
    return command[command.index("serve") + 1 :]
