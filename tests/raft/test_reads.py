"""When a node may answer a read, and as of which index: ReadIndex (Raft §8, thesis §6.4)."""

from __future__ import annotations

import pytest
from until import until

from kvstore.raft.messages import AppendEntries, AppendEntriesReply, ReadIndexReply
from kvstore.raft.reads import ReadReady
from kvstore.raft.types import RaftSettings, Role

from .harness import World, bench, leader_bench
from .messages import accepted, append, read_index, read_index_reply, rejected, vote_reply


def settled_leader(members: int = 3, settings: RaftSettings | None = None) -> World:
    """Node 1 on the bench, leading term 2, its no-op committed, nothing under way."""
    world = leader_bench([], term=2, members=members, settings=settings)
    world.hand(*(accepted(peer, 2, match=1) for peer in range(2, members + 1)))
    world.take_sent()
    return world


def rounds(world: World, to: int = 2) -> list[tuple[int, int, int]]:
    """What the leader sent: (prev_log_index, number of entries, round) each."""
    sent = [m for m in world.take_sent(1, to) if isinstance(m, AppendEntries)]
    return [(m.prev_log_index, len(m.entries), m.read_round) for m in sent]


# --- As of which index -------------------------------------------------------------------------


def test_a_read_is_answered_once_and_not_below_the_commit_index() -> None:
    """Raft §8."""
    world = settled_leader()
    world.read(1, 1)
    world.hand(accepted(2, 2, match=1, read_round=1))
    world.propose(1, "x")
    world.hand(accepted(2, 2, match=2, read_round=1))
    world.read(1, 2)
    world.hand(accepted(2, 2, match=2, read_round=2))
    assert world.answered() == [ReadReady(1, 1, 1), ReadReady(1, 2, 2)]


