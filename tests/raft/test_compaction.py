"""The front of a log is dropped (Raft §7): what nobody needs, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.changes import LAG_MAX, demoted
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.events import NeedsOlder
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import AppendEntries, EntryRange, FetchEntries, FetchEntriesReply
from kvstore.raft.reads import ReadReady
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.spans import Spans
from kvstore.raft.types import EntryKind, HardState, LogStart, TermRange

from .disk import THREE, Disk, configured, entries_of_terms, entry
from .harness import UNBOUNDED, World, bench, leader_bench
from .messages import CLUSTER, accepted, append, rejected

TERMS = (1, 1, 2, 2, 2, 4)


def durable_log(*damaged: int, commit: int = 6) -> tuple[RaftLog, Disk]:
    """Entries 1 to 6, on a disk that has applied all of them."""
    disk = Disk(HardState(9), entries_of_terms(TERMS))
    disk.last_applied, disk.damaged = commit, set(damaged)
    log = RaftLog(disk, disk.recovered(), UNBOUNDED)
    log.commit(commit)
    return log, disk


def written(log: RaftLog, disk: Disk) -> None:
    update = log.submit(None, 0.0)
    disk.write(update)
    log.mark_durable(update.number)
    log.check()


# --- The log -----------------------------------------------------------------------------------


def test_a_configuration_keeps_its_index_when_its_entry_is_dropped() -> None:
    """Whoever asks for a change names it by that, and the log is dropped meanwhile."""
    changed = configured(3, 2, demoted(THREE, 2))
    disk = Disk(HardState(9), (*entries_of_terms(TERMS)[:2], changed, *entries_of_terms(TERMS)[3:]))
    disk.last_applied = 6
    log = RaftLog(disk, disk.recovered(), UNBOUNDED)
    log.commit(6)
    for index in (2, 3, 4, 6):
        log.compact(index)
        written(log, disk)
        found = log.configurations
        assert (found.in_force_at, found.in_force) == (3, demoted(THREE, 2))
    again = RaftLog(disk, disk.recovered(), UNBOUNDED).configurations
    assert (again.in_force_at, again.in_force) == (6, demoted(THREE, 2))


def test_a_founders_configuration_stays_that_of_the_beginning() -> None:
    log, disk = durable_log()
    log.compact(4)
    written(log, disk)
    assert log.configurations.in_force_at == 0


@pytest.mark.parametrize(
    ("index", "ranges"),
    [
        (1, (TermRange(2, 1), TermRange(3, 2), TermRange(6, 4))),
        (2, (TermRange(3, 2), TermRange(6, 4))),
        (3, (TermRange(4, 2), TermRange(6, 4))),
        (5, (TermRange(6, 4),)),
        (6, ()),
    ],
)
def test_a_log_begins_after_what_was_dropped_at_once_and_on_the_disk(
    index: int, ranges: tuple[TermRange, ...]
) -> None:
    log, disk = durable_log()
    log.compact(index)
    log.check()
    start = LogStart(index, TERMS[index - 1])
    assert (log.start, log.term_ranges, log.last_index, log.last_term) == (start, ranges, 6, 4)
    assert log.has_new
    written(log, disk)
    assert not log.has_new
    assert (disk.start, disk.log) == (start, list(entries_of_terms(TERMS)[index:]))
    again = RaftLog(disk, disk.recovered(), UNBOUNDED)
    again.check()
    assert (again.start, again.term_ranges, again.last_term) == (start, ranges, 4)


def test_entries_follow_a_log_of_which_all_was_dropped() -> None:
    log, disk = durable_log()
    log.compact(6)
    log.append([entry(7, 4), entry(8, 5)])
    log.check()
    assert log.term_ranges == (TermRange(7, 4), TermRange(8, 5))
    written(log, disk)
    assert disk.log == [entry(7, 4), entry(8, 5)]


def test_what_is_dropped_and_what_comes_in_one_turn_is_one_update() -> None:
    log, disk = durable_log()
    log.compact(2)
    log.compact(4)
    log.append([entry(7, 4)])
    update = log.submit(None, 0.0)
    assert (update.start, update.entries) == (LogStart(4, 2), [entry(7, 4)])
    disk.write(update)
    log.mark_durable(update.number)
    log.check()


@pytest.mark.parametrize("index", [5, 6, 7])
def test_what_is_not_committed_is_not_dropped(index: int) -> None:
    """Another leader may have another entry there."""
    log, _ = durable_log(commit=4)
    with pytest.raises(SafetyViolationError, match="not committed"):
        log.compact(index)


def test_what_is_not_durable_here_is_not_dropped() -> None:
    """Raft §5.4.3: others have committed it, and this disk would begin after what it never had."""
    log, _ = durable_log()
    log.append([entry(7, 4)])
    log.commit(7)
    with pytest.raises(SafetyViolationError, match="not committed and durable"):
        log.compact(7)


def test_the_start_of_a_log_never_goes_back() -> None:
    log, _ = durable_log()
    log.compact(4)
    with pytest.raises(SafetyViolationError):
        log.compact(3)


def test_the_cache_forgets_what_is_dropped_and_nothing_else() -> None:
    log, disk = durable_log()
    log.append([entry(7, 4), entry(8, 4), entry(9, 4)])
    log.commit(9)
    disk.last_applied = 9
    written(log, disk)
    log.compact(8)
    log.check()
    assert log.cached_bytes == len(entry(9, 4).data)
    assert log.is_in_memory(9)
    assert [one.index for one in log.slice(9, 10, UNBOUNDED)] == [9]


def test_what_is_in_memory_of_a_log_does_not_grow_with_what_was_dropped() -> None:
    disk = Disk(HardState(9))
    log = RaftLog(disk, disk.recovered(), UNBOUNDED)
    for index in range(1, 2_001):
        log.add(index, EntryKind.COMMAND, b"x")
        log.commit(index)
        written(log, disk)
        disk.last_applied = index
        if index > 10:
            log.compact(index - 10)
    log.check()
    assert len(log.term_ranges) == 10
    assert log.cached_bytes == 10


# --- Damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [1, 3, 4])
def test_nothing_is_dropped_behind_what_the_disk_has_lost(damaged: int) -> None:
    """It might be a configuration, and nothing here would tell it any more (thesis §4.1)."""
    log, _ = durable_log(damaged)
    with pytest.raises(SafetyViolationError, match="what its disk has lost"):
        log.compact(4)
    if damaged > 1:
        log.compact(damaged - 1)
        log.check()
        assert [*log.damaged] == [damaged]


def test_what_was_repaired_is_dropped_like_all_else() -> None:
    log, disk = durable_log(3, 6)
    log.repair(entry(3, 2))
    written(log, disk)
    log.compact(5)
    log.check()
    written(log, disk)
    assert ([*log.damaged], disk.damaged) == ([6], {6})


def test_spans_lose_what_is_at_and_before_an_index() -> None:
    spans = Spans([2, 3, 4, 7, 9])
    spans.remove_to(1)
    assert [*spans] == [2, 3, 4, 7, 9]
    spans.remove_to(3)
    assert ([*spans], len(spans)) == ([4, 7, 9], 3)
    spans.remove_to(8)
    assert ([*spans], len(spans)) == ([9], 1)
    spans.remove_to(99)
    assert ([*spans], len(spans)) == ([], 0)


def test_who_is_asked_for_what_it_dropped_gives_the_rest() -> None:
    """And says that it has no more, so that others are asked."""
    world = bench(TERMS, 4)
    world.hand(append(2, 4, (6, 4), commit=6))
    world.compact(1, 4)
    world.bag.clear()
    ranges = (EntryRange(1, 2, 1), EntryRange(3, 5, 2))
    world.hand(FetchEntries(cluster_id=CLUSTER, sender=3, recipient=1, term=4, ranges=ranges))
    [reply] = world.take_sent(to=3)
    assert isinstance(reply, FetchEntriesReply)
    assert ([one.index for one in reply.entries], reply.until) == ([5], 5)


# --- What may be dropped -----------------------------------------------------------------------


def test_a_leader_keeps_what_a_member_may_lack() -> None:
    """Nobody else could give it that, as long as there are no snapshots."""
    world = leader_bench(TERMS, 5)
    assert world.raft().droppable_index == 0
    world.hand(accepted(2, 5, match=7), accepted(3, 5, match=3))
    assert (world.raft().commit_index, world.raft().droppable_index) == (7, 3)
    world.hand(accepted(3, 5, match=7))
    assert world.raft().droppable_index == 7


def test_a_leader_does_not_keep_what_who_is_gone_may_lack() -> None:
    """It gets a snapshot, should it come back."""
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=2), accepted(3, 5, match=7))
    for _ in range(12):
        world.tick(1, 100)
        world.hand(accepted(3, 5, match=7))
    assert world.raft().droppable_index == 7


def test_who_has_no_room_for_entries_is_not_waited_for() -> None:
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7))
    full = msgspec.structs.replace(accepted(3, 5, match=4), has_room=False, has_headroom=False)
    world.hand(full)
    assert world.raft().droppable_index == 7


def test_a_learner_is_waited_for_as_long_as_it_answers() -> None:
    """Else it would need one snapshot after the other."""
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7))
    world.turn(1, lambda raft: raft.change(demoted(THREE, 3)))
    last_index = world.propose(1, *["x"] * (LAG_MAX + 1)) + LAG_MAX
    answer = msgspec.structs.replace(
        accepted(3, 5, match=4), admitted_at=NOT_ADMITTED, rejoining="a" * 32
    )
    for _ in range(30):
        world.tick(1, 100)
        world.hand(accepted(2, 5, match=last_index), answer)
    assert world.raft().log.configuration == demoted(THREE, 3)
    assert (world.raft().commit_index, world.raft().droppable_index) == (last_index, 4)


def test_who_needs_a_snapshot_is_waited_for_with_what_follows_it() -> None:
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7), accepted(3, 5, match=2))
    world.hand(msgspec.structs.replace(accepted(3, 5, match=2), needs_snapshot=3))
    assert world.raft().droppable_index == 7
    world.raft().sending.writing_index = 5
    assert world.raft().droppable_index == 5


def test_a_node_that_lost_an_entry_drops_nothing_behind_it() -> None:
    disk = Disk(HardState(4), entries_of_terms(TERMS))
    disk.damaged = {4}
    world = World(3, running=[1], disks={1: disk})
    world.hand(append(2, 4, (6, 4), commit=6))
    assert world.raft().droppable_index == 3


def test_a_follower_drops_what_is_committed() -> None:
    """Whoever lacks it asks its leader, and may get a snapshot."""
    world = bench(TERMS, 4)
    world.hand(append(2, 4, (6, 4), commit=6))
    assert world.raft().droppable_index == 6


def test_who_waits_for_its_own_data_drops_nothing() -> None:
    """What it has of the log goes on where they end."""
    disk = Disk(HardState(4), entries_of_terms(TERMS[2:], 3), LogStart(2, TERMS[1]))
    disk.last_applied = 1
    world = World(3, running=[1], disks={1: disk}, start=disk.start)
    world.hand(append(2, 4, (6, 4), commit=6))
    assert world.raft().droppable_index == 0


def test_what_is_dropped_of_configurations_is_known_as_of_the_start() -> None:
    """Durably: who counts rests on it."""
    world = World(3)
    world.elect(1)
    learner = demoted(THREE, 3)
    world.turn(1, lambda raft: raft.change(learner))
    world.propose(1, "x")
    world.settle()
    world.heartbeat(1)
    for index, base in ((1, THREE), (2, learner), (3, learner)):
        world.compact(1, index)
        assert world.raft(1).log.configurations.as_of(index) == base
        assert world.disk(1).configuration == base
    world.crash(1)
    world.restart(1)
    assert world.raft(1).log.configuration == learner


# --- Leaders -----------------------------------------------------------------------------------


def test_a_leader_whose_log_was_compacted_goes_back_no_farther_than_that() -> None:
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7))
    world.compact(1, 5)
    world.take_sent()
    world.hand(rejected(3, 5, prev=6, conflict=(2, 0)))
    [probe] = world.take_sent(to=3)
    assert isinstance(probe, AppendEntries)
    assert (probe.prev_log_index, probe.prev_log_term) == (5, 2)
    world.hand(rejected(3, 5, prev=5, conflict=(2, 0)))
    assert [type(event) for event in world.nodes[1].events] == [NeedsOlder]


def test_who_is_sent_what_is_dropped_meanwhile_is_probed_behind_that() -> None:
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7), accepted(3, 5, match=2))
    sent = [one.index for message in world.take_sent(to=3) for one in message.entries]
    assert sent[0] == 3
    world.compact(1, 6)
    world.hand(accepted(3, 5, match=4))
    world.propose(1, "x")
    assert min(one.prev_log_index for one in world.take_sent(to=3)) >= 6


def test_a_read_waits_for_nothing_that_is_not_committed_though_its_term_was_opened_before() -> None:
    """Raft §8: the entry that opened the term is committed, and the log begins behind it."""
    world = leader_bench(TERMS, 5)
    world.hand(accepted(2, 5, match=7), accepted(3, 5, match=7))
    world.compact(1, 7)
    world.propose(1, "not committed")
    world.read(1, 1)
    world.hand(accepted(2, 5, match=7, read_round=1))
    assert world.answered(1) == [ReadReady(1, 1, 7)]


# --- Whole worlds ------------------------------------------------------------------------------


def test_nodes_with_different_starts_elect_replicate_and_roll_back() -> None:
    world = World(3)
    world.elect(1)
    for number in range(6):
        world.propose(1, f"{number}")
        world.settle()
    world.heartbeat(1)
    world.heartbeat(1)
    for node_id, index in ((1, 6), (2, 3), (3, 5)):
        world.compact(node_id, index)
    world.isolate(1)
    world.propose(1, "lost")
    world.elect(2)
    world.propose(2, "kept")
    world.settle()
    world.heal()
    world.heartbeat(2)
    world.heartbeat(2)
    assert [world.raft(one).log.start.index for one in (1, 2, 3)] == [6, 3, 5]
    for node_id in (1, 2, 3):
        assert [one.data for one in world.log(node_id)][-2:] == [b"2", b"kept"]
        world.crash(node_id)
        world.restart(node_id)
    world.elect(3)
    assert {world.raft(one).commit_index for one in (1, 2, 3)} == {world.raft(3).log.last_index}
