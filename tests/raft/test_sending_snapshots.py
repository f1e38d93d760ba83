"""Snapshots by stream (Raft §7): who is offered one, and what a leader sends."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.core import Raft
from kvstore.raft.messages import PIECE_BYTES, FetchSnapshot, SnapshotPiece
from kvstore.raft.snapshots import WINDOW_PIECES
from kvstore.raft.types import Role

from .messages import accepted, append, fetch_piece, rejected, vote_reply
from .snapshots import given, leader_of_one_behind, needing, offers

# --- Whom a leader offers one ------------------------------------------------------------------


def test_who_lacks_what_the_leader_dropped_is_offered_a_snapshot_with_each_heartbeat() -> None:
    world = leader_of_one_behind()
    assert world.raft().sending.wanted_index is None
    for _ in range(2):
        world.tick(1, 100)
        assert offers(world) == [2]


def test_who_says_that_it_lacks_its_base_is_offered_one_whatever_its_log_says() -> None:
    world = leader_of_one_behind(peers=())
    world.hand(needing(3, match=13, least=11))
    world.tick(1, 100)
    assert offers(world) == [3]


def test_a_snapshot_that_does_not_reach_far_enough_is_not_offered_and_another_is_wanted() -> None:
    world = leader_of_one_behind(peers=())
    world.hand(needing(3, match=13, least=13))
    world.tick(1, 100)
    assert offers(world) == []
    assert world.raft().sending.wanted_index == 13


def test_a_snapshot_behind_which_the_log_has_a_hole_is_not_offered() -> None:
    world = leader_of_one_behind(peers=())
    world.hand(needing(2, match=13, least=5))
    world.take_sent()
    raft = world.raft()
    raft.sending.source.name = msgspec.structs.replace(raft.sending.source.name, index=9)
    world.tick(1, 100)
    assert offers(world) == []
    assert raft.sending.wanted_index == 10


def test_who_has_caught_up_is_offered_none() -> None:
    world = leader_of_one_behind()
    world.hand(accepted(2, 3, match=12))
    world.tick(1, 100)
    assert offers(world) == []
    assert world.raft().sending.wanted_index is None


def test_nothing_is_kept_for_who_was_not_heard_for_long() -> None:
    world = leader_of_one_behind()
    assert world.raft().sending.retained_index == 12
    for _ in range(310):
        world.hand(accepted(3, 3, match=0))
        world.tick(1, 100)
    assert world.raft().sending.retained_index is None


def test_nothing_is_kept_for_who_answers_and_fetches_nothing_but_it_is_tried_again() -> None:
    """Its disk may be full; the leader's must not fill up by that."""
    world = leader_of_one_behind()
    raft = world.raft()

    def pass_time(seconds: int) -> None:
        for _ in range(10 * seconds):
            world.hand(accepted(3, 3, match=0), rejected(2, 3, prev=10, conflict=(4, 1)))
            world.tick(1, 100)

    pass_time(29)
    assert raft.sending.retained_index == 12
    pass_time(2)
    assert offers(world)
    assert raft.sending.retained_index is None
    raft.sending.source = None
    assert raft.sending.wanted_index is None
    pass_time(271)
    assert raft.sending.wanted_index == 10


def test_what_follows_a_snapshot_is_kept_for_who_fetches_it_however_long_that_takes() -> None:
    """Else it is of no use when it is there, and the next one as little."""
    world = leader_of_one_behind()
    for _ in range(400):
        world.hand(fetch_piece(2, 3, 0), accepted(3, 3, match=0))
        world.tick(1, 100)
    assert world.raft().sending.retained_index == 12


def test_a_new_leadership_knows_of_nobody_who_needs_one() -> None:
    world = leader_of_one_behind()
    world.hand(append(2, 4))
    world.time_out(1)
    world.hand(vote_reply(2, 5))
    assert world.raft().role is Role.LEADER
    assert not world.raft().sending.receivers


# --- What a leader sends -----------------------------------------------------------------------


