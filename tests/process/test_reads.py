"""Reads at nodes that do not lead: as fresh as the leader's, or refused."""

from __future__ import annotations

import pytest

from kvstore.client.blocking import Client
from kvstore.errors import RefusedError

from .conftest import MakeCluster
from .steps import others, put

pytestmark = pytest.mark.process


def test_a_follower_answers_with_what_was_acknowledged_a_moment_ago(
    make_cluster: MakeCluster,
) -> None:
    """It asks the leader each time; a stale read would miss some of these writes."""
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    follower = cluster.nodes[others(cluster, leader)[0]]
    asked = f"127.0.0.1:{follower.port}"
    with (
        Client(asked, 20_000, follow=False, reads_from_any=True) as reader,
        Client(f"127.0.0.1:{cluster.nodes[leader].port}", 20_000) as writer,
    ):
        for number in range(300):
            writer.put("k", str(number))
            record = reader.get("k")
            assert record is not None
            assert record.value == b"%d" % number


def test_a_follower_that_is_cut_off_answers_nobody(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(links=True)
    leader = cluster.wait_for_leader()
    put(cluster, leader, "k", "old")
    cluster.wait_until_level()
    alone = others(cluster, leader)[0]
    cluster.partition({alone}, others(cluster, alone))
    put(cluster, leader, "k", "new")
    asked = f"127.0.0.1:{cluster.nodes[alone].port}"
    with Client(asked, 6_000, reads_from_any=True) as reader:
        stale = reader.get("k", stale=True)
        assert stale is not None
        assert stale.value == b"old"
        with pytest.raises(RefusedError):
            reader.get("k")
