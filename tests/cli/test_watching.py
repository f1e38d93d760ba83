"""`kvstore status` and `health`: whom they ask, how long they wait, what they end with."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_node import ClosedPort, Misbehave, ScriptedNode, status_of

from kvstore import api
from kvstore.address import Address
from kvstore.cli.targets import Target, all_nodes, this_node
from kvstore.errors import ConfigError

from .shell import PATIENT, Run

SLACK_S = 1.0
"""For a machine that does other things; what is asked for is the rest."""
READ = api.GetResult(1, (None,))
FOUND_NO_LEADER = api.Failure(api.FailureCode.NO_LEADER, "no majority confirmed the leader")


def alone(**changes: Any) -> api.StatusResult:
    """A cluster of one, which is well."""
    members = {1: "127.0.0.1:9001"}
    return status_of(1, **{"members": members, "match_index": {1: 31}, **changes})


# --- Whom they ask ------------------------------------------------------------------------

LOCAL = [Target(Address("127.0.0.1", 9000 + number)) for number in (1, 2, 3)]
OF_SETTINGS = [Target(Address("127.0.0.1", 8000 + number), number) for number in (1, 2)]
VARIABLES = {"KVSTORE_PORT": "8001", "KVSTORE_PEERS": "8002"}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "kvstore.toml"
    path.write_text('port = 8001\npeers = "8002"\nheartbeat_ms = 50\n')
    return str(path)


def targets(*addresses: str) -> list[Target]:
    return [Target(Address(host, int(port))) for host, port in (a.split(":") for a in addresses)]


def test_nodes_of_the_command_line_come_first(file: str) -> None:
    environ = {"KVSTORE_TO": "b:2", "KVSTORE_CONFIG": file, **VARIABLES}
    assert all_nodes("a:1", file, environ) == targets("a:1")
    assert all_nodes(None, file, {"KVSTORE_TO": "b:2"}) == OF_SETTINGS
    assert all_nodes(None, None, environ) == targets("b:2")


def test_members_that_the_settings_do_not_name_are_asked_as_well(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings name founders; others may have come since."""
    with ScriptedNode() as one, ScriptedNode() as two:
        members = {1: one.address, 2: two.address}
        for number, node in ((1, one), (2, two)):
            match = {1: 31, 2: 31} if number == 1 else {}
            node.extend(*[status_of(number, members=members, match_index=match)] * 2)
        monkeypatch.setenv("KVSTORE_ID", "1")
        monkeypatch.setenv("KVSTORE_PORT", one.address.partition(":")[2])
        monkeypatch.setenv("KVSTORE_PEERS", "none")
        ran = run("status", "--json", *PATIENT)
        assert [node["node_id"] for node in json.loads(ran.out)["nodes"]] == [1, 2]
        ran = run("status", "--json", *PATIENT, "--to", one.address)
        assert [node["node_id"] for node in json.loads(ran.out)["nodes"]] == [1]


def test_the_settings_of_serve_name_the_nodes(file: str) -> None:
    assert all_nodes(None, None, {"KVSTORE_CONFIG": file}) == OF_SETTINGS
    assert all_nodes(None, None, VARIABLES) == OF_SETTINGS
    with pytest.raises(ConfigError, match="did you mean KVSTORE_PEERS"):
        all_nodes(None, None, {"KVSTORE_PERS": VARIABLES["KVSTORE_PEERS"]})
    ids = {"KVSTORE_ID": "2", "KVSTORE_HOST": "b", "KVSTORE_PEERS": "1=a:9001"}
    assert all_nodes(None, None, ids) == [
        Target(Address("a", 9001), 1),
        Target(Address("b", 9002), 2),
    ]


def test_without_any_the_local_cluster_is_asked(tmp_path: Path) -> None:
    assert all_nodes(None, None, {}) == LOCAL
    path = tmp_path / "times.toml"
    path.write_text("heartbeat_ms = 50\n")
    assert all_nodes(None, str(path), {}) == LOCAL
    assert all_nodes(None, None, {"KVSTORE_TO": ""}) == LOCAL


def test_settings_that_do_not_hold_together_are_told(file: str) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        all_nodes(None, f"{file}.gone", {})
    with pytest.raises(ConfigError, match="say which node this is"):
        all_nodes(None, None, {"KVSTORE_PEERS": "8002"})


