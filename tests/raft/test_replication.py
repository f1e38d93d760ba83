"""Log replication: Raft §5.3, the receiver's rules and the leader's."""

from __future__ import annotations

import pytest

from kvstore.raft.messages import AppendEntries, AppendEntriesReply
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import RaftSettings, Role

from .disk import entry
from .harness import World, bench, leader_bench
from .messages import accepted, append, rejected, vote_reply


def reply(world: World) -> AppendEntriesReply:
    (only,) = world.take_sent()
    assert isinstance(only, AppendEntriesReply)
    return only


def appends(world: World, to: int = 2) -> list[tuple[int, list[int]]]:
    """What the leader sent to a follower: (prev_log_index, terms of the entries) each.

    A log that a bench begins with is read from the disk, and later entries from
    memory; one request carries entries of one or of the other.
    """
    sent = [m for m in world.take_sent(1, to) if isinstance(m, AppendEntries)]
    return [(m.prev_log_index, [one.term for one in m.entries]) for m in sent]


# --- AppendEntries, receiver -------------------------------------------------------------------


def test_follower_rejects_append_when_its_log_is_too_short() -> None:
    """Raft Figure 2, AppendEntries receiver 2: no entry at `prev_log_index`."""
    world = bench([1, 1], 2)
    world.hand(append(2, 2, prev=(4, 2), terms=[2]))
    answer = reply(world)
    assert (answer.success, answer.prev_log_index) == (False, 4)
    assert (answer.conflict_index, answer.conflict_term) == (3, 0)
    assert world.terms() == [1, 1]


def test_follower_rejects_append_right_after_its_missing_entry() -> None:
    """Raft Figure 2, AppendEntries receiver 2, at the edge of the log."""
    world = bench([1, 1], 2)
    world.hand(append(2, 2, prev=(3, 2)))
    assert (reply(world).conflict_index, world.terms()) == (3, [1, 1])


def test_follower_rejects_append_when_prev_log_term_differs() -> None:
    """Raft Figure 2, AppendEntries receiver 2: the entry there is of another term."""
    world = bench([1, 1, 2, 2, 2], 4)
    world.hand(append(2, 4, prev=(4, 3), terms=[4]))
    answer = reply(world)
    assert not answer.success
    assert (answer.conflict_index, answer.conflict_term) == (3, 2)
    assert world.terms() == [1, 1, 2, 2, 2], "a mismatch at prev is no reason to remove anything"


def test_a_rejection_says_nothing_of_what_is_held() -> None:
    """Raft §5.3: only a success raises `match_index`."""
    world = bench([1, 1], 2)
    world.hand(append(2, 2, prev=(2, 2), terms=[2]))
    assert reply(world).match_index == 0


def test_follower_that_rejects_still_follows_the_leader() -> None:
    """Raft §5.2: the term decides who leads, not the log."""
    world = bench([1], 2)
    world.hand(append(2, 2, prev=(5, 2)))
    assert world.raft().leader_id == 2


