"""What is committed, and when: Raft §5.3, §5.4.2."""

from __future__ import annotations

import pytest
from until import until

from kvstore.raft.types import HardState, Role

from .disk import Disk, entries_of_terms, entry
from .harness import UNBOUNDED, World, bench, leader_bench
from .messages import accepted, append

# --- The leader's commit index -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "acknowledgements"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)]
)
def test_an_entry_on_a_majority_of_disks_is_committed(members: int, acknowledgements: int) -> None:
    """Raft Figure 2, leaders 4: the leader itself is one of the majority."""
    world = leader_bench([], term=2, members=members)
    for peer in range(2, acknowledgements + 2):
        assert world.raft().commit_index == 0
        world.hand(accepted(peer, 2, match=1))
    assert world.raft().commit_index == 1


def test_repeated_acknowledgements_of_one_follower_count_once() -> None:
    """Raft §5.3: a majority of servers, not of messages."""
    world = leader_bench([], term=2, members=5)
    world.hand(*[accepted(2, 2, match=1)] * 4)
    assert world.raft().commit_index == 0


def test_the_commit_index_jumps_to_the_newest_entry_of_a_majority() -> None:
    """Raft Figure 2, leaders 4: the highest N that qualifies."""
    world = leader_bench([], term=2, members=5)
    world.propose(1, "a", "b", "c")
    world.hand(accepted(2, 2, match=4), accepted(3, 2, match=3), accepted(4, 2, match=1))
    assert world.raft().commit_index == 3


def test_entries_of_old_terms_are_not_committed_by_counting() -> None:
    """Raft §5.4.2: replicas of an old entry prove nothing."""
    world = leader_bench([1, 1, 2], term=4)
    world.hand(accepted(2, 4, match=3), accepted(3, 4, match=3))
    assert world.raft().commit_index == 0


def test_an_entry_of_the_current_term_commits_all_before_it() -> None:
    """Raft §5.4.2: old entries are committed indirectly, by log matching."""
    world = leader_bench([1, 1, 2], term=4)
    world.hand(accepted(2, 4, match=4))
    assert world.raft().commit_index == 4
    assert [one.index for one in world.nodes[1].applied] == [1, 2, 3, 4]


def test_a_committed_entry_is_applied_once_and_in_order() -> None:
    """Raft Figure 2, all servers 1: up to the commit index, each log entry in turn."""
    world = bench([], 1)
    world.hand(
        append(2, 1, terms=[1, 1], commit=1),
        append(2, 1, prev=(2, 1), terms=[1], commit=3),
        append(2, 1, prev=(2, 1), terms=[1], commit=3),
    )
    assert world.nodes[1].applied == list(entries_of_terms([1, 1, 1]))


def test_entries_to_apply_come_in_bounded_portions() -> None:
    """A long backlog does not hold up the loop; a portion is never empty."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1] * 5, commit=5))
    taken = world.raft().committed_entries(1, UNBOUNDED, 6)
    assert taken == [entry(2, 1), entry(3, 1)]
    assert world.raft().committed_entries(3, UNBOUNDED, 1) == [entry(4, 1)]
    assert world.raft().committed_entries(5, UNBOUNDED, UNBOUNDED) == []


# --- Figure 8 ----------------------------------------------------------------------------------


def figure_8() -> World:
    """Figure 8 (a) and (b): S1 led term 2 and reached S2 alone, S5 led term 3 and reached
    nobody. S1 is back, and about to lead term 4.
    """
    disks = {
        1: Disk(HardState(2), entries_of_terms([1, 2])),
        2: Disk(HardState(2), entries_of_terms([1, 2])),
        3: Disk(HardState(3), entries_of_terms([1])),
        4: Disk(HardState(3), entries_of_terms([1])),
        5: Disk(HardState(3), entries_of_terms([1, 3])),
    }
    world = World(5, disks=disks)
    world.isolate(4, 5)
    world.time_out(1)
    world.bag.clear()
    world.time_out(1)
    assert world.raft(1).current_term == 4
    return world


def test_figure_8_an_old_entry_on_a_majority_can_still_be_overwritten() -> None:
    """Raft §5.4.2, Figure 8 (c) and (d): hence the leader of term 4 may not call it committed."""
    world = figure_8()
    world.deliver()
    world.deliver()
    assert world.leaders == [1]
    probe, *_ = world.take_sent(1, 3)
    assert probe.prev_log_index == 2, "S3 is behind"
    world.hand(probe)
    world.take_sent(1, 2)
    world.deliver(3, 1)
    (repair,) = world.take_sent(1, 3)
    assert [one.term for one in repair.entries] == [2], "S1 repairs S3 with the entry of term 2"
    world.hand(repair)
    world.deliver(3, 1)
    holders = [node_id for node_id in (1, 2, 3) if world.terms(node_id)[:2] == [1, 2]]
    assert holders == [1, 2, 3], "the entry of term 2 is on a majority"
    assert world.raft(1).commit_index == 0

    world.crash(1)
    world.bag.clear()
    world.heal()
    world.time_out(5)
    until(lambda: world.raft(5).current_term >= 5, lambda: world.time_out(5), "node 5 is in term 5")
    world.settle()
    assert world.leaders == [5]
    world.heartbeat(5)
    assert [world.terms(node_id) for node_id in (2, 3, 4, 5)] == [[1, 3, 5]] * 4
    assert world.raft(5).commit_index == 3


def test_figure_8_an_entry_of_the_own_term_on_a_majority_is_safe() -> None:
    """Raft §5.4.2, Figure 8 (e): with it, S5 can no longer win."""
    world = figure_8()
    world.settle()
    world.heartbeat(1)
    assert world.terms(3) == [1, 2, 4]
    assert world.raft(1).commit_index == 3

    world.crash(1)
    world.heal()
    for _ in range(3):
        world.time_out(5)
        world.settle()
        assert world.raft(5).role is not Role.LEADER
    world.time_out(3)
    world.settle()
    world.heartbeat(3)
    assert world.leaders == [3]
    assert world.terms(5)[:3] == [1, 2, 4]
