"""Crash and restart: what Figure 2 calls persistent survives, and the rest is learned anew."""

from __future__ import annotations

from kvstore.raft.types import EntryKind, HardState, RaftSettings, Role

from .disk import entries_of_terms
from .harness import UNBOUNDED, World, bench
from .messages import append, request_vote, vote_reply


def test_term_vote_and_log_survive_a_crash() -> None:
    """Raft Figure 2, persistent state on all servers."""
    world = bench([1, 1], 1)
    world.hand(append(2, 2, prev=(2, 1), terms=[2]), request_vote(3, 5, last=(3, 2)))
    world.crash(1)
    world.restart(1)
    raft = world.raft()
    assert (raft.current_term, raft.voted_for) == (5, 3)
    assert world.terms() == [1, 1, 2]
    assert raft.log.durable_index == 3


def test_a_restarted_node_is_a_follower_that_knows_no_leader() -> None:
    """Raft Figure 2, volatile state: whatever it was before."""
    world = World(3)
    world.elect(1)
    for node_id in (1, 2):
        world.crash(node_id)
        world.restart(node_id)
        raft = world.raft(node_id)
        assert (raft.role, raft.leader_id, raft.match_index) == (Role.FOLLOWER, None, {})


def test_a_restarted_node_commits_nothing_until_a_leader_says_so() -> None:
    """Raft Figure 2, volatile state: `commit_index` starts at what was applied and no further."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1, 1, 1], commit=3))
    world.disk().last_applied = 2
    world.crash(1)
    world.restart(1)
    assert world.raft().commit_index == 2
    assert world.raft().committed_entries(2, UNBOUNDED, UNBOUNDED) == []
    world.hand(append(2, 1, prev=(3, 1), commit=3))
    assert [one.index for one in world.nodes[1].applied] == [1, 2, 3]


def test_what_was_committed_but_not_applied_is_applied_again_after_a_crash() -> None:
    """Raft §5.3: the key space is a view of the log, and catches up from it."""
    world = World(3)
    world.elect(1)
    world.propose(1, "x", "y")
    world.settle()
    world.heartbeat(1)
    world.crash(2)
    world.restart(2)
    assert world.nodes[2].applied == []
    world.heartbeat(1)
    assert world.nodes[2].applied == world.nodes[1].applied
    assert len(world.nodes[2].applied) == 3


def test_a_restarted_node_does_not_vote_twice_in_its_term() -> None:
    """Raft §5.2, Figure 2: the vote is on the disk (hashicorp/raft#661, PySyncObj#84)."""
    world = bench([], 1)
    world.hand(request_vote(2, 2))
    world.crash(1)
    world.restart(1)
    world.take_sent()
    world.hand(request_vote(3, 2))
    assert world.take_sent() == [vote_reply(1, 2, granted=False, to=3)]


def test_a_restarted_candidate_stands_in_a_new_term() -> None:
    """Raft §5.2: votes of the election before the crash count for nothing."""
    world = bench([], 1)
    world.time_out(1)
    world.crash(1)
    world.restart(1)
    world.hand(vote_reply(2, 2), vote_reply(3, 2))
    assert world.raft().role is Role.FOLLOWER
    world.time_out(1)
    assert world.disk().hard_state == HardState(3, 1)


def test_a_restarted_follower_hears_its_leader_before_it_stands() -> None:
    """Raft §5.2: its timer starts with the first look at the clock."""
    world = bench([1], 1)
    world.nodes[1].now_ms = 1e9
    world.tick(1, 500)
    assert world.raft().role is Role.FOLLOWER


def test_the_log_on_disk_serves_a_follower_that_lags() -> None:
    """Raft §5.3: after a restart nothing of the log is in memory."""
    world = World(3)
    world.elect(1)
    world.propose(1, "a", "b")
    world.settle()
    world.crash(3)
    world.nodes[3].disk.log.clear()
    world.crash(1)
    world.restart(1)
    world.elect(1)
    world.restart(3)
    for _ in range(3):
        world.heartbeat(1)
    assert world.terms(3) == [1, 1, 1, 2]
    assert world.nodes[3].applied == world.nodes[1].applied


def test_entries_that_left_the_memory_are_read_from_the_disk() -> None:
    """A cache of one byte holds only what is not applied yet."""
    world = World(3, settings=RaftSettings(cached_bytes_max=1))
    world.elect(1)
    for command in "abcdef":
        world.propose(1, command)
        world.settle()
    world.crash(2)
    world.restart(2)
    world.time_out(2)
    world.settle()
    world.propose(2, "g")
    world.settle()
    for _ in range(3):
        world.heartbeat(2)
    assert [one.data for one in world.nodes[3].applied][-2:] == [b"2", b"g"]
    assert world.nodes[3].applied == world.nodes[2].applied == world.nodes[1].applied
    assert world.log(2) == world.disk(2).log


def test_a_log_of_several_terms_is_recovered_with_all_of_them() -> None:
    """Raft Figure 2, persistent state: each entry with the term it was received in."""
    world = bench([1, 1, 4, 5, 5], 6)
    log = world.raft().log
    assert [log.term(index) for index in range(6)] == [0, 1, 1, 4, 5, 5]
    assert log.last_term == 5
    assert [(r.first_index, r.term) for r in log.term_ranges] == [(1, 1), (3, 4), (4, 5)]
    assert [log.last_index_of_term(term) for term in (1, 2, 4, 5, 6)] == [2, None, 3, 5, None]


def test_a_whole_cluster_that_restarts_keeps_what_it_acknowledged() -> None:
    """Raft §5.4.3: a committed entry is in every later leader's log."""
    world = World(3)
    world.elect(1)
    world.propose(1, "kept")
    world.settle()
    for node_id in (1, 2, 3):
        world.crash(node_id)
    world.bag.clear()
    for node_id in (1, 2, 3):
        world.restart(node_id)
    world.elect(2)
    commands = [one.data for one in world.nodes[2].applied if one.kind is EntryKind.COMMAND]
    assert commands == [b"kept"]


def test_terms_before_a_truncation_are_forgotten_with_their_entries() -> None:
    """Raft §5.3: the log is what is on the disk, also after a restart."""
    world = bench([1, 2, 2, 3, 3], 4)
    world.hand(append(2, 4, prev=(2, 2), terms=[4, 4]))
    world.crash(1)
    world.restart(1)
    assert world.log() == list(entries_of_terms([1, 2, 4, 4]))
    assert world.raft().log.last_index_of_term(3) is None