def test_the_position_before_the_log_always_matches() -> None:
    """Raft §5.3: the consistency check begins at the empty log, where all agree."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1]))
    assert reply(world).match_index == 1


def test_follower_removes_a_conflicting_entry_and_all_that_follow() -> None:
    """Raft Figure 2, AppendEntries receiver 3."""
    world = bench([1, 1, 2, 2, 2], 3)
    world.hand(append(2, 3, prev=(2, 1), terms=[3, 3]))
    assert world.terms() == [1, 1, 3, 3]
    assert world.disk().log == world.log()
    assert reply(world).match_index == 4
    assert "rolled back 3 uncommitted entries from index 3" in world.lines()


def test_a_conflict_in_the_middle_keeps_what_agrees_before_it() -> None:
    """Raft Figure 2, AppendEntries receiver 3: from the first conflict on, not from the first
    entry.
    """
    world = bench([1, 1, 2, 2], 3)
    world.hand(append(2, 3, prev=(1, 1), terms=[1, 2, 3]))
    assert world.terms() == [1, 1, 2, 3]
    (update,) = world.disk().writes
    assert update.truncate_from == 4
    assert list(update.entries) == [entry(4, 3)]


def test_follower_appends_entries_that_it_lacks() -> None:
    """Raft Figure 2, AppendEntries receiver 4."""
    world = bench([1], 2)
    world.hand(append(2, 2, prev=(1, 1), terms=[2, 2]))
    assert world.terms() == [1, 2, 2]
    assert world.disk().log == world.log()


def test_follower_appends_only_what_is_new() -> None:
    """Raft Figure 2, AppendEntries receiver 4: not already in the log."""
    world = bench([1, 1], 1)
    world.hand(append(2, 1, prev=(0, 0), terms=[1, 1, 1]))
    (update,) = world.disk().writes
    assert update.truncate_from is None
    assert list(update.entries) == [entry(3, 1)]
    assert world.lines() == ["following leader node 2"]


def test_a_repeated_append_changes_nothing_and_is_acknowledged() -> None:
    """Raft §5.5: RPCs are idempotent."""
    world = bench([], 1)
    request = append(2, 1, terms=[1, 1])
    world.hand(request, request)
    assert [m.match_index for m in world.take_sent()] == [2, 2]
    assert len(world.disk().writes) == 1


def test_a_heartbeat_removes_nothing_that_follows_its_position() -> None:
    """Raft Figure 2, AppendEntries receiver 3: without an entry there is no conflict."""
    world = bench([1, 1, 1], 2)
    world.hand(append(2, 2, prev=(1, 1)))
    assert world.terms() == [1, 1, 1]


def test_follower_commits_up_to_the_leaders_commit_index() -> None:
    """Raft Figure 2, AppendEntries receiver 5: the leader's commit index, where it is lower."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1, 1, 1], commit=2))
    assert world.raft().commit_index == 2
    assert world.nodes[1].applied == [entry(1, 1), entry(2, 1)]


def test_follower_commits_no_further_than_the_last_new_entry() -> None:
    """Raft Figure 2, AppendEntries receiver 5: the last new entry, where that is lower."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1, 1], commit=9))
    assert world.raft().commit_index == 2


def test_a_heartbeat_carries_the_commit_index() -> None:
    """Raft §5.3: a follower learns from later requests that an entry is committed."""
    world = bench([1, 1], 1)
    world.hand(append(2, 1, prev=(2, 1), commit=2))
    assert world.raft().commit_index == 2


def test_a_rejected_append_commits_nothing() -> None:
    """Raft Figure 2, AppendEntries receiver 2 and 5."""
    world = bench([1, 1], 2)
    world.hand(append(2, 2, prev=(2, 2), terms=[2], commit=2))
    assert world.raft().commit_index == 0


@pytest.mark.parametrize(
    ("prev", "conflict"),
    [((6, 9), (5, 4)), ((4, 9), (2, 2)), ((1, 9), (1, 1)), ((8, 9), (7, 0)), ((7, 9), (7, 0))],
)
def test_a_rejection_names_the_term_in_conflict_and_its_first_index(
    prev: tuple[int, int], conflict: tuple[int, int]
) -> None:
    """Raft §5.3, fast back-up: a whole term is skipped with one answer."""
    world = bench([1, 2, 2, 2, 4, 4], 9)
    world.hand(append(2, 9, prev=prev))
    answer = reply(world)
    assert (answer.conflict_index, answer.conflict_term) == conflict


# --- Leaders -----------------------------------------------------------------------------------


def test_a_command_is_appended_and_sent() -> None:
    """Raft Figure 2, leaders 2."""
    world = leader_bench([1], term=2)
    world.hand(accepted(2, 2, match=2), accepted(3, 2, match=2))
    world.take_sent()
    assert world.propose(1, "x", "y") == 3
    assert [one.data for one in world.log()[2:]] == [b"x", b"y"]
    assert [one.term for one in world.log()[2:]] == [2, 2]
    assert appends(world, 2) == appends(world, 3) == [(2, [2, 2])]


def test_a_command_is_applied_only_once_it_is_committed() -> None:
    """Raft Figure 2, leaders 2: the answer follows the application."""
    world = leader_bench([], term=2)
    world.propose(1, "x")
    assert world.nodes[1].applied == []
    world.hand(accepted(2, 2, match=2))
    assert [one.data for one in world.nodes[1].applied] == [b"1", b"x"]


def test_a_follower_that_lags_is_sent_the_entries_from_its_next_index() -> None:
    """Raft Figure 2, leaders 3."""
    world = leader_bench([1, 1, 2], term=3)
    world.hand(rejected(2, 3, prev=3, conflict=(2, 0)))
    assert appends(world) == [(1, [1, 2])]


def test_next_index_starts_right_after_the_log() -> None:
    """Raft Figure 2, volatile state on leaders: last log index + 1, and `match_index` 0."""
    world = bench([1, 1], 1)
    world.time_out(1)
    world.take_sent()
    world.hand(vote_reply(2, 2))
    assert appends(world) == [(2, [2])]
    assert world.raft().match_index == {1: 3, 2: 0, 3: 0}


def test_a_success_raises_next_index_and_match_index() -> None:
    """Raft Figure 2, leaders 3.1."""
    world = leader_bench([1], term=2)
    world.hand(accepted(2, 2, match=2))
    assert world.raft().match_index[2] == 2
    world.take_sent()
    world.propose(1, "x")
    assert appends(world) == [(2, [2])]


def test_a_rejection_lowers_next_index_and_retries_at_once() -> None:
    """Raft Figure 2, leaders 3.2."""
    world = leader_bench([1, 1, 1], term=2)
    world.hand(rejected(2, 2, prev=3, conflict=(3, 0)))
    assert appends(world) == [(2, [1])]


def test_back_up_skips_a_term_that_the_leader_does_not_have() -> None:
    """Raft §5.3, fast back-up: to the first index of the follower's term."""
    world = leader_bench([1, 1, 4, 4, 5, 5], term=7)
    world.hand(rejected(2, 7, prev=6, conflict=(3, 2)))
    assert appends(world) == [(2, [4, 4, 5, 5])]