def test_a_piece_is_what_the_file_holds_there() -> None:
    world = leader_of_one_behind(PIECE_BYTES + 10)
    world.hand(fetch_piece(2, 3, PIECE_BYTES))
    [sent] = [m for m in world.take_sent() if isinstance(m, SnapshotPiece)]
    assert sent.data == world.raft().sending.source.data[PIECE_BYTES:]


def test_how_far_another_snapshot_has_come_counts_from_its_beginning() -> None:
    world = leader_of_one_behind(2 * PIECE_BYTES)
    world.hand(fetch_piece(2, 3, PIECE_BYTES))
    receiver = world.raft().sending.receivers[2]
    assert receiver.sent_bytes == 2 * PIECE_BYTES
    world.tick(1, 100)
    world.spool(1, PIECE_BYTES + 10, snapshot_id=2)
    world.hand(fetch_piece(2, 3, 0, snapshot_id=2))
    assert (receiver.sent_bytes, receiver.began_ms) == (PIECE_BYTES, world.nodes[1].now_ms)


@pytest.mark.parametrize(
    "question",
    [
        fetch_piece(2, 3, snapshot_id=2),
        fetch_piece(2, 3, offset=PIECE_BYTES),
        fetch_piece(2, 3, offset=1),
        fetch_piece(3, 3),
    ],
    ids=["another snapshot", "behind its end", "amid a piece", "of who needs none"],
)
def test_what_is_no_piece_of_it_is_not_sent(question: FetchSnapshot) -> None:
    world = leader_of_one_behind()
    world.hand(question)
    assert given(world) == []


def test_a_crowded_link_gets_its_pieces_when_there_is_room() -> None:
    world = leader_of_one_behind()
    world.crowded = {2}
    world.hand(fetch_piece(2, 3))
    assert given(world) == []
    assert not world.raft().has_effects, "it would turn round and round"
    world.crowded = set()
    world.tick(1, 50)
    assert given(world) == [(2, 0)]


def test_a_turn_sends_so_many_pieces_and_no_follower_waits_for_another() -> None:
    size = WINDOW_PIECES * PIECE_BYTES
    world = leader_of_one_behind(size, peers=(2, 3))
    pieces = range(0, size, PIECE_BYTES)
    questions = [fetch_piece(peer, 3, offset) for offset in pieces for peer in (2, 3)]
    for question in questions:
        for _ in range(2):
            world.act(1, lambda raft, question=question: raft.step(question))
    world.take(1)
    assert given(world) == [(2, 0), (3, 0), (2, PIECE_BYTES), (3, PIECE_BYTES)]
    assert world.raft().has_effects
    world.turn(1)
    assert len(given(world)) == 4
    world.turn(1)
    assert given(world) == [], "a piece that was asked for twice is sent twice"


def test_no_more_questions_are_kept_than_a_follower_has_reason_to_ask() -> None:
    world = leader_of_one_behind(100 * PIECE_BYTES)
    world.crowded = {2}
    for number in range(100):
        world.hand(fetch_piece(2, 3, number * PIECE_BYTES))
    world.crowded = set()
    world.turn(1)
    assert len(given(world)) == WINDOW_PIECES


def test_a_file_that_a_follower_finds_damaged_is_given_up() -> None:
    world = leader_of_one_behind()
    world.hand(fetch_piece(2, 3, is_bad=True))
    assert world.raft().sending.source is None
    assert world.raft().sending.wanted_index == 10
    assert "damaged" in world.lines()[0]


def test_leadership_is_not_handed_to_who_waits_for_a_snapshot() -> None:
    """Thesis §3.10 (cockroach#68539): it could answer nobody for as long as that takes."""
    world = leader_of_one_behind(peers=())
    world.hand(accepted(3, 3, match=12), needing(2, match=13, least=11))
    assert world.act(1, lambda raft: raft.hand_over(2)) is None
    assert world.act(1, Raft.hand_over) == 3
