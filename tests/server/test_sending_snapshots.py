"""A leader writes a snapshot for those that lack what it dropped, and keeps it for a while."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import DamagedError, StorageError
from kvstore.raft import snapshot_events as events
from kvstore.raft.messages import RequestVoteReply
from kvstore.server.node_status import status_of
from kvstore.storage.memory import MemorySpool, MemoryState

from .cluster import Claim, Cluster
from .snapshots import FILES, FULL, drop, fails, left_behind, level, others, put, told, without_data


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


def test_a_file_that_nobody_needs_any_more_is_not_written_to_its_end() -> None:
    """The entry that was lost came from another node meanwhile."""
    cluster = Cluster()
    leader, lost = left_behind(cluster)
    cluster.heal()
    until(
        lambda: leader.raft.sending.writing_index is not None,
        lambda: cluster.run(50),
        "it writes a snapshot",
    )
    leader.raft.sending.heard(lost.raft.id, 0, leader.now_ms)
    leader.tick(leader.now_ms)
    assert leader.raft.sending.writing_index is None
    assert not cluster.states[leader.raft.id]._readings
    assert events.SnapshotWritten not in told(cluster, leader)
    level(cluster, leader, lost)


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