def test_a_read_does_not_wait_for_a_write_that_came_after_it() -> None:
    """Requests of one connection keep their order."""
    world = leader_bench([], term=2)
    world.read(1, 1)
    world.propose(1, "x")
    world.hand(accepted(2, 2, match=2, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_a_read_does_not_wait_for_writes_that_are_not_committed() -> None:
    """Raft §8: nobody has been told that they took effect."""
    world = settled_leader()
    world.propose(1, "x")
    world.read(1, 1)
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


# --- The no-op ---------------------------------------------------------------------------------


def test_a_new_leader_answers_no_read_before_its_no_op_is_committed() -> None:
    """Raft §8: it holds all committed entries, but does not know which they are (etcd#7331)."""
    world = leader_bench([1, 1], term=2)
    world.read(1, 7)
    world.hand(accepted(2, 2, match=2, read_round=1), accepted(3, 2, match=2, read_round=1))
    assert world.answered() == []
    world.hand(accepted(2, 2, match=3))
    assert world.answered() == [ReadReady(1, 7, 3)]


def test_a_follower_never_counts_as_knowing_the_commit_index() -> None:
    """Raft §8: it may be behind, however new its entries are."""
    world = bench([], 2)
    world.hand(append(2, 2, terms=[2], commit=1))
    assert world.raft().commit_index == 1
    assert not world.raft().has_committed_in_term


# --- A majority after the read -----------------------------------------------------------------


@pytest.mark.parametrize(("members", "echoes"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)])
def test_a_read_waits_for_a_majority_the_leader_included(members: int, echoes: int) -> None:
    """Raft §8: any newer leader was elected by one of them, after the read arrived."""
    world = settled_leader(members)
    world.read(1, 1)
    for peer in range(2, echoes + 2):
        assert world.answered() == []
        world.hand(accepted(peer, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_a_lone_node_answers_in_the_turn_of_the_read() -> None:
    """Raft §8: it is a majority of one, once its no-op is committed."""
    world = bench([], 1, members=1)

    def step() -> None:
        world.nodes[1].now_ms += 50
        world.act(1, lambda raft: raft.tick(world.nodes[1].now_ms))
        world.write(1, world.take(1))

    until(lambda: world.raft().role is Role.LEADER, step, "it leads")
    world.act(1, lambda raft: raft.read(1))
    effects = world.take(1)
    assert world.raft().ready_reads() == [], "the no-op is not on its disk"
    world.write(1, effects)
    assert world.raft().ready_reads() == [ReadReady(1, 1, 1)]
    world.read(1, 2)
    assert world.answered() == [ReadReady(1, 2, 1)]


def test_what_a_follower_said_of_an_earlier_round_confirms_no_later_read() -> None:
    """Raft §8: it followed then, and may have voted for another leader since."""
    world = settled_leader()
    world.read(1, 1)
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]
    world.read(1, 2)
    world.hand(accepted(2, 2, match=1, read_round=1), accepted(3, 2, match=1, read_round=1))
    assert world.answered() == []
    world.hand(accepted(3, 2, match=1, read_round=2))
    assert world.answered() == [ReadReady(1, 2, 1)]


def test_an_answer_to_a_message_from_before_the_read_confirms_nothing() -> None:
    """Raft §8: it may have been given before the read arrived, however late it comes."""
    world = World(3)
    world.elect(1)
    world.tick(1, 100)
    world.deliver(1)
    late = world.take_sent(to=1)
    world.read(1, 1)
    world.hand(*late)
    assert len(late) == 2
    assert world.answered() == []
    world.settle()
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_an_answer_read_in_the_turn_of_the_read_confirms_nothing() -> None:
    """Raft §8: the round of a read is opened when the turn's messages are written."""
    world = settled_leader()
    world.act(1, lambda raft: raft.read(1))
    world.act(1, lambda raft: raft.step(accepted(2, 2, match=1, read_round=1)))
    world.turn(1)
    assert world.answered() == []


def test_a_round_that_was_never_opened_confirms_nothing() -> None:
    """Nobody can follow a leader in what it has not said."""
    world = settled_leader()
    world.hand(accepted(2, 2, match=1, read_round=99), accepted(3, 2, match=1, read_round=99))
    world.read(1, 1)
    assert world.answered() == []
    world.hand(accepted(2, 2, match=1, read_round=2))
    assert world.answered() == []
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_repeated_echoes_of_one_follower_count_once() -> None:
    """Raft §8: a majority of servers, not of messages."""
    world = settled_leader(members=5)
    world.read(1, 1)
    world.hand(*[accepted(2, 2, match=1, read_round=1)] * 4)
    assert world.answered() == []
    world.hand(accepted(3, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_a_late_echo_takes_nothing_back() -> None:
    """Raft §8: who has echoed a round has followed since all rounds before it."""
    world = settled_leader(members=5)
    world.read(1, 1)
    world.read(1, 2)
    world.hand(accepted(2, 2, match=1, read_round=2), accepted(2, 2, match=1, read_round=1))
    world.hand(accepted(3, 2, match=1, read_round=2))
    assert world.answered() == [ReadReady(1, 1, 1), ReadReady(1, 2, 1)]


def test_a_rejection_confirms_as_a_success_does() -> None:
    """Raft §5.3: its sender follows, and only its log is another."""
    world = leader_bench([1], term=2)
    world.hand(accepted(3, 2, match=2))
    world.read(1, 1)
    world.hand(rejected(2, 2, prev=1, conflict=(1, 0), read_round=1))
    assert world.answered() == [ReadReady(1, 1, 2)]


@pytest.mark.parametrize("prev", [(1, 1), (5, 1)], ids=["success", "rejection"])
def test_a_follower_echoes_the_round_of_each_request(prev: tuple[int, int]) -> None:
    """Raft §8: success or not, it follows the leader of its term."""
    world = bench([1], 2)
    world.hand(append(2, 2, prev=prev, read_round=7))
    (reply,) = world.take_sent()
    assert isinstance(reply, AppendEntriesReply)
    assert (reply.success, reply.read_round) == (prev == (1, 1), 7)


def test_a_leader_cut_off_from_the_majority_answers_no_read() -> None:
    """Raft §8: the others may have elected, and written."""
    world = World(5)
    world.elect(1)
    world.isolate(1, 2)
    world.read(1, 1)
    world.settle()
    for _ in range(8):
        world.heartbeat(1)
    assert world.raft(1).role is Role.LEADER
    assert world.answered() == []


# --- Leaderships -------------------------------------------------------------------------------


def test_a_deposed_leader_answers_no_waiting_read() -> None:
    """Raft §8: another leader may have written since."""
    world = settled_leader()
    world.read(1, 1)
    world.hand(append(2, 3, prev=(1, 2), terms=[3], commit=2))
    world.hand(accepted(2, 2, match=1, read_round=1), accepted(3, 3, match=1, read_round=1))
    assert world.raft().role is Role.FOLLOWER
    assert world.answered() == []
    assert not world.raft().has_committed_in_term


def elected_again() -> World:
    """Node 1 led term 2, with an echo of read 1 and none of read 2; it leads term 4."""
    world = settled_leader()
    world.read(1, 1)
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]
    world.read(1, 2)
    world.hand(rejected(2, 3, prev=1, conflict=(1, 0)))
    world.time_out(1)
    world.hand(vote_reply(2, 4))
    assert (world.raft().role, world.raft().current_term) == (Role.LEADER, 4)
    world.take_sent()
    return world


def test_a_leader_elected_again_does_not_answer_reads_of_its_earlier_leadership() -> None:
    """Raft §8: those who asked have been told that it stepped down (etcd#20418)."""
    world = elected_again()
    world.hand(*(accepted(2, 4, match=2, read_round=echoed) for echoed in (1, 2)))
    assert world.raft().has_committed_in_term
    assert world.answered() == []


def test_a_leader_elected_again_counts_its_rounds_anew() -> None:
    """Raft §8: what was echoed to the earlier leadership says nothing about this one."""
    world = elected_again()
    world.hand(accepted(2, 4, match=2))
    world.read(1, 3)
    assert rounds(world)[-1] == (2, 0, 1)
    assert world.answered() == []
    world.hand(accepted(3, 2, match=1, read_round=1))
    assert world.answered() == []
    world.hand(accepted(3, 4, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 3, 2)]


def test_a_request_of_an_earlier_term_is_rejected_without_an_echo() -> None:
    """Raft §5.1, §8: the answer has the newer term, and its round is of the older one."""
    world = bench([], 3)
    world.hand(append(2, 2, read_round=7))
    (reply,) = world.take_sent()
    assert isinstance(reply, AppendEntriesReply)
    assert (reply.term, reply.success, reply.read_round) == (3, False, 0)


def test_a_rejection_of_an_earlier_leadership_confirms_no_read_of_this_one() -> None:
    """Raft §8: node 1 leads twice, and a request of its first term is answered in its second."""
    world = World(3)
    world.elect(1)
    world.read(1, 1)
    (old,) = world.take_sent(1, 2)
    world.bag.clear()
    world.elect(2)
    world.elect(1)
    world.hand(old)
    (late,) = world.take_sent(2, 1)
    assert late.term == world.raft(1).current_term, "it passes the comparison of terms"
    world.read(1, 2)
    world.bag.clear()
    world.hand(late)
    assert world.answered() == []


# --- Rounds ------------------------------------------------------------------------------------


def test_all_reads_of_a_turn_share_one_round_and_one_message_to_each_follower() -> None:
    """Thesis §6.4: one round for any number of reads."""
    world = settled_leader()
    world.read(1, 1, 2, 3)
    assert rounds(world, to=2) == rounds(world, to=3) == [(1, 0, 1)]
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1), ReadReady(1, 2, 1), ReadReady(1, 3, 1)]


def test_reads_behind_a_round_that_is_out_open_the_next_at_once() -> None:
    """Raft §8: they arrived after it left; and an echo of theirs confirms both."""
    world = settled_leader()
    world.read(1, 1)
    world.read(1, 2)
    assert rounds(world) == [(1, 0, 1), (1, 0, 2)]
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]
    world.read(1, 3)
    world.hand(accepted(2, 2, match=1, read_round=3))
    assert world.answered() == [ReadReady(1, 2, 1), ReadReady(1, 3, 1)]


