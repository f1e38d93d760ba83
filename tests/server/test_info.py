"""INFO and CLIENT LIST: what monitors ask for is there, and true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from redis._parsers.helpers import parse_client_list, parse_info

from kvstore.api.glob import COMPILE_STEPS
from kvstore.raft.types import SnapshotName
from kvstore.wire import peer
from kvstore.wire.resp import command

from .line import HEARTBEAT, Line

ASKED_FOR = """
    redis_version redis_mode os arch_bits process_id tcp_port uptime_in_seconds uptime_in_days
    connected_clients blocked_clients maxclients cluster_connections
    used_memory used_memory_human used_memory_rss maxmemory maxmemory_policy total_system_memory
    loading aof_enabled rdb_bgsave_in_progress aof_rewrite_in_progress aof_last_write_status
    total_connections_received total_commands_processed instantaneous_ops_per_sec
    rejected_connections expired_keys evicted_keys
    role connected_slaves master_repl_offset used_cpu_sys used_cpu_user cluster_enabled
"""
"""By redis-cli --stat, redis_exporter and Datadog's agent, as far as there is such a thing here."""


def info(line: Line) -> dict[str, object]:
    reply = line.ask(command(b"INFO"))
    return parse_info(reply.split(b"\r\n", 1)[1])


def clients(line: Line, *words: bytes) -> list[dict[str, str]]:
    reply = line.ask(command(b"CLIENT", b"LIST", *words))
    return parse_client_list(reply.split(b"\r\n", 1)[1].strip())


def test_what_monitors_ask_for_is_there(line: Line) -> None:
    assert set(ASKED_FOR.split()) - info(line).keys() == set()


def test_counts_grow_with_what_they_count(line: Line) -> None:
    before = info(line)
    line.ask(command(b"SET", b"k", b"v") * 10)
    line.connect_anew()
    after = info(line)
    assert after["total_commands_processed"] == before["total_commands_processed"] + 11
    assert after["total_connections_received"] == before["total_connections_received"] + 1
    assert (before["connected_clients"], after["connected_clients"]) == (1, 2)
    assert "db0" not in before
    assert after["db0"] == {"keys": 1, "expires": 0, "avg_ttl": 0}


def test_the_rate_is_that_of_the_last_seconds(line: Line) -> None:
    for _ in range(100):
        line.ask(command(b"PING") * 3)  # Three turns, 50 ms each: twenty commands in a second.
    assert 15 <= info(line)["instantaneous_ops_per_sec"] <= 25
    for _ in range(100):
        line.turn()
    assert info(line)["instantaneous_ops_per_sec"] == 0


def test_uptime_and_memory_are_those_of_the_process(line: Line) -> None:
    began_ms = line.now_ms
    while line.now_ms < began_ms + 90_000:
        line.turn()
    found = info(line)
    assert found["uptime_in_seconds"] == pytest.approx(90, abs=3)
    assert found["process_id"] == os.getpid()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert found["used_memory_rss"] == pytest.approx(resident, rel=0.3)
    assert 0 < found["used_memory"] <= found["used_memory_rss"]


def test_peers_are_no_clients(follower: Line) -> None:
    """Nor is who came when there was no room for clients."""
    follower.greet()
    follower.connect_anew()
    found = info(follower)
    assert found["connected_clients"] == len(clients(follower)) == 1
    assert found["cluster_connections"] == 1


def test_the_links_of_peers_are_counted_as_they_come_and_go(follower: Line) -> None:
    doorkeeper = follower.context.doorkeeper

    def agree() -> bool:
        up = [node for node, link in doorkeeper.linked.items() if link._stream.is_open]  # type: ignore[attr-defined]
        return up == [*doorkeeper.linked] and doorkeeper.clients_count == len(doorkeeper.clients)

    links = []
    for _ in range(3):
        links.append(follower.client)
        follower.greet()
        assert doorkeeper.linked.keys() == {2}
        assert agree()
        follower.connect_anew()
        follower.turn()
        assert agree()
    for link in reversed(links):
        link.close()
        follower.turn()
        assert agree()
    assert not doorkeeper.linked


@pytest.mark.parametrize("words", [(b"ID", b"1"), (b"TYPE", b"replica")])
def test_who_is_looked_at_for_a_list_is_paid_for_listed_or_not(
    line: Line, words: tuple[bytes, ...]
) -> None:
    for _ in range(400):
        line.connect_anew()
    line.ask(command(b"PING"))
    before = line.connection.served
    line.ask(command(b"CLIENT", b"LIST", *words))
    assert line.connection.served - before >= 400 // 4