def test_back_up_stops_at_the_leaders_last_entry_of_that_term() -> None:
    """Raft §5.3, fast back-up: what the leader has of the term may agree."""
    world = leader_bench([1, 2, 2, 4, 5, 5], term=7)
    world.hand(rejected(2, 7, prev=6, conflict=(2, 2)))
    assert appends(world) == [(3, [4, 5, 5])]


def test_back_up_stops_at_the_last_entry_of_the_leaders_newest_term() -> None:
    """Raft §5.3, fast back-up, where the term in conflict is the last of the leader's log."""
    world = leader_bench([1, 3, 3], term=5)
    world.propose(1, "x")
    world.hand(accepted(2, 5, match=0), rejected(2, 5, prev=3, conflict=(2, 1)))
    assert appends(world)[-1] == (1, [3, 3])


def test_back_up_always_moves() -> None:
    """Raft §5.3: `next_index` gets below the position that failed, whatever the answer hints."""
    world = leader_bench([1, 1, 1], term=2)
    world.hand(rejected(2, 2, prev=3, conflict=(9, 0)))
    assert appends(world) == [(2, [1])]


def test_back_up_ends_at_the_beginning_of_the_log() -> None:
    """Raft §5.3: the empty log agrees with everything."""
    world = leader_bench([1, 1], term=2)
    world.hand(rejected(2, 2, prev=2, conflict=(0, 0)))
    assert appends(world) == [(0, [1, 1])]


def test_one_probe_at_a_time_while_agreement_is_unknown() -> None:
    """Raft §5.3: no use in sending what will be rejected."""
    world = leader_bench([1], term=2)
    world.propose(1, "x")
    world.propose(1, "y")
    assert appends(world) == []
    world.hand(accepted(2, 2, match=2))
    assert appends(world) == [(2, [2, 2])]


def test_a_lost_probe_is_sent_again_with_the_next_heartbeat() -> None:
    """Raft §5.5: requests are retried until they are answered."""
    world = leader_bench([1], term=2)
    for _ in range(3):
        world.tick(1, 100)
        assert appends(world) == [(1, [2])]


def test_a_follower_in_agreement_gets_a_pipeline() -> None:
    """Raft thesis §10.2.1: the next request does not wait for the last answer."""
    world = leader_bench([1], term=2)
    world.hand(accepted(2, 2, match=2))
    world.take_sent()
    for command in "abc":
        world.propose(1, command)
    assert appends(world) == [(2, [2]), (3, [2]), (4, [2])]


def test_the_pipeline_is_bounded_and_reopens_with_answers() -> None:
    """A follower that does not answer holds no more than its share of requests."""
    world = leader_bench([1], term=2, settings=RaftSettings(inflight_messages_max=2))
    world.hand(accepted(2, 2, match=2))
    world.take_sent()
    for command in "abcd":
        world.propose(1, command)
    assert appends(world) == [(2, [2]), (3, [2])]
    world.hand(accepted(2, 2, match=3))
    assert appends(world) == [(4, [2, 2])]


