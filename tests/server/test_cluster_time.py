"""The cluster's time: by the leader's clock while it leads, and else by what the log says."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.kv.clock import LogClock
from kvstore.server.cluster_time import ClusterTime, Pace
from kvstore.server.node import Node

from .cluster import Claim, Cluster

FOLLOWS, CATCHES_UP, LEADS = Pace.FOLLOWS, Pace.CATCHES_UP, Pace.LEADS


@pytest.mark.parametrize("pace", Pace)
def test_it_starts_at_0_whatever_the_clock_shows(pace: Pace) -> None:
    assert ClusterTime().advance(123_456.0, LogClock(0), pace) == 0


@pytest.mark.parametrize("pace", [FOLLOWS, LEADS])
def test_it_goes_on_by_the_nodes_own_clock(pace: Pace) -> None:
    time, clock = ClusterTime(), LogClock(0)
    time.advance(5_000.0, clock, pace)
    assert time.advance(5_250.5, clock, pace) == 250
    assert time.advance(5_251.0, clock, pace) == 251


def test_it_goes_on_from_what_the_data_say() -> None:
    time, clock = ClusterTime(), LogClock(90_000)
    assert time.advance(5_000.0, clock, LEADS) == 90_000
    assert time.advance(5_200.0, clock, LEADS) == 90_200


def test_who_follows_goes_on_from_each_stamp_that_it_applies() -> None:
    time, clock = ClusterTime(), LogClock(0)
    time.advance(5_000.0, clock, FOLLOWS)
    clock.move_to(90_000)
    assert time.advance(5_100.0, clock, FOLLOWS) == 90_000
    assert time.advance(5_200.0, clock, FOLLOWS) == 90_100


def test_what_a_follower_s_clock_gained_is_taken_back_by_the_next_stamp() -> None:
    """Else a clock that is 100 ppm fast would be 8.6 s ahead after a day, and lead with that."""
    time, clock = ClusterTime(), LogClock(0)
    time.advance(0.0, clock, FOLLOWS)
    assert time.advance(86_408_640.0, clock, FOLLOWS) == 86_408_640
    clock.move_to(86_400_000)
    assert time.advance(86_408_640.0, clock, LEADS) == 86_400_000


def test_a_stamp_that_is_no_news_to_the_log_s_clock_is_one_as_well() -> None:
    time, clock = ClusterTime(), LogClock(1_000)
    time.advance(0.0, clock, FOLLOWS)
    clock.move_to(900)
    assert time.advance(5_000.0, clock, FOLLOWS) == 1_000


def test_data_of_others_tell_the_time_like_a_stamp() -> None:
    time = ClusterTime()
    time.advance(0.0, LogClock(0), FOLLOWS)
    time.advance(90_000.0, LogClock(0), FOLLOWS)
    assert time.advance(90_001.0, LogClock(70_000), FOLLOWS) == 70_000


def test_who_leads_is_not_set_back_by_its_own_stamps() -> None:
    time, clock = ClusterTime(), LogClock(0)
    time.advance(5_000.0, clock, LEADS)
    stamp = time.advance(6_000.0, clock, LEADS)
    clock.move_to(stamp)
    assert time.advance(6_200.0, clock, LEADS) == 1_200
    assert time.advance(6_300.0, clock, FOLLOWS) == 1_300


def test_who_leads_stands_still_until_it_has_applied_what_earlier_leaders_stamped() -> None:
    """Its clock since the last stamp that it knows says nothing of those that it does not."""
    time, clock = ClusterTime(), LogClock(1_000)
    time.advance(0.0, clock, FOLLOWS)
    assert time.advance(60_000.0, clock, CATCHES_UP) == 1_000
    clock.move_to(2_000)
    assert time.advance(60_100.0, clock, CATCHES_UP) == 2_000
    assert time.advance(60_200.0, clock, LEADS) == 2_000
    assert time.advance(60_300.0, clock, LEADS) == 2_100


@pytest.mark.parametrize("pace", [FOLLOWS, LEADS])
def test_a_clock_that_goes_back_does_not_take_it_back(pace: Pace) -> None:
    time, clock = ClusterTime(), LogClock(0)
    time.advance(5_000.0, clock, pace)
    time.advance(6_000.0, clock, pace)
    assert time.advance(5_500.0, clock, pace) == 1_000
    assert time.advance(5_600.0, clock, pace) == 1_100


# --- Of a node ----------------------------------------------------------------------------


def stamped_by(cluster: Cluster, node: Node) -> int:
    """The time that a leader's stamp brings, once it is applied there."""
    node.submit_command(api.OpenSession(), Claim())
    cluster.run(200)
    return node.machine.clock.time_ms


def test_the_next_leader_goes_on_where_the_time_of_the_one_before_it_was() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    before, before_ms = stamped_by(cluster, leader), cluster.now_ms
    cluster.run(5_000)
    cluster.isolate(leader.raft.id)
    cluster.run(3_000)
    heir = cluster.elect()
    assert heir is not leader
    after, after_ms = stamped_by(cluster, heir), cluster.now_ms
    assert after - before == pytest.approx(after_ms - before_ms, abs=200)


def test_a_new_leader_s_clock_says_nothing_before_it_has_applied_what_others_stamped() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    stamped_by(cluster, leader)
    cluster.run(5_000)
    leader.submit_command(api.OpenSession(), Claim())
    cluster.turn(leader.raft.id)
    for follower in cluster.followers():
        cluster.turn(follower.raft.id)
    stamped = leader._cluster_time_ms()
    cluster.isolate(leader.raft.id)

    heir = None
    while heir is None:
        cluster.run(50)
        heirs = [one for one in cluster.nodes.values() if one is not leader]
        heir = next((one for one in heirs if one.raft.leadership is not None), None)
    assert not heir.raft.has_committed_in_term
    assert stamped_by(cluster, heir) == stamped
