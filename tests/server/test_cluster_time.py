"""The cluster's time: never back, and on by the node's own clock."""

from __future__ import annotations

from kvstore.server.cluster_time import ClusterTime


def test_it_starts_at_0_whatever_the_clock_shows() -> None:
    assert ClusterTime().advance(123_456.0, 0) == 0


def test_it_goes_on_by_the_nodes_own_clock() -> None:
    time = ClusterTime()
    time.advance(5_000.0, 0)
    assert time.advance(5_250.5, 0) == 250
    assert time.advance(5_251.0, 0) == 251


def test_it_is_never_behind_what_was_applied_and_goes_on_from_there() -> None:
    time = ClusterTime()
    time.advance(5_000.0, 0)
    assert time.advance(5_100.0, 90_000) == 90_000
    assert time.advance(5_200.0, 90_000) == 90_100


def test_a_clock_that_goes_back_does_not_take_it_back() -> None:
    time = ClusterTime()
    time.advance(5_000.0, 0)
    time.advance(6_000.0, 0)
    assert time.advance(5_500.0, 0) == 1_000
    assert time.advance(5_600.0, 0) == 1_100