def test_an_answer_frees_the_room_of_what_it_answers_and_no_more() -> None:
    """A success for one request says nothing of those behind it."""
    world = pipelined(inflight=2)
    for command in "abcde":
        world.propose(1, command)
    assert appends(world) == [(2, [2]), (3, [2])]
    world.hand(accepted(2, 2, match=3))
    assert appends(world) == [(4, [2])]


def test_requests_lost_before_a_rejection_take_up_no_room_after_it() -> None:
    """Raft §5.3: what the follower rejected is out no more."""
    world = pipelined(inflight=2)
    for command in "abc":
        world.propose(1, command)
    world.take_sent()
    world.hand(rejected(2, 2, prev=3, conflict=(3, 0)))
    assert appends(world) == [(2, [2])]
    world.hand(accepted(2, 2, match=3))
    assert appends(world) == [(3, [2]), (4, [2])]


def pipelined(inflight: int) -> World:
    """A leader of term 2 in agreement with node 2 up to index 2, one entry per request."""
    settings = RaftSettings(inflight_messages_max=inflight, append_bytes_max=1)
    world = leader_bench([1], term=2, settings=settings)
    world.hand(accepted(2, 2, match=2))
    world.take_sent()
    return world


def test_one_answer_to_the_newest_request_answers_those_before_it() -> None:
    """A success vouches for the whole log up to its match."""
    world = leader_bench([1], term=2, settings=RaftSettings(inflight_messages_max=2))
    world.hand(accepted(2, 2, match=2))
    for command in "abcd":
        world.propose(1, command)
    world.take_sent()
    world.hand(accepted(2, 2, match=4))
    assert appends(world) == [(4, [2, 2])]
    world.propose(1, "e")
    assert appends(world) == [(6, [2])]


def test_a_full_pipeline_still_gets_heartbeats() -> None:
    """Raft §5.2: a slow follower is not a follower without a leader."""
    world = leader_bench([1], term=2, settings=RaftSettings(inflight_messages_max=1))
    world.hand(accepted(2, 2, match=2))
    world.propose(1, "a")
    world.propose(1, "b")
    world.take_sent()
    world.tick(1, 100)
    assert appends(world) == [(3, [])]


def test_a_rejection_in_the_pipeline_starts_over_from_the_gap() -> None:
    """Raft §5.3: requests lost on the way are found by the one after them."""
    world = leader_bench([1], term=2, settings=RaftSettings(inflight_messages_max=3))
    world.hand(accepted(2, 2, match=2))
    for command in "abcd":
        world.propose(1, command)
    world.take_sent()
    world.hand(rejected(2, 2, prev=3, conflict=(3, 0)))
    assert appends(world) == [(2, [2, 2, 2, 2])]
    world.hand(accepted(2, 2, match=6))
    world.propose(1, "e")
    world.propose(1, "f")
    world.propose(1, "g")
    assert appends(world) == [(6, [2]), (7, [2]), (8, [2])], "the lost requests take up room"


def test_requests_are_cut_at_the_byte_limit_but_never_empty() -> None:
    """A bound on one request; an entry larger than the bound travels alone."""
    world = leader_bench([1], term=2, settings=RaftSettings(append_bytes_max=4))
    world.hand(accepted(2, 2, match=2))
    world.take_sent()
    world.propose(1, "aa", "bb", "cccccc", "d")
    assert appends(world) == [(2, [2, 2]), (4, [2]), (5, [2])]


def test_a_leader_never_removes_entries_of_its_own() -> None:
    """Raft §5.3, leader append-only: an append of its own term means that safety is lost."""
    world = leader_bench([1], term=2)
    with pytest.raises(SafetyViolationError, match="two leaders in one term"):
        world.raft().step(append(2, 2, prev=(1, 1), terms=[2]))


def test_a_leader_gone_leaves_late_answers_without_a_reader() -> None:
    """Raft §5.3: a follower keeps no `match_index`."""
    world = leader_bench([1], term=2)
    world.hand(rejected(3, 3, prev=1, conflict=(1, 0)))
    world.hand(accepted(2, 3, match=2))
    assert world.raft().role is Role.FOLLOWER
    assert world.raft().commit_index == 0
