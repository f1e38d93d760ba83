"""A node whose log, or whose data, is too far behind gets a snapshot, while others write."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import (
    DamagedError,
    DirectoryRefusedError,
    DiskWriteError,
    MapFullError,
    StorageError,
    StorageUnavailableError,
)
from kvstore.kv.view import Applied
from kvstore.raft import snapshot_events as events
from kvstore.raft.messages import (
    FetchSnapshot,
    InstallSnapshot,
    RequestVoteReply,
    SnapshotPiece,
)
from kvstore.raft.types import DurableUpdate
from kvstore.server import refusals
from kvstore.server.installing import _GROWTH
from kvstore.server.node import Node
from kvstore.server.node_status import status_of
from kvstore.server.spooling import _Writing
from kvstore.storage.memory import MemoryLog, MemorySpool, MemoryState, MemorySuccessor
from kvstore.storage.reading import Pair
from kvstore.storage.successor import Successor

from .cluster import Claim, Cluster, FullState

VALUE = bytes(20_000)


def put(cluster: Cluster, leader: Node, keys: int = 40, value: bytes = VALUE) -> None:
    for number in range(keys):
        leader.submit_command(api.Put(b"key %d" % number, value), Claim())
    leader.submit_command(api.OpenSession(), Claim())
    cluster.run(1_000)


def everything(state: MemoryState) -> tuple[Applied, list[tuple[bytes, bytes]]]:
    return state.applied(), [*state.committed(), *state.sessions.committed()]


def others(cluster: Cluster, leader: Node) -> list[Node]:
    return [node for node in cluster.nodes.values() if node is not leader]


def drop(cluster: Cluster, node: Node) -> None:
    """Its log begins after all that is durable in its state."""
    node.raft.compact(cluster.states[node.raft.id].applied().last_applied)


def left_behind(cluster: Cluster) -> tuple[Node, Node]:
    """A leader whose log begins later than that of the other node, which was away."""
    leader = cluster.elect()
    put(cluster, leader, 3)
    lost = others(cluster, leader)[0]
    cluster.isolate(lost.raft.id)
    put(cluster, leader)
    drop(cluster, leader)
    cluster.run(200)
    return leader, lost


def level(cluster: Cluster, leader: Node, follower: Node) -> None:
    def is_level() -> bool:
        ids = leader.raft.id, follower.raft.id
        one, two = (everything(cluster.states[node_id]) for node_id in ids)
        return one == two and leader.machine.last_applied == follower.machine.last_applied

    until(is_level, cluster.run, "both have the same data")
    assert follower.machine.applied == leader.machine.applied


def told(cluster: Cluster, node: Node) -> list[type]:
    kinds = vars(events).values()
    return [type(event) for event in cluster.events[node.raft.id] if type(event) in kinds]


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


def test_a_file_that_is_too_old_before_it_is_whole_is_given_up() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    put(cluster, leader, 100)
    cluster.heal()
    until(
        lambda: leader.raft.sending.writing_index is not None,
        lambda: cluster.run(50),
        "a file is being written",
    )
    leader.submit_command(api.Put(b"more", b""), Claim())
    until(
        lambda: leader.machine.last_applied > (leader.raft.sending.writing_index or 0),
        lambda: cluster.run(50),
        "more is applied",
    )
    leader.checkpoint()
    drop(cluster, leader)
    level(cluster, leader, lost)
    assert told(cluster, leader).count(events.WritingSnapshot) == 2
    assert told(cluster, leader).count(events.SnapshotWritten) == 1


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


def test_two_get_the_same_file_at_once() -> None:
    cluster = Cluster(5)
    leader, lost = left_behind(cluster)
    also = others(cluster, leader)[1]
    cluster.isolate(also.raft.id)
    put(cluster, leader)
    drop(cluster, leader)
    cluster.run(200)
    cluster.heal()
    level(cluster, leader, lost)
    level(cluster, leader, also)
    assert told(cluster, leader).count(events.WritingSnapshot) == 1


def without_data(cluster: Cluster, node: Node) -> Node:
    """The same node, started again on its log alone, which begins after what it had applied."""
    node_id = node.raft.id
    drop(cluster, node)
    cluster.run(100)
    cluster.logs[node_id].crash()
    identity = cluster.states[node_id].identity
    cluster.states[node_id] = FullState(identity, cluster.room, cluster.state_room)
    cluster.start(node_id)
    assert cluster.nodes[node_id].raft.log.lacks_base
    return cluster.nodes[node_id]


def test_a_node_that_lost_its_data_gets_them_and_votes_meanwhile() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    put(cluster, leader)
    drop(cluster, leader)
    lost = without_data(cluster, others(cluster, leader)[0])
    assert lost.backups.fetch(api.FetchBackup(0, 0)) == refusals.NO_DATA
    for number in range(3):
        leader.submit_command(api.Put(b"meanwhile", b"%d" % number), Claim())
    level(cluster, leader, lost)
    assert not lost.raft.log.lacks_base


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


def test_a_new_leader_begins_anew_and_the_old_file_goes() -> None:
    cluster = Cluster(5)
    leader, lost = left_behind(cluster)
    for node in others(cluster, leader):
        if node is not lost:
            drop(cluster, node)
    cluster.heal()
    until(lambda: lost.raft.receiving.taken_bytes > 0, lambda: cluster.run(50), "some has come")
    cluster.isolate(leader.raft.id)
    cluster.run(3_000)
    second = next(n for n in others(cluster, leader) if n.raft.leadership is not None)
    level(cluster, second, lost)


def test_a_leader_that_stops_writing_its_file_reads_no_more() -> None:
    """The state's file must not grow because somebody once needed a snapshot."""
    cluster = Cluster()
    leader, _ = left_behind(cluster)
    cluster.heal()
    until(lambda: bool(told(cluster, leader)), lambda: cluster.run(50), "it writes a snapshot")
    assert cluster.states[leader.raft.id]._readings
    newer = RequestVoteReply(
        cluster_id="test",
        sender=others(cluster, leader)[1].raft.id,
        recipient=leader.raft.id,
        term=leader.raft.current_term + 1,
        vote_granted=False,
    )
    leader.receive(newer)
    cluster.run(100)
    assert leader.raft.leadership is None
    assert not cluster.states[leader.raft.id]._readings
    assert leader.raft.sending.writing_index is None
    assert leader.raft.sending.source is None


