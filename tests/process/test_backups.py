"""A cluster under load is saved by each of its nodes, and a new one made of it, key by key."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kvstore import Client
from kvstore.errors import KvstoreError, RefusedError

from .cluster import DEADLINE_S, ROOT, Cluster, eventually, running
from .conftest import MakeCluster

pytestmark = pytest.mark.process

KEYS = 2_000
BUMP = 1 << 40


class Unnamed(Cluster):
    """A cluster whose nodes are not told its name: it has that of its directories."""

    def command(self, node_id: int, **changes: object) -> list[str]:
        words = super().command(node_id, **changes)
        return [word for word in words if not word.startswith("--cluster=")]

    def restore(self, node_id: int, file: Path, *more: str) -> dict[str, Any]:
        """Make the directory of a node from a backup; what the command said."""
        given = self.command(node_id)
        words = given[given.index("serve") + 1 :]
        return kvstore("restore", str(file), *words, *more)


def kvstore(*words: str, code: int = 0) -> dict[str, Any]:
    """What a command comes to with `--json`."""
    ran = subprocess.run(
        [sys.executable, "-m", "kvstore", *words, "--json"],
        cwd=ROOT,
        env=Cluster.clean_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == code, ran
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


class Writer:
    """Writes one after the other, and keeps what each revision wrote."""

    def __init__(self, cluster: Cluster) -> None:
        nodes = [f"{node.host}:{node.port}" for node in cluster.nodes.values()]
        self.client = Client(nodes, timeout_ms=20_000)
        self.written: list[tuple[int, dict[bytes, bytes | None]]] = []
        self._ends = threading.Event()

    def fill(self) -> None:
        for first in range(0, KEYS, 500):
            pairs = {b"%06d" % n: b"%d" % n * 40 for n in range(first, first + 500)}
            self.written.append((self.client.put_many(pairs).revision, {**pairs}))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()

    def _work(self) -> None:
        number = 0
        while not self._ends.is_set():
            number += 1
            one, two = b"%06d" % (number * 37 % KEYS), b"new %d" % number
            value = b"at %d" % number
            revision = self.client.put_many({one: value, two: value}).revision
            self.written.append((revision, {one: value, two: value}))
            if number % 10 == 0:
                gone = b"%06d" % (number * 53 % KEYS)
                deleted = self.client.delete(gone)
                if deleted.deleted:
                    self.written.append((deleted.revision, {gone: None}))

    def as_of(self, revision: int) -> dict[bytes, tuple[bytes, int]]:
        """Value and `mod_revision` of each key by then."""
        found: dict[bytes, tuple[bytes, int]] = {}
        for at, changes in self.written:
            for key, value in changes.items():
                if at <= revision and value is None:
                    found.pop(key, None)
                elif at <= revision and value is not None:
                    found[key] = value, at
        return found


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
            saved[node_id] = kvstore("backup", str(file), "--to", address_of(old, node_id))
            assert saved[node_id]["node"] == address_of(old, node_id)
    for node_id, said in saved.items():
        verified = kvstore("verify", str(tmp_path / f"of{node_id}"))
        assert {name: verified[name] for name in ("index", "revision")} == {
            name: said[name] for name in ("index", "revision")
        }
        assert verified["keys"] == len(writer.as_of(said["revision"]))
    last_token = writer.client.put(b"lock", b"held").revision
    follower = next(node_id for node_id in old.nodes if node_id != leader)
    new = Unnamed(tmp_path / "new", 3)
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
    kvstore("backup", str(file), "--to", address_of(old, 1))
    (tmp_path / "new").mkdir()
    new = Unnamed(tmp_path / "new", 1)
    try:
        refused = kvstore(
            "restore", str(file), *restore_words(old), "--data", str(tmp_path / "x"), code=2
        )
        assert "another name" in refused["error"]["message"]
        made = new.restore(1, file)
        again = subprocess.run(
            [*new.command(1), "--cluster=other"], capture_output=True, text=True, check=False
        )
        assert again.returncode == 3
        assert made["cluster"] in again.stderr
        refused = kvstore("restore", str(file), *restore_words(new), code=3)
        assert refused["error"]["code"] == "DIRECTORY"
        new.start()
        new.wait_for_leader()
    finally:
        new.close()


def restore_words(cluster: Cluster) -> list[str]:
    command = cluster.command(1)
    return command[command.index("serve") + 1 :]
