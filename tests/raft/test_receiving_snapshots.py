"""Snapshots by stream (Raft §7): what is asked for, and how it takes the place of a log."""

from __future__ import annotations

import pytest

from kvstore.raft.messages import PIECE_BYTES, AppendEntriesReply, SnapshotPiece
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.snapshots import WINDOW_PIECES
from kvstore.raft.types import HardState, LogStart, Role, SnapshotName

from .disk import Disk, entries_of_terms
from .harness import Spool, World, bench
from .messages import accepted, append, fetch_piece, fetched, install, piece, timeout_now
from .snapshots import DATA, START, asked, leader_of_one_behind, needing

# --- What a follower asks for ------------------------------------------------------------------


def follower_of(size_bytes: int = 10) -> World:
    """Node 1 follows node 2 in term 3, with two entries, and is offered a snapshot up to 12."""
    world = bench([1, 1], 3)
    world.hand(install(2, 3, (12, 2), size_bytes))
    return world


def test_a_snapshot_that_is_offered_is_asked_for_in_a_window() -> None:
    world = follower_of(100 * PIECE_BYTES)
    assert asked(world) == [number * PIECE_BYTES for number in range(WINDOW_PIECES)]
    assert world.raft().leader_id == 2
    world.hand(piece(2, 3, bytes(PIECE_BYTES)))
    assert asked(world) == [WINDOW_PIECES * PIECE_BYTES]


def test_what_is_asked_for_is_asked_again_when_it_does_not_come() -> None:
    world = follower_of(2 * PIECE_BYTES)
    assert asked(world) == [0, PIECE_BYTES]
    world.hand(piece(2, 3, bytes(PIECE_BYTES), PIECE_BYTES))
    world.tick(1, 450)
    assert asked(world) == []
    world.tick(1, 100)
    assert asked(world) == [0]


def test_pieces_are_taken_in_the_order_of_the_file_however_they_come() -> None:
    world = follower_of(PIECE_BYTES + 3)
    world.hand(piece(2, 3, b"end", PIECE_BYTES))
    assert not world.raft().receiving.is_whole
    world.hand(piece(2, 3, b"x" * PIECE_BYTES))
    assert world.raft().receiving.is_whole
    assert world.nodes[1].fetched == b"x" * PIECE_BYTES + b"end"


@pytest.mark.parametrize(
    "late",
    [
        piece(2, 3, b"0123456789", snapshot_id=2),
        piece(2, 3, b"012345678"),
        piece(2, 3, b"0123456789", offset=PIECE_BYTES),
        piece(2, 2, b"0123456789"),
    ],
    ids=["of another snapshot", "too short", "never asked for", "of an old term"],
)
def test_what_is_not_the_piece_that_was_asked_for_is_dropped(late: SnapshotPiece) -> None:
    world = follower_of()
    world.hand(late)
    assert world.nodes[1].fetched == b""
    world.raft().receiving.check()


def test_a_piece_that_comes_twice_is_taken_once() -> None:
    world = follower_of(PIECE_BYTES + 10)
    first = piece(2, 3, bytes(PIECE_BYTES))
    world.hand(first, first)
    assert len(world.nodes[1].fetched) == PIECE_BYTES


def test_nothing_is_asked_for_while_there_is_no_room() -> None:
    world = bench([1, 1], 3)
    world.raft().receiving.has_room = False
    world.hand(install(2, 3, (12, 2)))
    assert asked(world) == []
    world.raft().receiving.has_room = True
    world.turn(1)
    assert asked(world) == [0]


def test_another_leader_s_snapshot_begins_anew_and_the_same_one_goes_on() -> None:
    world = follower_of(3 * PIECE_BYTES)
    world.hand(piece(2, 3, bytes(PIECE_BYTES)))
    world.take_sent()
    world.hand(install(2, 4, (12, 2), 3 * PIECE_BYTES))
    assert asked(world) == [PIECE_BYTES, 2 * PIECE_BYTES]
    world.nodes[1].fetched = b""
    world.hand(install(3, 5, (11, 2), 3 * PIECE_BYTES, snapshot_id=7))
    assert asked(world) == [0, PIECE_BYTES, 2 * PIECE_BYTES]
    assert "gave up" in "".join(world.lines())


def test_an_offer_that_is_late_ends_no_newer_one() -> None:
    world = follower_of()
    world.hand(install(2, 3, (12, 2), snapshot_id=2))
    assert world.raft().receiving.name.id == 2
    world.hand(install(2, 3, (12, 2), snapshot_id=1))
    assert world.raft().receiving.name.id == 2