def test_a_file_that_nobody_fetches_goes_after_a_while() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.heal()
    level(cluster, leader, lost)
    assert leader.raft.sending.source is not None
    cluster.run(50_000)
    assert leader.raft.sending.source is not None, "who needs one may be back soon"
    cluster.run(20_000)
    assert leader.raft.sending.source is None


def test_a_file_behind_which_the_log_does_not_go_on_is_given_up() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.heal()
    level(cluster, leader, lost)
    assert leader.raft.sending.source is not None
    put(cluster, leader)
    drop(cluster, leader)
    cluster.run(100)
    assert leader.raft.sending.source is None


def test_a_snapshot_that_might_not_fit_is_not_written() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.states[leader.raft.id].free_bytes = lambda: 1_000  # type: ignore[method-assign]
    cluster.heal()
    cluster.run(3_000)
    assert told(cluster, leader) == [events.CannotWriteSnapshot]
    assert leader.raft.sending.source is None
    assert "make room on the disk" in status_of(leader).snapshot_setback
    del cluster.states[leader.raft.id].free_bytes
    level(cluster, leader, lost)
    cluster.run(70_000)
    assert leader.raft.sending.source is None
    assert status_of(leader).snapshot_setback == "", "nobody needs one"


def test_a_snapshot_is_not_begun_that_would_leave_others_less_than_is_theirs() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[leader.raft.id]
    needed_bytes = state.data_bytes() + 2 * Limits().headroom_bytes
    state.free_bytes = lambda: needed_bytes - 1  # type: ignore[method-assign]
    cluster.heal()
    cluster.run(3_000)
    assert told(cluster, leader) == [events.CannotWriteSnapshot]
    state.free_bytes = lambda: needed_bytes  # type: ignore[method-assign]
    level(cluster, leader, lost)