def test_a_pattern_for_commands_is_paid_for_when_it_is_matched(line: Line) -> None:
    served = {}
    for pattern in (b"x" * 129, b"?" * 128):
        before = line.connection.served
        line.ask(command(b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", pattern))
        served[pattern[:1]] = line.connection.served - before
    assert served[b"x"] < 100, "it was refused"
    assert served[b"?"] > 128 * COMPILE_STEPS + 1_000


def test_the_shard_tells_which_nodes_have_no_link(line: Line) -> None:
    nodes, shards = command(b"CLUSTER", b"NODES"), command(b"CLUSTER", b"SHARDS")
    assert b" connected 0-16383" in line.ask(nodes)
    assert b"online" in line.ask(shards)
    line.context.links = lambda: {1: "connection refused"}  # As if it were another node.
    assert b" disconnected 0-16383" in line.ask(nodes)
    assert b"fail" in line.ask(shards)


def test_who_is_told_that_there_is_no_room_is_counted(line: Line) -> None:
    with line.connect(is_newcomer=True) as client:
        client.sendall(command(b"PING"))
        assert line.receive() == b""
        assert client.recv(100) == b"-ERR max number of clients reached\r\n"
    assert info(line)["rejected_connections"] == 1


def test_who_came_when_there_was_no_room_is_not_listed(line: Line) -> None:
    with line.connect(is_newcomer=True):
        newcomer = line.connections[-1]
        assert str(newcomer.state.number) not in [found["id"] for found in clients(line)]
        assert info(line)["connected_clients"] == len(clients(line)) == 1


def test_a_follower_tells_whether_its_leader_is_linked(follower: Line) -> None:
    assert (info(follower)["role"], info(follower)["master_link_status"]) == ("slave", "down")
    follower.connect_anew()
    follower.greet()
    follower.ask(peer.encode_message(HEARTBEAT))
    link = follower.client
    follower.connect_anew()
    found = info(follower)
    assert (found["role"], found["master_link_status"]) == ("slave", "up")
    assert (found["master_host"], found["master_port"]) == ("127.0.0.1", 9002)
    link.close()
    follower.turn()
    assert info(follower)["master_link_status"] == "down"


def test_a_leader_tells_of_the_followers_that_are_linked_to_it(line: Line) -> None:
    found = info(line)
    assert (found["role"], found["connected_slaves"]) == ("master", 0)
    assert found["master_repl_offset"] == line.node.raft.log.last_index


def test_a_leader_tells_how_far_each_follower_has_come(follower: Line) -> None:
    follower.elect()
    follower.connect_anew()
    found = info(follower)
    assert (found["role"], found["connected_slaves"], found["master_repl_offset"]) == (
        "master",
        1,
        1,
    )
    assert found["slave0"] == {
        "ip": "127.0.0.1",
        "port": 9002,
        "state": "online",
        "offset": 0,
    }, "it has not acknowledged the leader's first entry"


def test_a_line_of_client_list_tells_of_its_client(line: Line) -> None:
    for words in (
        (b"SETNAME", b"worker-7"),
        (b"SETINFO", b"LIB-NAME", b"redis-py"),
        (b"SETINFO", b"lib-ver", b"8.1.0"),
    ):
        assert line.ask(command(b"CLIENT", *words)) == b"+OK\r\n"
    line.ask(command(b"HELLO", b"3"), command(b"READONLY"))
    while line.connection.age_ms < 7_000:
        line.turn()
    [found] = clients(line)
    host, port = line.client.getpeername()
    assert found["laddr"] == f"{host}:{port}"
    assert found["name"] == "worker-7"
    assert (found["lib-name"], found["lib-ver"]) == ("redis-py", "8.1.0")
    assert (found["resp"], found["flags"], found["db"]) == ("3", "r", "0")
    assert found["age"] == "7"
    assert found["idle"].isdecimal(), "by the clock of the system, which is not that of the test"


def test_a_list_may_be_of_some_clients(line: Line) -> None:
    first = str(line.connection.state.number)
    line.connect_anew()
    second = str(line.connection.state.number)

    def ids(*words: bytes) -> list[str]:
        return [found["id"] for found in clients(line, *words)]

    assert ids() == ids(b"TYPE", b"normal") == [first, second]
    assert ids(b"ID", second.encode(), b"999", first.encode()) == [second, first]
    assert ids(b"TYPE", b"replica") == []


def test_what_a_client_says_of_its_library_forges_no_line(line: Line) -> None:
    for value in (b"a b", b"a\nid=7", b"x" * 129, b"\xff"):
        got = line.ask(command(b"CLIENT", b"SETINFO", b"LIB-NAME", value))
        assert got.startswith(b"-ERR LIB-NAME cannot contain")


def test_info_tells_of_snapshots_what_status_does(line: Line) -> None:
    """A monitor need not ask in another language."""
    receiving = line.node.raft.receiving
    found = info(line)
    told = ("raft_lacks_data", "raft_receiving_bytes", "raft_sending_to", "raft_snapshot_setback")
    assert [found[name] for name in told] == [0, 0, "", ""]
    line.node.raft.log.lacks_base = True
    receiving.name, receiving.taken_bytes = SnapshotName(1, 90, 1, 7_000), 512
    receiving.has_room = False
    line.node._installing._setback.add("make room there", line.now_ms)
    found = info(line)
    assert [found[name] for name in told] == [1, 512, "", "make room there"]
    assert found["raft_receiving_size_bytes"] == 7_000
