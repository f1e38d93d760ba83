"""A node whose log is too far behind fetches a snapshot, while others write."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import DirectoryRefusedError, MapFullError, StorageError
from kvstore.raft import snapshot_events as events
from kvstore.raft.messages import FetchSnapshot, InstallSnapshot, SnapshotPiece
from kvstore.server.installing import _GROWTH
from kvstore.server.node_status import status_of
from kvstore.server.spooling import _Writing
from kvstore.storage.memory import MemorySuccessor
from kvstore.storage.reading import Pair

from .cluster import Claim, Cluster, FullState
from .snapshots import FILES, FULL, drop, everything, fails, left_behind, level, others, put, told


def test_who_was_away_gets_a_snapshot_while_others_write() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.heal()
    for number in range(30):
        leader.submit_command(api.Put(b"meanwhile", b"%d" % number), Claim())
        cluster.run(100)
    level(cluster, leader, lost)
    assert lost.raft.log.start.index >= leader.raft.log.start.index > 40
    assert told(cluster, leader) == [
        events.WritingSnapshot,
        events.SnapshotWritten,
        events.SendingSnapshot,
        events.SnapshotSent,
    ]
    assert told(cluster, lost) == [events.ReceivingSnapshot, events.SnapshotInstalled]


def test_how_far_it_has_come_is_shown_on_both_sides() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    put(cluster, leader, 90, bytes(30_000))
    drop(cluster, leader)
    cluster.run(100)
    assert (status_of(leader).sending, status_of(lost).receiving) == ({}, None)
    healed_ms = cluster.now_ms
    cluster.heal()
    until(lambda: lost.raft.receiving.taken_bytes > 0, lambda: cluster.run(50), "some has come")
    received, sent = status_of(lost).receiving, status_of(leader).sending[lost.raft.id]
    assert received is not None
    assert (received.index, received.size_bytes) == (sent.index, sent.size_bytes)
    assert 0 < received.done_bytes <= sent.done_bytes <= sent.size_bytes
    for transfer in (received, sent):
        assert 0 < transfer.ms <= cluster.now_ms - healed_ms, "for how long it has gone on"
    level(cluster, leader, lost)
    cluster.run(500)
    assert (status_of(leader).sending, status_of(lost).receiving) == ({}, None)


@pytest.mark.parametrize("how", ["flipped", "cut short", "of another term"])
def test_what_comes_is_checked_to_its_last_byte_and_made_anew_if_it_is_damaged(how: str) -> None:
    cluster = Cluster()
    cluster.elect().raft.hand_over()
    cluster.run(1_000)
    leader, lost = left_behind(cluster)
    spoilt: list[int] = []

    cluster.heal()

    def spoil() -> None:
        cluster.run(50)
        source = leader.raft.sending.source
        if source is not None and not spoilt:
            spoilt.append(source.name.id)
            name = source.name
            if how == "cut short":
                source.name = msgspec.structs.replace(name, size_bytes=name.size_bytes - 5)
                del source._spool._data[-5:]
            elif how == "of another term":
                source.name = msgspec.structs.replace(name, term=name.term - 1)
            else:
                source._spool._data[-5] ^= 1

    until(lambda: bool(spoilt), spoil, "there is a file")
    level(cluster, leader, lost)
    assert events.SnapshotWasBad in told(cluster, leader)
    assert told(cluster, lost)[-1] is events.SnapshotInstalled


def test_a_snapshot_of_another_cluster_is_not_taken() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    before = everything(cluster.states[lost.raft.id])
    leader._spooling._cluster_id = "another"
    cluster.heal()
    until(
        lambda: events.SnapshotWasBad in told(cluster, leader),
        lambda: cluster.run(50),
        "it is refused",
    )
    assert everything(cluster.states[lost.raft.id]) == before


def test_a_snapshot_that_might_not_fit_is_not_fetched() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[lost.raft.id]
    state.free_bytes = lambda: 1_000  # type: ignore[method-assign]
    cluster.heal()
    cluster.run(3_000)
    assert told(cluster, lost) == [events.ReceivingSnapshot, events.CannotTakeSnapshot]
    assert "the disk has 0 KiB; make room there" in status_of(lost).snapshot_setback
    assert state.successor is None
    del state.free_bytes
    level(cluster, leader, lost)
    assert status_of(lost).snapshot_setback == ""


def test_a_snapshot_is_not_fetched_into_the_room_that_is_left_to_others() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[lost.raft.id]
    state.free_bytes = lambda: Limits().headroom_bytes  # type: ignore[method-assign]
    cluster.heal()
    cluster.run(3_000)
    assert told(cluster, lost) == [events.ReceivingSnapshot, events.CannotTakeSnapshot]
    del state.free_bytes
    level(cluster, leader, lost)


def test_what_was_fetched_needs_no_more_room() -> None:
    """Else who has just enough gives it up amid it, again and again."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    put(cluster, leader, 200)
    receiving = lost.raft.receiving

    def free_bytes() -> int:
        left_bytes = receiving.name.size_bytes - receiving.taken_bytes if receiving.name else 0
        return _GROWTH * left_bytes + Limits().headroom_bytes

    cluster.states[lost.raft.id].free_bytes = free_bytes  # type: ignore[method-assign]
    cluster.heal()
    level(cluster, leader, lost)
    assert events.CannotTakeSnapshot not in told(cluster, lost)


