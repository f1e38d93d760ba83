"""What broke real systems, one scripted scene each, with the public report where there is one."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.messages import Message
from kvstore.raft.reads import ReadReady
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import Entry, EntryKind, HardState, RaftSettings, Role

from .disk import Disk, entries_of_terms, entry
from .harness import World, bench, leader_bench
from .messages import accepted, append, rejected, request_vote, vote_reply

# --- Elections and hard state ------------------------------------------------------------------


def test_a_crash_after_a_vote_does_not_give_a_second_one() -> None:
    """A vote that was answered is on the disk (hashicorp/raft#661, PySyncObj#84)."""
    world = World(3)
    world.time_out(1)
    (asked,) = world.take_sent(1, 2)
    world.hand(asked)
    world.crash(2)
    world.restart(2)
    world.time_out(3)
    world.deliver(3, 2)
    answers = {m.recipient: m.vote_granted for m in world.take_sent(2)}
    assert answers == {1: True, 3: False}


def test_a_term_never_reaches_the_disk_with_the_vote_of_another() -> None:
    """Hard state is one value (hashicorp/raft#661): each write shows a term and its own vote."""
    world = bench([], 1, voted_for=2)
    world.hand(append(2, 2), request_vote(3, 2), append(3, 3), request_vote(2, 4))
    written = [update.hard_state for update in world.disk().writes]
    assert written == [HardState(2, None), HardState(2, 3), HardState(3, None), HardState(4, 2)]


def test_a_lost_candidate_keeps_its_vote_for_itself() -> None:
    """A step-down within the term frees no vote (camunda#5356)."""
    world = bench([], 1, members=5)
    world.time_out(1)
    world.hand(append(2, 2))
    world.take_sent()
    world.hand(request_vote(3, 2))
    assert world.take_sent() == [vote_reply(1, 2, granted=False, to=3)]


def test_late_grants_of_an_old_term_are_not_counted() -> None:
    """Votes answer one election (little-raft#44)."""
    world = bench([], 1, members=5)
    world.time_out(1)
    world.hand(vote_reply(2, 2))
    world.time_out(1)
    world.hand(vote_reply(3, 2), vote_reply(4, 2), vote_reply(5, 3))
    assert world.raft().current_term == 3
    assert world.raft().role is Role.CANDIDATE


def test_duplicate_grants_count_once() -> None:
    """Votes are a set of nodes, not a number (xraft#27)."""
    world = bench([], 1, members=5)
    world.time_out(1)
    world.hand(*[vote_reply(2, 2)] * 5)
    assert world.raft().role is Role.CANDIDATE


def test_a_short_log_at_the_highest_term_does_not_block_elections() -> None:
    """The others adopt its term and win with their longer logs (etcd#8501)."""
    disks = {
        1: Disk(HardState(1), entries_of_terms([1, 1])),
        2: Disk(HardState(1), entries_of_terms([1, 1])),
        3: Disk(HardState(9), entries_of_terms([1])),
    }
    world = World(3, disks=disks)
    world.time_out(3)
    world.settle()
    assert world.leaders == []
    for _ in range(100):
        world.tick_all(50)
        world.settle()
    assert world.leaders
    assert world.leaders[0] in (1, 2)
    assert world.terms(3)[:2] == [1, 1]


def test_a_node_that_comes_back_with_an_inflated_term_costs_an_election_and_no_entry() -> None:
    """It deposes the leader, and cannot win against what was committed (hashicorp/raft#411)."""
    world = World(3)
    world.elect(1)
    world.isolate(3)
    world.propose(1, "kept")
    world.settle()
    for _ in range(10):
        world.time_out(3)
    world.heal()
    for _ in range(200):
        world.tick_all(50)
        world.settle()
    (leader,) = world.leaders
    assert world.raft(leader).current_term > 10
    assert b"kept" in [one.data for one in world.nodes[3].applied]


IGNORED: list[tuple[str, dict[str, object], str]] = [
    ("other cluster", {"cluster_id": "prod"}, "it belongs to cluster 'prod', this is 'test'"),
    ("other recipient", {"recipient": 3}, "it is for node 3"),
    ("unknown sender", {"sender": 9}, "its sender, node 9, is not a peer of this node"),
    ("itself", {"sender": 1}, "its sender, node 1, is not a peer of this node"),
]


@pytest.mark.parametrize(("_name", "change", "reason"), IGNORED, ids=[one[0] for one in IGNORED])
@pytest.mark.parametrize(
    "message",
    [
        request_vote(2, 9),
        vote_reply(2, 9),
        append(2, 9, terms=[9], commit=1),
        accepted(2, 9, match=1),
        vote_reply(2, 2),
        append(2, 1),
    ],
)
def test_messages_of_strangers_change_nothing(
    message: Message, _name: str, change: dict[str, object], reason: str
) -> None:
    """Not even the term (hashicorp/raft#524, cockroach#37907)."""
    world = bench([], 1)
    world.time_out(1)
    world.take_sent()
    world.lines()
    stranger = msgspec.structs.replace(message, **change)
    world.turn(1, lambda raft: raft.step(stranger))
    assert world.lines() == [f"ignored message: {reason}"]
    assert world.take_sent() == []
    assert world.raft().role is Role.CANDIDATE
    assert world.disk().hard_state == HardState(2, 1)


# --- Replication -------------------------------------------------------------------------------


def test_a_delayed_short_append_erases_nothing() -> None:
    """Entries it does not mention are no conflict (hashicorp/raft#113, redpanda#17895)."""
    world = bench([], 1)
    short, long = append(2, 1, terms=[1]), append(2, 1, terms=[1, 1, 1], commit=3)
    world.hand(long)
    world.take_sent()
    world.hand(short, append(2, 1))
    assert world.terms() == [1, 1, 1]
    assert world.raft().commit_index == 3
    assert [m.match_index for m in world.take_sent()] == [1, 0]


def test_truncation_and_append_are_one_write() -> None:
    """No crash falls between them (braft#119)."""
    world = bench([1, 1, 1], 1)
    world.hand(append(2, 2, prev=(1, 1), terms=[2, 2]))
    (update,) = world.disk().writes
    assert (update.truncate_from, list(update.entries)) == (2, [entry(2, 2), entry(3, 2)])


def test_a_follower_does_not_commit_past_what_the_leader_has_verified() -> None:
    """Beyond the request, its entries may be of another history (scylladb#9965)."""
    world = bench([1, 1, 1], 1)
    world.hand(append(2, 2, prev=(1, 1), commit=3))
    assert world.raft().commit_index == 1
    world.hand(append(2, 2, prev=(1, 1), terms=[2], commit=3))
    assert world.raft().commit_index == 2
    assert world.terms() == [1, 2]


def test_a_follower_reports_what_was_vouched_for_and_not_its_last_index() -> None:
    """The rest of its log may not be the leader's (ratis#1519)."""
    world = bench([1, 1, 1, 1, 1], 1)
    world.hand(append(2, 2, prev=(1, 1)), append(2, 2, prev=(1, 1), terms=[1]))
    assert [m.match_index for m in world.take_sent()] == [1, 2]


def test_a_delayed_success_does_not_move_match_index_back() -> None:
    """What a follower held, it holds (raft.tla#18)."""
    world = leader_bench([], term=2, members=5)
    world.propose(1, "a", "b")
    world.hand(accepted(2, 2, match=3), accepted(2, 2, match=1), accepted(2, 2, match=0))
    assert world.raft().match_index[2] == 3
    world.take_sent()
    world.propose(1, "c")
    (sent,) = world.take_sent(1, 2)
    assert sent.prev_log_index == 3


def test_a_delayed_success_does_not_move_next_index_back() -> None:
    """Requests that are out stay out (raft.tla#18)."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    for command in "abc":
        world.propose(1, command)
    world.take_sent()
    world.hand(accepted(2, 2, match=2), accepted(2, 2, match=1))
    assert world.take_sent(1, 2) == []
    world.propose(1, "d")
    (sent,) = world.take_sent(1, 2)
    assert sent.prev_log_index == 4


def test_a_delayed_reject_does_not_move_next_index_below_what_matches() -> None:
    """It answers a request that later ones overtook (raft.tla#18)."""
    world = leader_bench([1, 1], term=2)
    world.hand(accepted(2, 2, match=3))
    world.take_sent()
    world.hand(rejected(2, 2, prev=2, conflict=(1, 0)), rejected(2, 2, prev=3, conflict=(1, 0)))
    assert world.take_sent(1, 2) == []
    assert world.raft().match_index[2] == 3
    world.propose(1, "x")
    (sent,) = world.take_sent(1, 2)
    assert sent.prev_log_index == 3


def test_a_delayed_reject_sends_nothing_twice() -> None:
    """Requests that are out stay out, whatever an answer from before them says."""
    world = leader_bench([1, 1], term=2)
    world.hand(accepted(2, 2, match=3))
    world.propose(1, "x")
    world.take_sent()
    world.hand(rejected(2, 2, prev=2, conflict=(1, 0)), rejected(2, 2, prev=3, conflict=(1, 0)))
    assert world.take_sent(1, 2) == []


def test_a_reject_never_backs_up_below_what_matches() -> None:
    """The hint of a follower that lost requests is bounded by what it acknowledged."""
    world = leader_bench([1, 1], term=2)
    world.hand(accepted(2, 2, match=3))
    world.propose(1, "x")
    world.take_sent()
    world.hand(rejected(2, 2, prev=4, conflict=(1, 0)))
    (sent,) = world.take_sent(1, 2)
    assert sent.prev_log_index == 3


def test_a_duplicate_reject_backs_up_once() -> None:
    """The second answers a position that is no longer tried."""
    world = leader_bench([1, 1, 1], term=2)
    reject = rejected(2, 2, prev=3, conflict=(3, 0))
    world.hand(reject)
    world.take_sent()
    world.hand(reject, reject)
    assert world.take_sent(1, 2) == []


def test_a_success_of_an_earlier_leadership_does_not_count() -> None:
    """The follower's log may have been overwritten since (copycat#29)."""
    world = leader_bench([], term=2, members=3)
    world.propose(1, "old")
    late = accepted(2, 2, match=2)
    world.hand(append(3, 3, terms=[3]))
    world.time_out(1)
    world.hand(vote_reply(2, 4))
    assert world.raft().role is Role.LEADER
    world.hand(late)
    assert world.raft().match_index[2] == 0
    assert world.raft().commit_index == 0


def test_an_old_term_entry_is_not_committed_by_counting() -> None:
    """Figure 8 in one node (canonical/raft#220, PySyncObj#169)."""
    world = leader_bench([1, 1], term=3, members=5)
    world.hand(*(accepted(peer, 3, match=2) for peer in (2, 3, 4, 5)))
    assert world.raft().commit_index == 0
    world.hand(accepted(2, 3, match=3), accepted(3, 3, match=3))
    assert world.raft().commit_index == 3


def test_the_commit_index_of_a_follower_does_not_move_back() -> None:
    """A delayed request knows less (PySyncObj#166)."""
    world = bench([], 1)
    world.hand(
        append(2, 1, terms=[1, 1, 1], commit=3), append(2, 1, terms=[1], commit=1), append(2, 1)
    )
    assert world.raft().commit_index == 3


def test_the_commit_index_of_a_new_leader_does_not_move_back() -> None:
    """Its match indexes start at 0, what it knows does not (PySyncObj#166)."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1, 1], commit=2))
    world.time_out(1)
    world.hand(vote_reply(3, 2), accepted(3, 2, match=1))
    assert world.raft().role is Role.LEADER
    assert world.raft().commit_index == 2


def test_a_leader_does_not_count_its_own_copy_before_its_fsync() -> None:
    """A crash would take it back (etcd#14370)."""
    world = leader_bench([], term=2)
    world.act(1, lambda raft: raft.propose(b"x"))
    world.take(1)
    world.act(1, lambda raft: raft.step(accepted(2, 2, match=2)))
    assert world.raft().commit_index == 1


def test_a_success_past_the_leaders_own_log_is_not_believed() -> None:
    """Nobody can hold what was never sent."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=50))
    assert world.raft().match_index[2] == 0
    assert world.raft().commit_index == 0


def test_a_leader_that_contradicts_a_committed_entry_stops_the_node() -> None:
    """Then safety is lost already, and going on would hide it."""
    world = bench([], 1)
    world.hand(append(2, 1, terms=[1, 1], commit=2))
    with pytest.raises(SafetyViolationError, match="a committed entry would be removed"):
        world.raft().step(append(3, 2, prev=(1, 1), terms=[2]))


def test_a_second_leader_of_a_term_stops_the_node_that_sees_it() -> None:
    """Then safety is lost already."""
    world = bench([], 1)
    world.hand(append(2, 2))
    with pytest.raises(SafetyViolationError, match="two leaders in one term"):
        world.raft().step(append(3, 2))


# --- Stale leader, reads and clients -----------------------------------------------------------


def test_an_isolated_leader_commits_nothing() -> None:
    """So it has no OK to give."""
    world = World(3)
    world.elect(1)
    world.isolate(1)
    index = world.propose(1, "lonely")
    world.tick(1, 5000)
    assert world.raft(1).commit_index < index
    assert [one.data for one in world.nodes[1].applied] == [b"1"]


def test_another_entry_can_take_the_index_of_a_lost_one() -> None:
    """A waiter keyed by index alone would get another command's answer (openraft#973)."""
    world = World(3)
    world.elect(1)
    world.isolate(1)
    index = world.propose(1, "lost")
    term = world.raft(1).current_term
    world.elect(2)
    world.propose(2, "other")
    world.settle()
    world.heal()
    world.heartbeat(2)
    world.heartbeat(2)
    assert world.nodes[1].applied == world.nodes[2].applied
    (found,) = [one for one in world.nodes[1].applied if one.index == index]
    assert found.term > term


def test_an_entry_of_a_deposed_leader_may_still_be_committed() -> None:
    """So it may not tell its client that nothing was done (redisraft#23)."""
    world = World(3)
    world.elect(1)
    world.propose(1, "pending")
    world.deliver(1, 2)
    world.bag.clear()
    world.isolate(1)
    world.elect(2)
    world.heal()
    world.heartbeat(2)
    assert world.raft(1).role is Role.FOLLOWER
    assert b"pending" in [one.data for one in world.nodes[1].applied]


def test_a_new_leader_reads_nothing_before_its_own_no_op() -> None:
    """Its commit index may be behind what was acknowledged (etcd#7331)."""
    world = leader_bench([1, 1], term=2)
    world.read(1, 1)
    world.hand(accepted(3, 2, match=2, read_round=1))
    assert world.answered() == []
    world.hand(accepted(3, 2, match=3))
    assert world.answered() == [ReadReady(1, 1, 3)]


def test_a_leader_that_wakes_up_sends_nothing_of_its_old_term() -> None:
    """What queued while it stood still comes after the message that fences it (etcd#15247)."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.take_sent()
    world.turn(1, lambda raft: (raft.step(append(2, 3, prev=(1, 2))), raft.tick(60_000)))
    assert world.raft().role is Role.FOLLOWER
    assert [(m.term, m.recipient) for m in world.take_sent()] == [(3, 2)]


def test_only_a_leader_takes_commands_and_reads() -> None:
    """A driver that asks another role has a bug (etcd#12528)."""
    world = bench([], 2)
    with pytest.raises(AssertionError):
        world.raft().propose(b"x")
    with pytest.raises(AssertionError):
        world.raft().read(1)


def test_a_chain_of_three_nodes_makes_progress() -> None:
    """1 and 3 cannot see each other, 2 sees both."""
    world = World(3)
    world.cut = {(1, 3), (3, 1)}
    for _ in range(400):
        world.tick_all(50)
        world.settle()
        for leader in world.leaders:
            world.propose(leader, "x")
    assert len(world.nodes[2].applied) > 20


def test_a_leader_that_is_not_heard_is_replaced() -> None:
    """A one-way link: it hears the others, they do not hear it (old-raft-rs#27)."""
    world = World(3)
    world.elect(1)
    world.cut = {(1, 2), (1, 3)}
    for _ in range(100):
        world.tick_all(50)
        world.settle()
    (leader,) = world.leaders
    assert leader != 1


def test_a_no_op_is_told_from_a_command() -> None:
    """The state machine applies one and skips the other, on every replica alike."""
    world = World(3, settings=RaftSettings(append_bytes_max=1))
    world.elect(1)
    world.propose(1, "1")
    world.settle()
    world.heartbeat(1)
    expected = [Entry(1, 1, EntryKind.NOOP, b"1"), Entry(2, 1, EntryKind.COMMAND, b"1")]
    assert [node.applied for node in world.nodes.values()] == [expected] * 3