@pytest.mark.parametrize(
    ("environ", "here"),
    [
        (VARIABLES, Address("127.0.0.1", 8001)),
        ({"KVSTORE_ID": "2"}, Address("127.0.0.1", 9002)),
        (
            {"KVSTORE_ID": "1", "KVSTORE_HOST": "out.example", "KVSTORE_BIND": "0.0.0.0:7"},
            Address("127.0.0.1", 7),
        ),
        (
            {"KVSTORE_ID": "1", "KVSTORE_HOST": "out.example", "KVSTORE_BIND": "::"},
            Address("::1", 9001),
        ),
        (
            {"KVSTORE_ID": "1", "KVSTORE_HOST": "out.example", "KVSTORE_BIND": "10.0.0.9"},
            Address("10.0.0.9", 9001),
        ),
    ],
)
def test_this_node_is_asked_where_it_listens(environ: dict[str, str], here: Address) -> None:
    assert this_node(None, None, environ).address == here


def test_health_asks_no_node_by_chance() -> None:
    """KVSTORE_TO names the cluster to clients: it says of no node that it runs here."""
    with pytest.raises(ConfigError, match="say which node: --to 9001"):
        this_node(None, None, {"KVSTORE_TO": "9001"})
    assert this_node("a:1", None, VARIABLES) == targets("a:1")[0]


def test_status_reads_what_serve_reads(run: Run, tmp_path: Path) -> None:
    with ScriptedNode(alone()) as node:
        port = node.address.rpartition(":")[2]
        path = tmp_path / "kvstore.toml"
        path.write_text(f'port = {port}\npeers = "none"\n')
        ran = run("status", *PATIENT, "--config", str(path))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.decode().splitlines()[-1] == "all is well"


# --- How long they wait -------------------------------------------------------------------