def test_a_turn_without_reads_opens_no_round() -> None:
    """Thesis §6.4: what is not asked costs nothing."""
    world = settled_leader()
    world.read(1, 1)
    world.take_sent()
    world.turn(1)
    assert world.take_sent() == []
    world.propose(1, "x")
    assert rounds(world) == [(1, 1, 1)]


def test_entries_carry_the_round_and_no_further_message_does() -> None:
    """Thesis §6.4: any AppendEntries that leaves after the read confirms it."""
    world = settled_leader()
    world.turn(1, lambda raft: (raft.read(1), raft.propose(b"x")))
    assert rounds(world) == [(1, 1, 1)]


def test_a_lost_round_heals_by_the_next_heartbeat() -> None:
    """Raft §5.5: requests are repeated until they are answered."""
    world = World(3)
    world.elect(1)
    world.read(1, 1)
    world.bag.clear()
    world.heartbeat(1)
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_reads_go_on_while_the_windows_of_all_followers_are_full() -> None:
    """Raft §8: whether they follow does not depend on what they have taken."""
    world = settled_leader(settings=RaftSettings(inflight_messages_max=1))
    world.propose(1, "a")
    world.propose(1, "b")
    assert rounds(world) == [(1, 1, 0)]
    world.read(1, 1)
    assert rounds(world) == [(2, 0, 1)]
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert world.answered() == [ReadReady(1, 1, 1)]