def test_pieces_are_asked_of_nobody_but_who_leads_and_offered_them() -> None:
    world = follower_of(100 * PIECE_BYTES)
    world.take_sent()
    world.hand(append(3, 4))
    world.tick(1, 450)
    world.hand(append(3, 4))
    world.tick(1, 450)
    assert asked(world) == []


@pytest.mark.parametrize("last", [(1, 1), (2, 1)])
def test_a_snapshot_of_what_is_here_and_committed_is_of_no_use(last: tuple[int, int]) -> None:
    world = bench([1, 1], 3)
    world.hand(append(2, 3, (2, 1), commit=2))
    world.take_sent()
    world.hand(install(2, 3, last))
    assert asked(world) == []
    assert world.raft().receiving.name is None


def test_a_snapshot_is_given_up_once_the_log_tells_as_much() -> None:
    world = follower_of(PIECE_BYTES + 1)
    world.hand(append(2, 3, (2, 1), [2] * 10, commit=12))
    world.tick(1, 50)
    assert world.raft().receiving.name is None


def test_what_is_not_what_the_leader_wrote_is_told_to_it() -> None:
    world = follower_of()
    world.take_sent()
    world.turn(1, lambda raft: raft.receiving.refuse())
    assert [m.is_bad for m in world.take_sent()] == [True]
    assert world.raft().receiving.name is None
    world.hand(install(2, 3, (12, 2)))
    assert asked(world) == [], "it is fetched again and again"
    world.hand(install(2, 3, (12, 2), snapshot_id=2))
    assert asked(world) == [0]


# --- What becomes of the log -------------------------------------------------------------------


def fetched_by_a_follower(terms: list[int], last: tuple[int, int]) -> World:
    world = bench(terms, 3)
    world.hand(install(2, 3, last, 10))
    world.hand(piece(2, 3, DATA))
    world.take_sent()
    return world


@pytest.mark.parametrize("terms", [[], [1, 1], [1] * 12, [1] * 14], ids=len)
def test_a_log_that_does_not_hold_the_last_entry_of_the_snapshot_goes_as_a_whole(
    terms: list[int],
) -> None:
    """Raft Figure 13, InstallSnapshot 7."""
    world = fetched_by_a_follower(terms, (12, 2))
    world.install(1)
    assert world.log() == []
    assert world.disk().start == LogStart(12, 2)
    assert world.raft().commit_index == 12
    assert world.nodes[1].last_applied == 12
    world.hand(append(2, 3, (12, 2), [3], commit=13))
    assert [one.index for one in world.nodes[1].applied] == [13]


def test_entries_that_follow_the_last_one_of_the_snapshot_stay() -> None:
    """Raft Figure 13, InstallSnapshot 6: this node may have vouched for them."""
    world = fetched_by_a_follower([1, 1, 2, 2, 3], (3, 2))
    world.install(1)
    assert [(one.index, one.term) for one in world.log()] == [(4, 2), (5, 3)]
    assert world.disk().log == [*entries_of_terms([2, 3], 4)]


def test_nothing_is_applied_between_the_log_and_the_data() -> None:
    """The log begins where the snapshot ends; until its data is in place, it lacks its base."""
    world = fetched_by_a_follower([1, 1, 2, 2, 3], (3, 2))
    world.begin_install(1)
    world.hand(append(2, 3, (5, 3), commit=5))
    [reply] = world.take_sent()
    assert (reply.match_index, reply.needs_snapshot) == (5, 3)
    assert world.nodes[1].applied == []
    world.change_over(1)
    world.hand(append(2, 3, (5, 3), commit=5))
    assert [one.index for one in world.nodes[1].applied] == [4, 5]
    assert world.take_sent()[-1].needs_snapshot == 0


def test_how_long_a_snapshot_took_is_told_on_both_sides() -> None:
    """From when it was offered, and from when the first piece of it was asked for."""
    world = bench([1, 1], 3)
    world.tick(1, 400)
    world.hand(install(2, 3, (12, 2)))
    for _ in range(20):
        world.hand(append(2, 3))
        world.tick(1, 100)
    world.hand(piece(2, 3, DATA))
    world.install(1)
    assert "the log goes on after entry 12; 0 KiB in 2.0 s" in "".join(world.lines())
    for size_bytes, is_told in ((10, True), (2 * PIECE_BYTES, False)):
        world = leader_of_one_behind(size_bytes)
        world.tick(1, 400)
        world.hand(fetch_piece(2, 3, 0))
        for _ in range(20):
            world.hand(needing(2, match=0, least=10))
            world.tick(1, 100)
        world.hand(accepted(2, 3, match=12))
        said = f"goes on from log entry 12 by its snapshot, {size_bytes >> 10} KiB in 2.0 s"
        assert (said in "".join(world.lines())) == is_told, "a part of it does not count"