@pytest.fixture
def frozen() -> Iterator[str]:
    """A node whose process is stopped: the kernel takes connections for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_one_frozen_node_costs_a_second(run: Run, frozen: str) -> None:
    with ScriptedNode(alone()) as node:
        began = time.monotonic()
        ran = run("status", "--to", f"{node.address},{frozen}")
        took = time.monotonic() - began
    assert took < 1.0 + SLACK_S
    assert ran.code == 1
    assert f"the node at {frozen} takes connections and says nothing" in ran.out.decode()


def test_a_name_whose_look_up_hangs_costs_no_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = socket.getaddrinfo
    hung = socket.socketpair()

    def look_up(host: str, *rest: Any, **more: Any) -> Any:
        if host == "hangs.example" and not more.get("flags"):
            hung[0].recv(1)
        return answers(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    ran = run("status", "--timeout-ms", "200", "--to", "hangs.example:9001")
    assert time.monotonic() - began < 0.3 + SLACK_S
    assert ran.code == 5
    assert b"its name is still being looked up" in ran.out
    hung[1].send(b"x")
    for end in hung:
        end.close()


# --- What status ends with ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (alone(), 0, "all is well"),
        (alone(sync_p99_ms=600.0), 0, "note: "),
        (alone(room_bytes=100 << 20), 1, "warning: "),
        (alone(leader_id=None, role="follower", leader_ms=None), 3, "critical: "),
        (alone(is_short_of_room=True), 3, "critical: "),
        (Misbehave.HANG_UP, 5, "critical: no node answers"),
    ],
)
def test_the_exit_code_says_how_bad_it_is(run: Run, answer: Any, code: int, said: str) -> None:
    with ScriptedNode(answer) as node:
        ran = run("status", *PATIENT, "--to", node.address)
    assert ran.code == code
    assert said in ran.out.decode()


def test_json_is_one_object_with_the_verdict(run: Run) -> None:
    with ScriptedNode(alone(room_bytes=100 << 20)) as node:
        ran = run("status", "--json", *PATIENT, "--to", node.address)
    verdict = json.loads(ran.out)
    assert [one["node_id"] for one in verdict["nodes"]] == [1]
    assert ran.out.count(b"\n") == 1
    assert (verdict["state"], verdict["may_fail"]) == ("degraded", 0)
    assert [one["code"] for one in verdict["advice"]] == ["little_room"]


def test_json_has_what_comes_of_snapshots_and_comparisons_as_objects_too(run: Run) -> None:
    receiving = api.Transfer(9, 10, 20, 1.5)
    check = api.CheckResult(17, True, True, {1: "aa", 2: "bb"}, differ=(2,))
    with ScriptedNode(alone(receiving=receiving, check=check)) as node:
        ran = run("status", "--json", "--to", node.address)
    [told] = json.loads(ran.out)["nodes"]
    assert told["receiving"] == {"index": 9, "done_bytes": 10, "size_bytes": 20, "ms": 1.5}
    assert (told["check"]["digests"], told["check"]["differ"]) == ({"1": "aa", "2": "bb"}, [2])


# --- health -------------------------------------------------------------------------------


def test_a_node_that_answers_is_live_whatever_it_says(run: Run) -> None:
    lost = alone(leader_id=None, leader_ms=None, role="follower")
    full = b"-ERR max number of clients reached\r\n"
    for answer in (alone(), lost, full):
        with ScriptedNode(answer) as node:
            ran = run("health", "--live", *PATIENT, "--to", node.address)
        assert (ran.code, ran.out.decode()) == (0, f"live: {node.address} answers\n")


def test_a_node_that_does_not_answer_is_not_live(run: Run, frozen: str) -> None:
    ran = run("health", "--live", "--to", frozen)
    assert ran.code == 5
    assert ran.out.decode() == f"no answer from {frozen}: frozen, no reply came in time\n"
    with ClosedPort() as dead:
        ran = run("health", "--to", dead.address)
    assert ran.code == 5
    assert ran.out.decode() == f"no answer from {dead.address}: down, connection refused\n"


def test_a_node_is_ready_if_a_majority_confirms_a_read_here(run: Run) -> None:
    with ScriptedNode(alone(), READ) as node:
        ran = run("health", *PATIENT, "--to", node.address)
        assert [call.from_any for call in node.calls] == [False, True]
    assert (ran.code, ran.out.decode()) == (0, "ready: node 1 leads in term 7\n")
    with ScriptedNode(status_of(2, is_short_of_room=True), READ) as node:
        ran = run("health", "--ready", *PATIENT, "--to", node.address)
    expected = "ready: node 2 follows node 1 in term 7, and is short of room\n"
    assert (ran.code, ran.out.decode()) == (0, expected)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((status_of(2, leader_id=None, leader_ms=None),), "node 2: it knows no leader"),
        ((status_of(2, is_voter=False),), "node 2: it does not vote yet"),
        ((status_of(2), FOUND_NO_LEADER), "node 2: no majority confirmed the leader"),
        ((status_of(2), Misbehave.SILENCE), "node 2: no majority confirmed a read in time"),
        (
            (status_of(2, commit_index=5_000, last_applied=2_000), Misbehave.SILENCE),
            "node 2: it has 3,000 log entries still to apply",
        ),
        ((b"-ERR max number of clients reached\r\n",), "no place for another connection"),
        ((api.Failure(api.FailureCode.BUSY, "too much waits"),), "too much waits"),
        ((status_of(2), Misbehave.HANG_UP), "node 2: down, "),
        (
            (status_of(2), b"-ERR max number of clients reached\r\n"),
            "node 2: has no place for another connection",
        ),
    ],
)
def test_a_node_that_does_not_do_its_part_is_not_ready(
    run: Run, answers: tuple[Any, ...], reason: str
) -> None:
    with ScriptedNode(*answers) as node:
        ran = run("health", "--timeout-ms", "2000", "--to", node.address)
    assert ran.code == 1
    assert ran.out.decode().startswith("not ready: ")
    assert reason in ran.out.decode()
    assert ran.out.count(b"\n") == 1


def test_both_questions_of_health_have_one_deadline(run: Run) -> None:
    def late() -> api.StatusResult:
        time.sleep(1.5)  # the answer is late by nature
        return status_of(2)

    with ScriptedNode(late, Misbehave.SILENCE) as node:
        began = time.monotonic()
        ran = run("health", "--timeout-ms", "3000", "--to", node.address)
        took = time.monotonic() - began
    assert (ran.code, ran.out) == (1, b"not ready: node 2: no majority confirmed a read in time\n")
    assert took < 3.0 + SLACK_S


def test_health_without_a_node_is_wrong_usage(run: Run) -> None:
    ran = run("health")
    assert (ran.code, ran.out) == (2, b"")
    assert "say which node" in ran.err