@pytest.mark.parametrize("lack", ["room on the disk", "pages that are used again"])
def test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again(
    lack: str,
) -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    put(cluster, leader, 100)
    cluster.heal()
    state = cluster.states[leader.raft.id]
    until(
        lambda: leader.raft.sending.writing_index is not None,
        lambda: cluster.run(50),
        "a file is being written",
    )
    if lack == "room on the disk":
        state.free_bytes = lambda: 2 * Limits().headroom_bytes  # type: ignore[method-assign]
    else:
        state.pinned_bytes = Limits().pinned_bytes_max + 1
    cluster.run(50)
    assert leader.raft.sending.writing_index is None
    assert not state._readings
    assert "make room on the disk" in status_of(leader).snapshot_setback
    cluster.run(3_000)
    if lack == "room on the disk":
        del state.free_bytes
    state.pinned_bytes = 0
    until(
        lambda: leader.raft.sending.writing_index is not None,
        lambda: cluster.run(50),
        "another one is being written",
    )
    assert status_of(leader).snapshot_setback == "", "nothing is against it any more"
    level(cluster, leader, lost)
    assert leader.raft.leadership is not None
    assert told(cluster, leader).count(events.CannotWriteSnapshot) == 1


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


class Tries(NamedTuple):
    """What a node has tried of its part in a snapshot, each by the time."""

    began_ms: list[float]


def fails(
    cluster: Cluster, state: MemoryState, name: str, error: StorageError, *, within: bool = False
) -> Tries:
    """`state` fails at what is called so, or `within` what that gives, until it is mended."""
    tries = Tries([])
    sound = getattr(state, name)

    def fail(*_: object) -> None:
        raise error

    def attempt() -> object:
        tries.began_ms.append(cluster.now_ms)
        if not within:
            raise error
        made = sound()
        for write in {"put", "write"} & set(dir(made)):
            setattr(made, write, fail)
        return made

    setattr(state, name, attempt)
    return tries


def opened_spools(state: MemoryState) -> list[MemorySpool]:
    """Those that `state` has given from now on, and that were not closed."""
    spools: list[MemorySpool] = []
    new_spool = state.new_spool

    def spool() -> MemorySpool:
        made = new_spool()
        made.close = lambda: spools.remove(made)  # type: ignore[method-assign]
        spools.append(made)
        return made

    state.new_spool = spool  # type: ignore[method-assign]
    return spools


def test_a_file_that_does_not_reach_far_enough_makes_way_for_another() -> None:
    """Its room is not given back before it is closed, as it has no name."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    spools = opened_spools(cluster.states[leader.raft.id])
    cluster.heal()
    level(cluster, leader, lost)
    put(cluster, leader)
    level(cluster, leader, without_data(cluster, lost))
    assert told(cluster, leader).count(events.SnapshotWritten) == 2
    assert len(spools) == 1


FULL = DiskWriteError("state.new: the disk is full")
FILES = StorageUnavailableError("state.new cannot be used: let this process open more files")


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


def test_what_was_in_place_before_goes_in_steps_and_before_the_next_one_begins() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[lost.raft.id]
    is_left = [True]
    tidied_ms: list[float] = []

    def tidy() -> bool:
        tidied_ms.append(cluster.now_ms)
        return is_left[0]

    state.tidy = tidy  # type: ignore[method-assign]
    cluster.heal()
    until(lambda: tidied_ms, lambda: cluster.run(50), "the first one is installed")
    assert lost.is_busy
    cluster.isolate(lost.raft.id)
    put(cluster, leader)
    drop(cluster, leader)
    cluster.heal()
    cluster.run(10_000)
    assert told(cluster, lost).count(events.ReceivingSnapshot) == 2
    assert told(cluster, lost).count(events.SnapshotInstalled) == 1
    assert state.successor is None
    assert len(set(tidied_ms)) == len(tidied_ms) > 100
    is_left[0] = False
    level(cluster, leader, lost)


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


def test_what_fails_once_the_log_is_told_ends_the_node() -> None:
    """Then the data are somewhere that only a start can find out."""
    cluster = Cluster()
    _, lost = left_behind(cluster)

    def change_over(_: Successor) -> None:
        raise FULL

    cluster.states[lost.raft.id].change_over = change_over  # type: ignore[method-assign]
    cluster.heal()
    with pytest.raises(DiskWriteError, match="disk is full"):
        cluster.run(10_000)


@pytest.mark.parametrize(
    ("name", "error", "within"),
    [("new_spool", FILES, False), ("reading", FILES, False), ("new_spool", FULL, True)],
    ids=str,
)
def test_a_leader_that_cannot_write_a_snapshot_leads_on_and_tries_again(
    name: str, error: StorageError, within: bool
) -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[leader.raft.id]
    spools = opened_spools(state)
    tries = fails(cluster, state, name, error, within=within)
    cluster.heal()
    cluster.run(60_000)
    assert 4 <= len(tries.began_ms) <= 7
    assert not spools
    assert told(cluster, leader).count(events.CannotWriteSnapshot) == 1
    assert str(error) in status_of(leader).snapshot_setback
    assert leader.raft.leadership is not None
    assert not state._readings
    for mended in {name, "new_spool"}:
        delattr(state, mended)
    level(cluster, leader, lost)
    cluster.run(1_000)
    assert status_of(leader).snapshot_setback == ""


def test_a_file_that_the_disk_does_not_give_back_is_written_again() -> None:
    """A leader that ended by it would leave all others, for what nothing rests on."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    state = cluster.states[leader.raft.id]
    new_spool = state.new_spool
    spools: list[MemorySpool] = []

    def unreadable(offset: int, bytes_max: int) -> bytes:
        raise DamagedError("snapshot.spool: Input/output error")

    def spool() -> MemorySpool:
        spools.append(new_spool())
        if len(spools) == 1:
            spools[0].read = unreadable  # type: ignore[method-assign]
        return spools[-1]

    state.new_spool = spool  # type: ignore[method-assign]
    cluster.heal()
    level(cluster, leader, lost)
    assert len(spools) == 2
    assert told(cluster, leader).count(events.CannotWriteSnapshot) == 1