def test_a_snapshot_that_contradicts_what_is_committed_breaks_a_promise() -> None:
    world = fetched_by_a_follower([1, 1, 1], (3, 2))
    world.hand(append(2, 3, (3, 1), [3], commit=4))
    with pytest.raises(SafetyViolationError):
        world.install(1)


def test_a_vote_waits_for_no_data_but_who_lacks_it_does_not_stand() -> None:
    disk = Disk(HardState(2), entries_of_terms([2], 11), START)
    disk.last_applied = 9
    world = World(3, running=[1], disks={1: disk}, start=START)
    world.hand(append(2, 3, (11, 2), [3], commit=12))
    [reply] = world.take_sent()
    assert (reply.success, reply.match_index, reply.needs_snapshot) == (True, 12, 10)
    world.tick(1, 3_000)
    world.hand(timeout_now(2, 3))
    assert world.raft().role is Role.FOLLOWER
    assert world.nodes[1].applied == []


def test_for_entries_that_the_leader_lacks_too_a_snapshot_is_asked_for_in_the_end() -> None:
    """Raft §5.3 names an entry; nobody need have it any more."""
    disk = Disk(HardState(3), entries_of_terms([1, 1, 1, 1]))
    disk.damaged = {2}
    world = World(3, running=[1], disks={1: disk})
    for waited_ms in range(0, 1_300, 100):
        world.hand(append(2, 3, (4, 1), commit=4))
        world.tick(1, 100)
        world.take_sent()
        world.hand(fetched(2, 3, until=4))
        world.hand(append(2, 3, (4, 1), commit=4))
        needs = [m.needs_snapshot for m in world.take_sent() if isinstance(m, AppendEntriesReply)]
        assert max(needs) == (0 if waited_ms < 1_000 else 2)
    world.hand(install(2, 3, (3, 1), 10), piece(2, 3, DATA))
    world.install(1)
    assert not world.raft().log.damaged
    world.hand(append(2, 3, (4, 1), commit=4))
    assert [one.index for one in world.nodes[1].applied] == [4]
    assert world.take_sent()[-1].needs_snapshot == 0


def test_for_an_entry_that_the_leader_gives_in_vain_no_snapshot_is_asked_for() -> None:
    """There is no room for it here, as there would be none for a snapshot: it is no less there."""
    disk = Disk(HardState(3), entries_of_terms([1, 1, 1, 1]))
    disk.damaged = {2}
    world = World(3, running=[1], disks={1: disk})
    world.raft().log.room.offer(2, 100, has_headroom=False)
    for _ in range(20):
        world.hand(append(2, 3, (4, 1), commit=4))
        world.tick(1, 100)
        world.hand(fetched(2, 3, *entries_of_terms([1], 2)))
        world.hand(append(2, 3, (4, 1), commit=4))
        needs = [m.needs_snapshot for m in world.take_sent() if isinstance(m, AppendEntriesReply)]
        assert needs
        assert max(needs) == 0
    world.raft().log.room.offer(100, 100, has_headroom=True)
    world.hand(fetched(2, 3, *entries_of_terms([1], 2)))
    assert not disk.damaged


def test_a_snapshot_that_reaches_less_far_than_what_is_applied_is_of_no_use() -> None:
    """Though it would tell what the disk has lost: nothing is un-applied (simulator, seed 156)."""
    disk = Disk(HardState(3), entries_of_terms([1, 1, 1, 1]))
    disk.damaged, disk.last_applied = {2}, 4
    world = World(3, running=[1], disks={1: disk})
    world.nodes[1].first_applied = 5
    world.hand(install(2, 3, (3, 1), 10))
    assert world.raft().receiving.name is None
    world.raft().log.lost_index = 2
    world.hand(append(2, 3, (4, 1), commit=4))
    assert world.take_sent()[-1].needs_snapshot == 4
    world.hand(install(2, 3, (3, 1), 10, snapshot_id=2))
    assert world.raft().receiving.name is None
    data = Spool(SnapshotName(3, 4, 1, 10)).data
    world.hand(install(2, 3, (4, 1), 10, snapshot_id=3), piece(2, 3, data, snapshot_id=3))
    world.install(1)
    assert not world.raft().log.damaged
