"""Redis clients as people have them: redis-py, redis-cli and redis-benchmark, unchanged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
import redis

from .cluster import DEADLINE_S, Cluster, eventually, running

pytestmark = pytest.mark.process

KEY_BYTES_MAX = 480
VALUE_BYTES_MAX = 1 << 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # Elections are rare here: what these tests ask for does not depend on them.
    environ = {"KVSTORE_ELECTION_MS": "1500-2500"}
    with running(Cluster(tmp_path_factory.mktemp("clients"), environ=environ)) as cluster:
        yield cluster


@pytest.fixture
def leader(cluster: Cluster) -> int:
    return cluster.wait_for_leader()


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(cluster: Cluster, leader: int, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with cluster.client(leader, protocol=request.param, decode_responses=True) as client:
        yield client


def run_tool(name: str, cluster: Cluster, node_id: int, *arguments: str) -> str:
    tool = shutil.which(name)
    if tool is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [tool, "-p", str(cluster.nodes[node_id].port), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def test_redis_py_with_its_defaults_works(cluster: Cluster, leader: int) -> None:
    with redis.Redis(port=cluster.nodes[leader].port) as client:
        assert client.ping()
        assert client.set("plain", "1")
        assert client.get("plain") == b"1"
        assert client.delete("plain") == 1
        assert client.get("plain") is None
        assert client.info()["raft_role"] == "leader"


def test_the_commands_do_what_redis_says(client: redis.Redis) -> None:
    assert client.echo("hello") == "hello"
    assert client.mset({"m1": "a", "m2": "b"})
    assert client.mget("m1", "m2", "none") == ["a", "b", None]
    assert client.exists("m1", "m2", "none") == 2
    assert client.strlen("m1") == 1
    assert client.set("m1", "c", nx=True) is None
    assert client.set("none", "c", xx=True) is None
    assert client.set("m1", "c", xx=True, get=True) == "a"
    assert client.execute_command("SET", "m1", "d", "IFEQ", "c")
    assert client.execute_command("SET", "m1", "e", "IFEQ", "c") is None
    assert client.get("m1") == "d"
    assert [client.incr("n"), client.incrby("n", 5), client.decr("n")] == [1, 6, 5]
    assert client.dbsize() == 3
    assert set(client.scan_iter(match="m*")) == {"m1", "m2"}
    assert client.delete("m1", "m2", "n", "none") == 3
    assert client.dbsize() == 0


def test_a_pipeline_of_a_thousand_keeps_its_order(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number in range(500):
            pipeline.set("same", number)
            pipeline.get("same")
        replies = pipeline.execute()
    assert replies[1::2] == [str(number) for number in range(500)]
    assert client.delete("same") == 1


def test_values_are_bytes_and_not_text(cluster: Cluster, leader: int) -> None:
    key, value = bytes(range(256)), bytes(reversed(range(256))) * 16
    with cluster.client(leader) as client:
        client.set(key, value)
        assert client.get(key) == value
        assert client.delete(key) == 1


def test_errors_leave_the_connection_in_use(client: redis.Redis) -> None:
    for words in (
        ["NOSUCHCOMMAND", "x"],
        ["GET"],
        ["GET", "a", "b"],
        ["SET", "a"],
        ["SELECT", "1"],
    ):
        with pytest.raises(redis.ResponseError):
            client.execute_command(*words)
        assert client.ping()
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="integer"):
        client.incr("text")
    assert client.delete("text") == 1


def test_keys_and_values_at_their_limits_pass_and_beyond_are_refused(client: redis.Redis) -> None:
    key, value = "k" * KEY_BYTES_MAX, "v" * VALUE_BYTES_MAX
    assert client.set(key, value)
    assert client.get(key) == value
    with pytest.raises(redis.ResponseError, match="480"):
        client.set(key + "k", "x")
    with pytest.raises(redis.ResponseError, match="1048576"):
        client.set("long", value + "v")
    assert client.exists("long") == 0
    assert client.delete(key) == 1


def test_an_empty_value_is_a_value(client: redis.Redis) -> None:
    assert client.set("empty", "")
    assert client.get("empty") == ""
    assert client.delete("empty") == 1


def test_a_follower_points_at_the_leader_and_reads_only_when_told(
    cluster: Cluster, leader: int
) -> None:
    follower = next(node_id for node_id in cluster.nodes if node_id != leader)
    with cluster.client(leader) as client:
        client.set("seen", "x")
    cluster.wait_until_level()
    with cluster.client(follower, single_connection_client=True) as client:
        for words in (["SET", "seen", "y"], ["GET", "seen"], ["DEL", "seen"]):
            with pytest.raises(redis.ResponseError, match=f"NOTLEADER .* try node {leader} at "):
                client.execute_command(*words)
        assert client.execute_command("READONLY")
        assert client.get("seen") == b"x"
    with cluster.client(leader) as client:
        assert client.delete("seen") == 1


def test_a_library_is_told_of_the_leader_as_redis_cluster_does(
    cluster: Cluster, leader: int
) -> None:
    follower = next(node_id for node_id in cluster.nodes if node_id != leader)
    node = cluster.nodes[follower]
    with (
        redis.Redis(node.host, node.port) as client,
        pytest.raises(redis.exceptions.MovedError) as caught,
    ):
        client.set("seen", "y")
    assert (caught.value.host, caught.value.port) == (node.host, cluster.nodes[leader].port)


def test_redis_cli_works(cluster: Cluster, leader: int) -> None:
    assert run_tool("redis-cli", cluster, leader, "SET", "cli", "a value") == "OK"
    assert run_tool("redis-cli", cluster, leader, "-3", "GET", "cli") == "a value"
    assert run_tool("redis-cli", cluster, leader, "--scan", "--pattern", "cl*") == "cli"
    assert "raft_role:leader" in run_tool("redis-cli", cluster, leader, "INFO")
    assert run_tool("redis-cli", cluster, leader, "DEL", "cli") == "1"


def test_redis_benchmark_works(cluster: Cluster, leader: int) -> None:
    arguments = ("-t", "ping,set,get,incr", "-n", "2000", "-c", "20", "-q")
    said = run_tool("redis-benchmark", cluster, leader, *arguments)
    assert said.count("requests per second") >= 4
    assert "error" not in said.lower()


def test_a_leader_tells_monitors_of_its_followers(cluster: Cluster, leader: int) -> None:
    ports = [node.port for node_id, node in cluster.nodes.items() if node_id != leader]
    with cluster.client(leader) as client:
        client.set("told", "1")

        def all_are_level() -> bool:
            info = client.info("replication")
            slaves = [value for name, value in info.items() if name.startswith("slave")]
            return [(slave["port"], slave["offset"]) for slave in slaves] == [
                (port, info["master_repl_offset"]) for port in ports
            ]

        eventually(all_are_level, "both followers are told, with all of the log")
        client.delete("told")


def test_every_node_names_the_leader_as_the_owner_of_all_slots(
    cluster: Cluster, leader: int
) -> None:
    for node_id in cluster.nodes:
        with cluster.client(node_id) as client:
            ((first, last, owner, *replicas),) = client.execute_command("CLUSTER SLOTS")
        assert (first, last) == (0, 16_383)
        assert owner[1] == cluster.nodes[leader].port
        ports = {owner[1], *(replica[1] for replica in replicas)}
        assert ports == {node.port for node in cluster.nodes.values()}
