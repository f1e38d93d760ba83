"""Members that come, go, move and are replaced while a cluster serves."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

import kvstore
from kvstore import Client, api

from .cluster import DEADLINE_S, Cluster, eventually
from .conftest import MakeCluster
from .resp import ask_for_text, dial
from .steps import assert_refuses, others, put_anywhere
from .workload import read_everything

pytestmark = pytest.mark.process

VOTER, LEARNER = api.MemberRole.VOTER, api.MemberRole.LEARNER
PATIENCE_MS = 30_000


def client_of(cluster: Cluster, *node_ids: int, timeout_ms: int = PATIENCE_MS) -> Client:
    return Client([cluster.address(node) for node in node_ids or cluster.nodes], timeout_ms)


def roles(client: Client) -> dict[int, api.MemberRole]:
    return {one.node_id: one.role for one in client.members().members}


def wait_until_all_vote(client: Client, *node_ids: int) -> None:
    eventually(
        lambda: (
            (found := client.members()).is_settled
            and {one.node_id: one.role for one in found.members} == dict.fromkeys(node_ids, VOTER)
        ),
        f"the members are {node_ids}, and all vote",
        ignoring=(kvstore.RequestError,),
    )


def wait_for_end(cluster: Cluster, node_id: int, *texts: str) -> None:
    """The node ends itself, and says why."""
    node = cluster.nodes[node_id]
    assert node.process is not None
    assert node.process.wait(DEADLINE_S) == 3
    for text in texts:
        assert text in node.log
    assert "Traceback" not in node.log


class Load:
    """Writers that never stop: what each was answered, and the longest that one waited."""

    def __init__(self, addresses: list[str], writers: int = 3) -> None:
        self.sums: list[list[int]] = [[] for _ in range(writers)]
        self.longest_s = 0.0
        self.errors: list[BaseException] = []
        self._addresses = addresses
        self._stops = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(writers)
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stops.set()
            for thread in self._threads:
                thread.join(2 * PATIENCE_MS / 1_000)
        assert not self.errors, self.errors

    def _run(self, number: int) -> None:
        try:
            with Client(self._addresses, PATIENCE_MS) as client:
                while not self._stops.is_set():
                    began = time.monotonic()
                    self.sums[number].append(client.increment(f"counter.{number}"))
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
        except BaseException as error:
            self.errors.append(error)

    def go_on(self) -> None:
        """Wait until every writer has been answered some more."""
        goals = [len(sums) + 20 for sums in self.sums]
        eventually(
            lambda: (
                self.errors
                or all(len(sums) >= goal for sums, goal in zip(self.sums, goals, strict=True))
            ),
            "the writers go on",
        )

    def assert_nothing_lost_or_double(self, found: dict[str, str]) -> None:
        """Every increment was counted once, and each answer was given once."""
        for number, sums in enumerate(self.sums):
            assert sums == [*range(1, len(sums) + 1)]
            assert found[f"counter.{number}"] == str(len(sums))


def test_a_new_node_gets_the_log_votes_by_itself_and_is_removed_under_load(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    cluster.wait_for_leader()
    load = Load([cluster.address(node) for node in (1, 2, 3)])
    with load.running(), client_of(cluster, 1, 2, 3) as client:
        load.go_on()
        cluster.add(4)
        cluster.join(4, 2)
        address = cluster.address(4)
        cluster.wait_for_log(4, f"node 4 is no member yet: kvstore member add 4 {address}")
        client.add_member(4, address)
        cluster.wait_until_answers(4)
        wait_until_all_vote(client, 1, 2, 3, 4)
        load.go_on()
        client.remove_member(4)
        wait_for_end(cluster, 4, "node 4")
        wait_until_all_vote(client, 1, 2, 3)
        load.go_on()
    cluster.wait_until_level()
    load.assert_nothing_lost_or_double(read_everything(cluster, 1))
    cluster.is_audited = False


def test_a_removed_node_does_not_come_back_with_its_directory(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    gone = others(cluster, leader)[0]
    cluster.kill(gone)
    with client_of(cluster, leader) as client:
        client.remove_member(gone)
        cluster.spawn(gone)
        wait_for_end(cluster, gone, f"node {gone} was removed")
        assert gone not in roles(client)
        shutil.rmtree(cluster.nodes[gone].data_dir)
        client.add_member(gone, cluster.address(gone))
        cluster.join(gone)
        wait_until_all_vote(client, 1, 2, 3)
    cluster.wait_until_level()


def test_a_dead_node_is_replaced_in_one_command(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    dead, third = others(cluster, leader)
    cluster.kill(dead)
    cluster.wait_for_log(leader, f"no link to node {dead}: ")
    old = cluster.nodes[dead]
    cluster.add(dead)
    cluster.nodes[dead].data_dir = old.data_dir.with_name("new")
    with client_of(cluster, leader, third) as client:
        eventually(lambda: not is_there(client, dead), "the leader misses it")
        client.replace_member(dead, cluster.address(dead))
        assert roles(client)[dead] is LEARNER
        put_anywhere(cluster, "meanwhile", (leader, third))
        cluster.join(dead)
        wait_until_all_vote(client, 1, 2, 3)
    cluster.wait_until_level()
    assert set(read_everything(cluster, dead)) == {"before", "meanwhile"}
    cluster.kill(leader)
    put_anywhere(cluster, "after", (dead, third))


def is_there(client: Client, node_id: int) -> bool:
    return next(one.answers for one in client.members().members if one.node_id == node_id)


@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "started first"])
def test_a_node_moves_to_another_address(make_cluster: MakeCluster, told_first: bool) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    moving, third = others(cluster, leader)
    old = cluster.nodes[moving]
    assert cluster.terminate(moving) == 0
    new = cluster.add(moving)
    new.data_dir = old.data_dir
    with client_of(cluster, leader, third) as client:
        if not told_first:
            cluster.spawn(moving)
            cluster.wait_for_log(moving, "kvstore member move")
        client.move_member(moving, cluster.address(moving))
        if told_first:
            cluster.spawn(moving)
        cluster.wait_until_answers(moving)
        eventually(lambda: is_there(client, moving), "it answers the leader")
        cluster.kill(third)
        put_anywhere(cluster, "after", (leader, moving))
        assert {one.node_id: one.address for one in client.members().members}[moving] == (
            cluster.address(moving)
        )
    cluster.restart(third)
    cluster.wait_until_level()


def test_a_single_node_that_is_served_elsewhere_grows_and_is_moved(
    make_cluster: MakeCluster,
) -> None:
    """The new node goes by the configuration, finds nobody there, and the leader elsewhere."""
    cluster = make_cluster(1)
    put_anywhere(cluster, "before")
    old = cluster.nodes[1]
    assert cluster.terminate(1) == 0
    new = cluster.add(1)
    new.data_dir = old.data_dir
    cluster.spawn(1)
    cluster.wait_until_answers(1)
    cluster.wait_for_log(
        1,
        f"the others look for node 1 at 127.0.0.1:{old.port}, and it is at {cluster.address(1)}: "
        f"start it with --host 127.0.0.1 --port {old.port}, or if it has moved, kvstore member "
        f"move 1 {cluster.address(1)}",
    )
    cluster.add(2)
    cluster.join(2, 1)
    with client_of(cluster, 1) as client:
        client.add_member(2, cluster.address(2))
        wait_until_all_vote(client, 1, 2)
        put_anywhere(cluster, "together", (1,))
        cluster.kill(*cluster.nodes)
        cluster.restart()
        client.move_member(1, cluster.address(1))
        wait_until_all_vote(client, 1, 2)
        assert client.members().members[0].address == cluster.address(1)
    cluster.wait_until_level()


def test_clients_find_a_leader_that_is_served_elsewhere_though_nobody_moved_it(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    moving, third = others(cluster, leader)
    old = cluster.nodes[moving]
    assert cluster.terminate(moving) == 0
    new = cluster.add(moving)
    new.data_dir = old.data_dir
    cluster.spawn(moving)
    cluster.wait_until_answers(moving)
    with client_of(cluster, leader, third) as client:
        eventually(lambda: is_there(client, moving), "it answers the leader")
        eventually(
            lambda: client.transfer_leader(moving), "it leads", ignoring=(kvstore.RequestError,)
        )
    cluster.wait_for_leader((moving,))
    where = cluster.address(moving)
    with cluster.client(third) as asked:

        def refusal() -> str:
            with pytest.raises(redis.ResponseError) as caught:
                asked.set("k", "v")
            return str(caught.value)

        eventually(lambda: f"try node {moving} at {where}" in refusal(), "it is named where it is")
    with dial(cluster.nodes[third].port) as connection:
        assert f" {where}@0 master " in ask_for_text(connection, b"CLUSTER", b"NODES")
    with client_of(cluster, third) as client:
        client.put("after", "x")
        found = {one.node_id: one for one in client.members().members}[moving]
        assert (found.address, found.found_at) == (f"127.0.0.1:{old.port}", where)
    cluster.wait_until_level()


def test_a_leader_that_is_removed_hands_over_and_ends(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    with client_of(cluster) as client:
        client.remove_member(leader)
        wait_for_end(cluster, leader, f"node {leader}")
        put_anywhere(cluster, "after", others(cluster, leader))
        assert set(roles(client)) == set(others(cluster, leader))


def test_a_change_that_would_leave_no_majority_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    dead, third = others(cluster, leader)
    cluster.kill(dead)
    with client_of(cluster, leader, third) as client:
        eventually(lambda: not is_there(client, dead), "the leader misses it")
        with pytest.raises(kvstore.RefusedError, match="no majority would be left") as caught:
            client.remove_member(third)
        assert (caught.value.code, caught.value.retryable) == ("NOCHANGE", True)
        for wrong, words in (
            (api.AddMember(dead, "h:1"), f"node {dead} is a member already"),
            (api.AddMember(9, cluster.address(third)), f"node {third} is at"),
            (api.MoveMember(third, cluster.address(leader)), f"node {leader} is at"),
            (api.MoveMember(9, "h:1"), "there is no node 9: the members are 1, 2, 3"),
            (api.RemoveMember(9), "there is no node 9"),
            (api.PromoteMember(third), f"node {third} votes already"),
            (api.AddMember(9, "h"), "has no port"),
        ):
            with pytest.raises(kvstore.RefusedError, match=words) as caught:
                client.execute(wrong)
            assert caught.value.code == "ERR"
        client.add_member(9, "127.0.0.1:9")
        with pytest.raises(kvstore.RefusedError, match=r"node 9 (does not answer|lags)") as caught:
            client.promote_member(9)
        assert caught.value.code == "NOCHANGE"
        client.remove_member(9)


@pytest.mark.timed
def test_five_nodes_are_replaced_one_by_one_under_load(make_cluster: MakeCluster) -> None:
    """Nothing is lost, nothing is done twice, and nobody waits longer than 3 s."""
    cluster = make_cluster(size=5)
    cluster.wait_for_leader()
    load = Load([cluster.address(node) for node in cluster.nodes])
    with load.running(), client_of(cluster) as client:
        for node_id in range(1, 6):
            load.go_on()
            if client.members().leader_id == node_id:
                client.transfer_leader()
            old = cluster.nodes[node_id]
            old.end(9)
            new = cluster.add(node_id)
            new.data_dir = old.data_dir.with_name(f"new{node_id}")
            address = cluster.address(node_id)
            eventually(
                lambda at=node_id, to=address: replaced(client, at, to),
                f"node {node_id} is replaced",
            )
            cluster.join(node_id)
            wait_until_all_vote(client, 1, 2, 3, 4, 5)
        load.go_on()
    assert load.longest_s < 3.0
    cluster.wait_until_level()
    for node_id in cluster.nodes:
        load.assert_nothing_lost_or_double(read_everything(cluster, node_id))


def replaced(client: Client, node_id: int, address: str) -> bool:
    """Whether it is; refused for as long as a change is under way, or the node still answers."""
    try:
        client.replace_member(node_id, address)
    except kvstore.RefusedError as error:
        if error.code != "NOCHANGE":
            raise
        return False
    return True


def test_who_joins_is_told_what_is_wrong(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    leader = cluster.wait_for_leader()
    cluster.add(4)
    to = cluster.address(leader)
    assert_refuses(run_joining(cluster, 4, join=to, cluster="other"), "not other", "correct --join")
    assert_refuses(run_joining(cluster, 4, join=to, peers="none"), "leave the peers out")
    assert_refuses(run_joining(cluster, 4, join=to, id=None), "give --id")
    assert_refuses(run_joining(cluster, 4, join="h:0"), "--join")
    cluster.nodes.pop(4).reservation.release()


def run_joining(
    among: Cluster, node_id: int, **changes: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        among.command(node_id, **{"peers": None, **changes}),
        env=among.process_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_cluster_that_was_recovered_takes_members_again(make_cluster: MakeCluster) -> None:
    """Two of three machines are lost for good."""
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    cluster.wait_until_level()
    cluster.kill(*cluster.nodes)
    left = cluster.nodes[3]
    done = subprocess.run(
        [sys.executable, "-m", "kvstore", "recover", "--data", str(left.data_dir), "--yes"],
        env=cluster.process_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    command = cluster.command(3, peers=None, cluster=None)
    left.spawn(command, cluster.process_environ())
    cluster.wait_until_answers(3)
    for gone in (1, 2):
        cluster.nodes[gone].reservation.release()
        cluster.add(gone).data_dir = left.data_dir.with_name(f"new{gone}")
    with client_of(cluster, 3) as client:
        for node_id, members in ((1, (1, 3)), (2, (1, 2, 3))):
            join = cluster.command(node_id, peers=None, cluster=None, join=cluster.address(3))
            cluster.nodes[node_id].spawn(join, cluster.process_environ())
            client.add_member(node_id, cluster.address(node_id))
            wait_until_all_vote(client, *members)
    cluster.wait_until_level()
    for node_id in cluster.nodes:
        assert set(read_everything(cluster, node_id)) == {"before"}
