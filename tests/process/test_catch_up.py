"""A follower that lacks hundreds of thousands of entries catches up, and nobody notices."""

from __future__ import annotations

import shutil
import time
from contextlib import closing

import pytest

from kvstore.raft.types import DurableUpdate, Entry, EntryKind
from kvstore.storage import lmdb_files, records
from kvstore.storage.lmdb_log import LmdbLog

from .cluster import Cluster
from .conftest import MakeCluster
from .gaps import undisturbed
from .steps import put_anywhere
from .test_rejoin import rejoin

pytestmark = [pytest.mark.process, pytest.mark.timed]

BOUND_S = 0.75
"""Far above what it takes, and far below what a leader that does all at once would."""
REPAIR_BOUND_S = 15.0
"""At a few dozen entries a heartbeat it would take minutes."""
MAP_BYTES = 1 << 30


def lengthen_logs(cluster: Cluster, count: int) -> None:
    """Give all logs the same further entries, which cost next to nothing to apply."""
    cluster.kill(*cluster.nodes)
    ends = set()
    for node in cluster.nodes.values():
        log = LmdbLog(node.data_dir / "raft", MAP_BYTES)
        found = log.recover()
        first, term = found.last_index + 1, found.term_ranges[-1].term
        ends.add((first, term))
        added = [Entry(first + i, term, EntryKind.NOOP, b"1") for i in range(count)]
        log.write(DurableUpdate(entries=added))
        log.close()
    assert len(ends) == 1
    # Reading so many entries once more would take longer than the rest of the test.
    cluster.is_audited = False
    cluster.restart()


def lose_entries(cluster: Cluster, node_id: int, first: int, last: int) -> None:
    """Take records out of a log, and leave the knowledge that they were there."""
    path = cluster.nodes[node_id].data_dir / "raft"
    with closing(lmdb_files.open_environment(path, MAP_BYTES)) as env:
        log = env.open_db(records.LOG, create=False)
        with env.begin(write=True) as txn:
            for index in range(first, last + 1):
                assert txn.delete(records.log_key(index), db=log)
            lmdb_files.sign_commit(txn)


def test_a_node_that_rejoins_far_behind_disturbs_nobody(make_cluster: MakeCluster) -> None:
    """483,000 entries: the leader stood still for 1.7 s, again and again, and was replaced."""
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    cluster.wait_until_level()
    lengthen_logs(cluster, 300_000)
    leader = cluster.wait_for_leader()
    cluster.wait_until_level()
    lost = next(node for node in cluster.nodes if node != leader)
    cluster.kill(lost)
    shutil.rmtree(cluster.nodes[lost].data_dir)
    with undisturbed(cluster, leader, BOUND_S) as gaps:
        rejoin(cluster, lost)
        cluster.wait_for_log(lost, "this node votes from now on")
        assert gaps.answered
    cluster.wait_until_level()


def test_a_node_that_lost_most_of_its_log_has_it_back_in_no_time(make_cluster: MakeCluster) -> None:
    """113,200 entries took minutes. Three times, as what one repair leaves may hinder the next."""
    cluster = make_cluster()
    put_anywhere(cluster, "before")
    cluster.wait_until_level()
    lengthen_logs(cluster, 130_000)
    leader = cluster.wait_for_leader()
    cluster.wait_until_level()
    victim = next(node for node in cluster.nodes if node != leader)
    said = 0
    for first, last in ((10, 113_209), (5, 20_000), (5, 20_000)):
        cluster.kill(victim)
        lose_entries(cluster, victim, first, last)
        with undisturbed(cluster, leader, BOUND_S):
            cluster.restart(victim)
            began = time.monotonic()
            said = cluster.wait_for_log(victim, "the log is whole again", after=said)
        assert time.monotonic() - began < REPAIR_BOUND_S
        cluster.wait_until_level()