def test_reads_go_on_while_a_follower_is_probed_and_the_probe_is_not_sent_again() -> None:
    """Raft §8: a read is no sign that the probe was lost."""
    world = leader_bench([1], term=2)
    world.hand(accepted(3, 2, match=2))
    world.take_sent()
    world.read(1, 1)
    assert rounds(world, to=2) == [(1, 0, 1)]
    world.hand(rejected(2, 2, prev=1, conflict=(1, 0), read_round=1))
    assert world.answered() == [ReadReady(1, 1, 2)]


# --- Followers ---------------------------------------------------------------------------------


def test_a_follower_answers_as_of_the_index_that_its_leader_confirmed() -> None:
    """Thesis §6.4: the leader asks a majority, the follower applies that far."""
    world = World(3)
    world.elect(1)
    world.propose(1, "x")
    world.settle()
    world.read(3, 77)
    assert world.sent(3) == [read_index(3, 1, 77, to=1)]
    assert world.answered(3) == []
    world.settle()
    assert world.answered(3) == [ReadReady(3, 77, 2)]
    assert world.answered(1) == []


def test_a_leader_tells_a_follower_no_index_before_a_majority_confirmed_it() -> None:
    """Thesis §6.4: it may have been replaced, as with a read of its own."""
    world = settled_leader()
    world.hand(read_index(3, 2, 7))
    assert not any(isinstance(m, ReadIndexReply) for m in world.take_sent())
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert read_index_reply(1, 2, 7, 1, to=3) in world.take_sent()


def test_a_follower_believes_only_its_leader() -> None:
    """Thesis §6.4: nobody else knows what is committed."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.turn(1, lambda raft: raft.read(5))
    world.hand(read_index_reply(3, 1, 5, 1))
    assert world.answered() == []
    world.hand(read_index_reply(2, 1, 5, 1))
    assert world.answered() == [ReadReady(1, 5, 1)]


def test_an_index_of_an_earlier_term_is_dropped() -> None:
    """Raft §5.1: a newer leader may have written since the question."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.turn(1, lambda raft: raft.read(5))
    world.hand(append(3, 2, prev=(1, 1)), read_index_reply(2, 1, 5, 1))
    assert world.answered() == []


def test_what_was_confirmed_before_the_leader_was_lost_is_not_answered_after() -> None:
    """The reader was told so when its leader was lost."""
    world = bench([1], 1)
    world.hand(append(2, 1, prev=(1, 1)))
    world.act(1, lambda raft: raft.read(5))
    world.act(1, lambda raft: raft.step(read_index_reply(2, 1, 5, 1)))
    world.act(1, lambda raft: raft.step(append(3, 2, prev=(1, 1))))
    world.turn(1)
    assert world.answered() == []


def test_a_node_that_leads_no_more_answers_no_follower() -> None:
    """Thesis §6.4: the reader asks again, whoever leads then."""
    world = bench([1], 1)
    world.hand(read_index(2, 1, 7))
    assert world.take_sent() == []