def test_what_keeps_a_node_from_the_next_snapshot_is_told_too() -> None:
    """And it is tried again as soon as the first time."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[lost.raft.id]
    for times in (1, 2):
        state.free_bytes = lambda: 1_000  # type: ignore[method-assign]
        cluster.heal()
        cluster.run(3_000)
        assert told(cluster, lost).count(events.CannotTakeSnapshot) == times
        del state.free_bytes
        level(cluster, leader, lost)
        cluster.isolate(lost.raft.id)
        put(cluster, leader)
        drop(cluster, leader)
        cluster.run(200)


def test_a_snapshot_that_is_larger_than_the_map_is_not_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much room the disk has: the node goes on, and says what to do."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    monkeypatch.setattr(FullState, "capacity_bytes", 64 << 10)
    cluster.heal()
    cluster.run(10_000)
    assert told(cluster, lost) == [events.ReceivingSnapshot, events.CannotTakeSnapshot]
    assert cluster.states[lost.raft.id].successor is None
    assert lost.raft.receiving.taken_bytes == 0
    said = status_of(lost).snapshot_setback
    assert said.endswith("map of 64 KiB; start again with a larger --state-map-bytes")
    assert lost.raft.leader_id == leader.raft.id


@pytest.mark.parametrize(
    ("error", "within"), [(FULL, False), (FULL, True), (FILES, False)], ids=str
)
def test_who_cannot_write_what_comes_waits_and_tries_again_ever_less_often(
    error: StorageError, within: bool
) -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[lost.raft.id]
    tries = fails(cluster, state, "begin_successor", error, within=within)
    cluster.heal()
    cluster.run(60_000)
    assert told(cluster, lost) == [events.ReceivingSnapshot, events.CannotTakeSnapshot]
    assert status_of(lost).snapshot_setback == str(error)
    assert 4 <= len(tries.began_ms) <= 7
    assert state.successor is None
    del state.begin_successor
    level(cluster, leader, lost)
    assert told(cluster, lost)[-1] is events.SnapshotInstalled
    cluster.run(100)
    assert status_of(lost).snapshot_setback == ""


def test_no_turn_gets_longer_because_records_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MiB of them is 50,000, which took a third of a second in one turn (decision 21)."""
    cluster = Cluster()
    leader = cluster.elect()
    lost = others(cluster, leader)[0]
    cluster.isolate(lost.raft.id)
    for number in range(30_000):
        cluster.states[leader.raft.id].put(b"%d" % number, b"\0")
    put(cluster, leader, 1)
    drop(cluster, leader)
    cluster.run(100)
    taken: list[int] = []
    written: list[int] = []
    take, next_slice = MemorySuccessor.put, _Writing.next_slice

    def count_taken(successor: MemorySuccessor, pairs: Sequence[Pair]) -> None:
        taken.append(len(pairs))
        take(successor, pairs)

    def count_written(writing: _Writing) -> bytes:
        before, data = writing.stream.done, next_slice(writing)
        written.append(writing.stream.done - before)
        return data

    monkeypatch.setattr(MemorySuccessor, "put", count_taken)
    monkeypatch.setattr(_Writing, "next_slice", count_written)
    cluster.heal()
    until(lambda: sum(taken) > 30_000, lambda: cluster.run(50), "all have come")
    assert max(taken) < 2_048 + 1_024
    assert max(written) < 4_096 + 2_048
    until(lambda: not lost.raft.log.lacks_base, lambda: cluster.run(50), "it is installed")
    assert told(cluster, lost)[-1] is events.SnapshotInstalled


def test_what_did_not_fit_into_the_map_is_not_tried_again() -> None:
    """A map has the same size for as long as its node runs."""
    cluster = Cluster()
    _, lost = left_behind(cluster)
    error = MapFullError("state.new: the map is full")
    state = cluster.states[lost.raft.id]
    tries = fails(cluster, state, "begin_successor", error, within=True)
    cluster.heal()
    cluster.run(60_000)
    assert len(tries.began_ms) == 1
    assert "larger --state-map-bytes" in status_of(lost).snapshot_setback


def test_a_program_that_is_too_old_for_a_snapshot_ends_itself() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    leader.machine.cluster_version = 9
    leader.submit_command(api.Put(b"x", b"1"), Claim())
    cluster.run(1_000)
    cluster.heal()
    with pytest.raises(DirectoryRefusedError, match="version 9"):
        cluster.run(10_000)
    assert lost.machine.cluster_version < 9


def test_pieces_that_are_lost_and_doubled_do_not_matter() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.heal()
    rng = random.Random(1)
    kinds = InstallSnapshot | FetchSnapshot | SnapshotPiece

    def run() -> None:
        cluster.run(50)
        kept = [m for m in cluster.messages if rng.random() < 0.7 or not isinstance(m, kinds)]
        cluster.messages = [*kept, *(m for m in kept if isinstance(m, kinds))]

    until(lambda: lost.machine.last_applied >= 40, run, "it has the data")
    level(cluster, leader, lost)
