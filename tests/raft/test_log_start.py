"""A log that begins after any entry: all that is at and before it is committed (Raft §7)."""

from __future__ import annotations

import pytest

from kvstore.raft.log import RaftLog
from kvstore.raft.messages import AppendEntries
from kvstore.raft.types import HardState, LogStart, Role, TermRange

from .disk import Disk, entries_of_terms, entry
from .harness import UNBOUNDED, World, bench, leader_bench
from .messages import accepted, append, rejected, request_vote

START = LogStart(10, 2)
FIRST = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 1)]


def first_index(start: LogStart) -> str:
    return f"begins at {start.index + 1}"


def log_of(*terms: int, start: LogStart = START) -> RaftLog:
    disk = Disk(HardState(9), entries_of_terms(terms, start.index + 1), start)
    log = RaftLog(disk, disk.recovered(), UNBOUNDED)
    log.check()
    return log


# --- The log -----------------------------------------------------------------------------------


def test_the_start_is_known_by_its_term_and_what_is_before_it_is_there() -> None:
    """Raft §5.3: a leader's entries before the start are those that were here."""
    log = log_of(2, 3)
    assert log.holds(10, 2)
    assert not log.holds(10, 1)
    assert log.holds(9, 1)
    assert log.holds(9, 2)
    assert not log.holds(13, 3)


def test_an_empty_log_ends_with_its_start() -> None:
    """Raft §5.4.1: it is as complete as what comes before it."""
    log = log_of()
    assert (log.last_index, log.last_term, log.commit_index) == (10, 2, 10)
    assert log.vouched_index == 10


@pytest.mark.parametrize("term", [2, 3])
def test_the_first_entry_opens_a_range_of_terms_whatever_the_start_s(term: int) -> None:
    log = log_of()
    log.append([entry(11, term), entry(12, term)])
    log.check()
    assert log.term_ranges == (TermRange(11, term),)
    log.truncate(11)
    log.check()
    assert (log.last_index, log.last_term) == (10, 2)


def test_nothing_at_or_before_the_start_is_removed() -> None:
    log = log_of(2)
    with pytest.raises(AssertionError):
        log.truncate(10)


# --- Followers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prev", [(3, 1), (9, 1), (9, 2)])
def test_what_reaches_before_the_start_is_a_match_there(prev: tuple[int, int]) -> None:
    """Raft §7: what was compacted is committed, so nothing of it can differ."""
    world = bench([2], 3, start=START)
    world.hand(append(2, 3, prev, [2] * (12 - prev[0])))
    [reply] = world.take_sent()
    assert (reply.success, reply.match_index) == (True, 12)
    assert [one.index for one in world.log()] == [11, 12]


def test_what_lies_before_the_start_as_a_whole_is_vouched_for_up_to_it() -> None:
    """The leader need not send what is between."""
    world = bench([2], 3, start=START)
    world.hand(append(2, 3, (3, 1), [1]))
    [reply] = world.take_sent()
    assert (reply.success, reply.match_index) == (True, 10)


def test_who_ends_before_the_leader_s_entry_says_where() -> None:
    world = bench([], 3, start=START)
    world.hand(append(2, 3, (14, 3)))
    assert world.take_sent() == [rejected(1, 3, prev=14, conflict=(11, 0), to=2)]


def test_a_stale_leader_is_fenced_whatever_entry_it_names() -> None:
    """Raft §5.1."""
    world = bench([2], 3, start=START)
    world.hand(append(2, 2, (4, 1)))
    assert [message.term for message in world.take_sent()] == [3]


def test_a_vote_needs_a_log_that_reaches_to_the_start() -> None:
    """Raft §5.4.1."""
    world = bench([], 3, start=START)
    world.hand(request_vote(2, 4, last=(9, 2)), request_vote(3, 5, last=(10, 2)))
    assert [message.vote_granted for message in world.take_sent()] == [False, True]


# --- Leaders -----------------------------------------------------------------------------------


def test_a_leader_goes_back_as_far_as_its_log_and_no_farther() -> None:
    """The follower ends where the leader begins: so the whole log is sent."""
    world = leader_bench([2, 2], 3, start=START)
    world.hand(rejected(2, 3, prev=12, conflict=(4, 1)))
    [probe] = world.take_sent(to=2)
    assert (probe.prev_log_index, probe.prev_log_term) == (10, 2)
    assert [one.index for one in probe.entries] == [11, 12]


def test_who_needs_what_is_before_the_log_gets_heartbeats_only_and_that_is_told_once() -> None:
    """Raft §7: only a snapshot could help it."""
    world = leader_bench([2, 2], 3, start=START)
    world.hand(rejected(2, 3, prev=12, conflict=(4, 1)), rejected(2, 3, prev=10, conflict=(4, 1)))
    needs = "node 2 needs log entries from before 11, where the log of this node begins"
    assert [line.partition(":")[0] for line in world.lines()] == [needs]
    world.take_sent()
    for _ in range(3):
        world.propose(1, "x")
        world.tick(1, 100)
        heard = world.take_sent(to=2)
        assert heard
        assert all(isinstance(one, AppendEntries) and not one.entries for one in heard)
        world.hand(rejected(2, 3, prev=10, conflict=(4, 1)))
    assert world.lines() == []
    assert world.raft().role is Role.LEADER


def test_who_got_it_from_elsewhere_is_sent_the_rest() -> None:
    world = leader_bench([2, 2], 3, start=START)
    world.hand(rejected(2, 3, prev=12, conflict=(4, 1)), rejected(2, 3, prev=10, conflict=(4, 1)))
    world.take_sent()
    world.hand(accepted(2, 3, match=10))
    sent = [one.index for message in world.take_sent(to=2) for one in message.entries]
    assert sent == [11, 12, 13]


def test_who_vouches_for_less_than_the_start_is_not_sent_what_is_not_here() -> None:
    """Its disk lost an entry that this leader cannot give."""
    world = leader_bench([2], 3, start=START)
    world.take_sent()
    world.hand(accepted(2, 3, match=4))
    world.propose(1, "x")
    assert min(one.prev_log_index for one in world.take_sent(to=2)) >= 10


# --- Whole worlds ------------------------------------------------------------------------------


@pytest.mark.parametrize("start", FIRST, ids=first_index)
def test_a_world_lives_wherever_its_logs_begin(start: LogStart) -> None:
    """Raft Figure 3: election, replication, a tail that is rolled back, restarts."""
    world = World(3, start=start)
    world.elect(1)
    first = world.propose(1, "a", "b")
    assert first == start.index + 2
    world.settle()
    world.isolate(1)
    world.propose(1, "lost")
    world.elect(2)
    world.propose(2, "kept")
    world.settle()
    world.heal()
    world.heartbeat(2)
    world.heartbeat(2)
    for node_id in world.nodes:
        assert [one.data for one in world.log(node_id)] == [b"1", b"a", b"b", b"2", b"kept"]
        world.crash(node_id)
        world.restart(node_id)
        assert world.raft(node_id).commit_index == start.index
    world.elect(3)
    assert [world.raft(one).commit_index for one in world.nodes] == [start.index + 6] * 3


@pytest.mark.parametrize("start", FIRST, ids=first_index)
def test_what_a_disk_lost_is_given_back_wherever_the_log_begins(start: LogStart) -> None:
    world = World(3, start=start)
    world.elect(1)
    index = world.propose(1, "a", "b", "c")
    world.settle()
    world.crash(2)
    world.disk(2).damaged = {index, index + 2}
    world.restart(2)
    assert world.raft(2).log.vouched_index == index - 1
    world.tick(2, 100)
    world.settle()
    assert not world.disk(2).damaged