def test_for_who_finds_every_snapshot_damaged_ever_fewer_are_written() -> None:
    cluster = Cluster()
    leader, lost = left_behind(cluster)

    def refuse(*_: object) -> None:
        raise DamagedError("its memory fails")

    lost._installing._check = refuse  # type: ignore[method-assign]
    cluster.heal()
    cluster.run(60_000)
    assert 4 <= told(cluster, leader).count(events.WritingSnapshot) <= 7
    assert events.SnapshotWasBad in told(cluster, leader)
    del lost._installing._check
    level(cluster, leader, lost)


def test_who_waits_for_room_for_an_entry_waits_no_more_when_a_snapshot_brings_it() -> None:
    """Nobody may write for a while, and an operator would look for room that is not missing."""
    cluster = Cluster()
    leader = cluster.elect()
    put(cluster, leader, 3)
    lost = others(cluster, leader)[0]
    cluster.state_room[lost.raft.id] = 0
    put(cluster, leader, 1)
    assert status_of(lost).waits_for_room
    cluster.isolate(lost.raft.id)
    put(cluster, leader, 1)
    leader.checkpoint()
    drop(cluster, leader)
    cluster.run(200)
    cluster.heal()
    level(cluster, leader, lost)
    assert told(cluster, lost)[-1] is events.SnapshotInstalled
    assert status_of(lost).waits_for_room == 0


def test_of_a_write_that_the_snapshot_covers_the_outcome_is_unknown() -> None:
    """Whether it is in the data, nobody can tell who has the data only."""
    cluster = Cluster()
    leader = cluster.elect()
    put(cluster, leader, 3)
    cluster.isolate(leader.raft.id)
    claim = Claim()
    leader.submit_command(api.Put(b"lost", b"1"), claim)
    cluster.asleep = {leader.raft.id}
    leads = [node.raft for node in others(cluster, leader)]
    until(lambda: any(raft.has_committed_in_term for raft in leads), lambda: cluster.run(50), "led")
    second = next(n for n in others(cluster, leader) if n.raft.leadership is not None)
    for number in range(40):
        second.submit_command(api.Put(b"key %d" % number, VALUE), Claim())
    cluster.run(1_000)
    drop(cluster, second)
    cluster.asleep, cluster.messages = set(), []
    cluster.heal()
    level(cluster, second, leader)
    assert told(cluster, leader)[-1] is events.SnapshotInstalled
    assert claim.result == refusals.UNKNOWN


