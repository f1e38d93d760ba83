"""Data of a snapshot take the place of those before, and what becomes of whom that concerns."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.errors import DiskWriteError
from kvstore.raft import snapshot_events as events
from kvstore.raft.types import DurableUpdate
from kvstore.server import refusals
from kvstore.server.node_status import status_of
from kvstore.storage.memory import MemoryLog
from kvstore.storage.successor import Successor

from .cluster import Claim, Cluster, FullState
from .snapshots import (
    FULL,
    VALUE,
    drop,
    everything,
    left_behind,
    level,
    others,
    put,
    told,
    without_data,
)


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
