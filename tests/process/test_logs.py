"""What real servers write to standard error, for machines that read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster
from .conftest import MakeCluster
from .steps import put_anywhere

pytestmark = pytest.mark.process

JSON = {"KVSTORE_LOG_FORMAT": "json"}
CRASH = """
import sys
from kvstore.cli.main import main
from kvstore.server import loop
def fail(read_settings):
    read_settings()
    raise RuntimeError("nobody thought of it")
loop.serve = fail
sys.exit(main())
"""


def records(text: str) -> list[dict[str, Any]]:
    """Every line is one JSON object, with all that every event has."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        assert isinstance(record["code"], str), record
        assert "node" in record, record
        assert record["level"] in ("info", "warning", "error", "critical")
    return found


def serve(*words: object, boot: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a server that ends by itself."""
    start = ["-c", boot] if boot else ["-m", "kvstore"]
    return subprocess.run(
        [sys.executable, *start, "serve", *map(str, words)],
        cwd=ROOT,
        env={**Cluster.clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def last_record(done: subprocess.CompletedProcess[str], code: int) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    return records(done.stderr)[-1]


def test_all_that_a_server_says_is_json(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=JSON)
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    cluster.kill(leader)
    cluster.wait_for_leader()
    cluster.restart(leader)
    cluster.wait_until_level()
    for node_id in cluster.nodes:
        assert cluster.terminate(node_id) == 0
    for node_id, node in cluster.nodes.items():
        said = records(node.log)
        assert {record["node"] for record in said} == {node_id}
        assert {"listening", "became_follower", "stopped"} <= {record["code"] for record in said}


@pytest.mark.parametrize(
    ("words", "environ", "code", "said"),
    [
        ("--log-format json --prot 9001", {}, "usage", "--prot"),
        ("--log-format json stray", {}, "usage", "stray"),
        ("--log-format json", {}, "config", "say which node this is"),
        ("--id 1", {"KVSTORE_LOG_FORMAT": "json", "KVSTORE_PEER": "9002"}, "config", "PEERS"),
        ("--id 1 --log-format json --config gone.toml", {}, "config", "cannot read gone.toml"),
    ],
)
def test_wrong_usage_is_json_too(words: str, environ: dict[str, str], code: str, said: str) -> None:
    record = last_record(serve(*words.split(), **environ), 2)
    assert (record["level"], record["code"], record["node"]) == ("critical", code, None)
    assert said in record["event"]


def test_a_file_that_is_no_toml_tells_its_format_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text('log_format = "json"\nid = \n')
    record = last_record(serve("--config", file), 2)
    assert "is not a TOML file" in record["event"]


def test_why_a_server_ends_is_json(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster(1, environ=JSON)
    put_anywhere(cluster, "one")
    port_taken = last_record(cluster.run_to_end(1, data=tmp_path / "other"), 2)
    assert (port_taken["code"], port_taken["node"]) == ("config", 1)
    assert cluster.terminate(1) == 0
    refused = last_record(cluster.run_to_end(1, cluster="another"), 3)
    assert (refused["code"], refused["level"]) == ("directory_refused", "critical")
    os.truncate(cluster.nodes[1].data_dir / "raft" / "data.mdb", 5_000)
    damaged = last_record(cluster.run_to_end(1), 3)
    assert damaged["code"] == "damaged"
    cluster.is_audited = False


def test_a_directory_that_others_may_enter_is_one_warning_a_start(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1, environ=JSON)
    node = cluster.nodes[1]
    node.data_dir.mkdir(parents=True)
    node.data_dir.chmod(0o755)
    try:
        cluster.restart(1)
        assert cluster.terminate(1) == 0
        (warning,) = (one for one in records(node.log) if one["level"] == "warning")
        assert warning["code"] == "directory_exposed"
        assert f"`chmod 700 {node.data_dir}`" in warning["event"]
    finally:
        cluster.close()


def test_a_crash_is_json_and_has_an_exit_code_of_its_own() -> None:
    record = last_record(serve("--id", 1, "--log-format", "json", boot=CRASH), 70)
    assert (record["code"], record["node"]) == ("crashed", 1)
    assert "RuntimeError: nobody thought of it" in record["event"]
    assert "Traceback" in record["exception"]
    done = serve("--id", 1, boot=CRASH)
    assert done.returncode == 70
    assert "critical [node 1] ended by a mistake of its own" in done.stderr


def test_a_planned_restart_of_all_nodes_is_no_warning(make_cluster: MakeCluster) -> None:
    """Who is woken at night should be needed."""
    cluster = make_cluster(environ={**JSON, "KVSTORE_ELECTION_MS": "1500-3000"})
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    for node_id in (leader, *(other for other in cluster.nodes if other != leader)):
        assert cluster.terminate(node_id) == 0
        cluster.restart(node_id)
        cluster.wait_for_leader()
        cluster.wait_until_level()
    for node in cluster.nodes.values():
        assert [one for one in records(node.log) if one["level"] != "info"] == []


def test_a_leader_that_is_frozen_warns_of_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(environ=JSON)
    old = cluster.wait_for_leader()
    cluster.pause(old)
    cluster.wait_for_leader()
    cluster.resume(old)
    cluster.wait_until_level()
    warnings = [one for one in records(cluster.nodes[old].log) if one["level"] == "warning"]
    # Whether the others' word was there before it looked at its clock is chance.
    assert {one["code"] for one in warnings} & {"stood_still", "deposed"}