def test_a_read_that_waits_is_answered_by_the_data_of_the_snapshot() -> None:
    cluster = Cluster()
    _, lost = left_behind(cluster)
    cluster.heal()
    until(lambda: lost.raft.leader_id is not None, lambda: cluster.run(50), "it has a leader")
    claim = Claim()
    lost.submit_query(api.Get((b"key 30",)), claim, from_any=True)
    until(lambda: bool(claim.results), lambda: cluster.run(50), "it is answered")
    assert isinstance(claim.result, api.GetResult)
    assert claim.result.items[0] is not None


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


def test_a_crash_amid_a_snapshot_leaves_the_data_before_or_those_after_it() -> None:
    """Wherever it strikes, the node begins anew, or has it all."""
    installed = 0
    for turns in range(4, 60, 3):
        cluster = Cluster()
        leader, lost = left_behind(cluster)
        node_id, before = lost.raft.id, everything(cluster.states[lost.raft.id])
        cluster.heal()
        cluster.run(turns * 50)
        log, state = cluster.logs[node_id], cluster.states[node_id]
        log.crash()
        state.crash()
        state.finish_change_over(log.outline.start.index)
        is_old = everything(state)[1] == before[1]
        installed += not is_old
        assert is_old or state.applied().last_applied >= leader.raft.log.start.index
        assert state.successor is None
        cluster.start(node_id)
        level(cluster, leader, cluster.nodes[node_id])
    assert installed


class Held:
    """A writer of a log that waits for the test, once the log is to begin elsewhere."""

    def __init__(self, log: MemoryLog, durable_number: int) -> None:
        self._log = log
        self.durable_number = durable_number
        self.waiting: list[DurableUpdate] = []

    def submit(self, update: DurableUpdate) -> None:
        self.waiting.append(update)
        if all(one.start is None for one in self.waiting):
            self.release()

    def release(self) -> None:
        for update in self.waiting:
            self._log.write(update)
            self.durable_number = update.number
        self.waiting.clear()


def test_data_wait_for_the_log_however_long_that_takes() -> None:
    """Else a crash would find a state that the log knows nothing of."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    held = Held(cluster.logs[lost.raft.id], lost.raft.durable_number)
    lost._writer = held
    state = cluster.states[lost.raft.id]
    before = state.applied()
    cluster.heal()
    until(lambda: held.waiting, lambda: cluster.run(50), "the log is to begin elsewhere")
    cluster.run(500)
    assert state.applied() == before
    held.release()
    cluster.run(100)
    assert state.applied().last_applied > before.last_applied
    until(lambda: not held.waiting, held.release, "nothing waits")
    level(cluster, leader, lost)


def test_the_log_is_durable_before_the_data_are_in_place() -> None:
    """A start must find the log that names the data, whenever the process ends."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    log, state = cluster.logs[lost.raft.id], cluster.states[lost.raft.id]
    changed: list[int] = []
    change_over = state.change_over

    def change(successor: Successor) -> None:
        changed.append(log.outline.start.index)
        change_over(successor)
        assert state.applied().last_applied == changed[-1]

    state.change_over = change  # type: ignore[method-assign]
    cluster.heal()
    level(cluster, leader, lost)
    assert changed


def test_a_node_without_data_tells_nobody_that_there_is_no_such_key() -> None:
    """Not even who asks for what was applied, however old."""
    cluster = Cluster()
    leader = cluster.elect()
    put(cluster, leader, 3, b"hello")
    drop(cluster, leader)
    lost = others(cluster, leader)[0]
    node_id = lost.raft.id
    lost.raft.compact(cluster.states[node_id].applied().last_applied)
    cluster.run(100)
    assert isinstance(lost.answer(api.Get((b"key 1",))), api.GetResult)
    cluster.isolate(node_id)
    cluster.states[node_id] = FullState(
        cluster.states[node_id].identity, cluster.room, cluster.state_room
    )
    cluster.start(node_id)
    cluster.run(200)
    assert cluster.nodes[node_id].raft.log.lacks_base
    assert cluster.nodes[node_id].answer(api.Get((b"key 1",))) == refusals.NO_DATA
