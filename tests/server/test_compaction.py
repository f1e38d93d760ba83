"""How far nodes drop their logs: never more than is durable, applied, and needed by nobody."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.events import Compacting
from kvstore.raft.messages import AppendEntries, Message, SnapshotPiece
from kvstore.raft.snapshot_events import SendingSnapshot, SnapshotSent, WritingSnapshot
from kvstore.raft.types import DurableUpdate
from kvstore.server.compaction import HELD_PER_KEPT, RUNS_PER_TURN
from kvstore.server.node import Node
from kvstore.server.node_status import status_of

from .cluster import Claim, Cluster

KEPT = 2_000
PUTS = 100


def put(cluster: Cluster, leader: Node, count: int = PUTS) -> None:
    """Writes of some 60 bytes each in the log; checkpoints come by themselves, a little later."""
    for number in range(count):
        leader.submit_command(once_put(number, 30), Claim())
    cluster.run()


def once_put(number: int, value_bytes: int) -> api.Put:
    """It makes the data no longer than the first seven do, nor their history."""
    return api.Put(b"key %d" % (number % 7), bytes(value_bytes), when=api.When.ABSENT)


def begun(size: int = 3, limits: Limits = Limits()) -> tuple[Cluster, Node]:  # noqa: B008 - frozen
    cluster = Cluster(size, limits, log_kept_bytes=KEPT)
    return cluster, cluster.elect()


HELD = HELD_PER_KEPT * KEPT
HELD_LITTLE = Limits(held_log_bytes_min=1)


def hold_up(cluster: Cluster, changed: Callable[[Message], Message | None]) -> None:
    """What becomes of messages that leave, from now on, until `cluster.turn` is deleted."""
    turn = cluster.turn

    def turn_and_change(node_id: int) -> None:
        turn(node_id)
        became = [changed(one) for one in cluster.messages]
        cluster.messages = [one for one in became if one is not None]

    cluster.turn = turn_and_change  # type: ignore[method-assign]


def one_that_gets_no_entries(cluster: Cluster, leader: Node) -> int:
    """A follower that answers all the same."""
    other = next(one for one in cluster.members if one != leader.raft.id)

    def without_entries(one: Message) -> Message:
        is_meant = isinstance(one, AppendEntries) and one.recipient == other
        return msgspec.structs.replace(one, entries=()) if is_meant else one

    hold_up(cluster, without_entries)
    return other


def held_bytes(cluster: Cluster, node: Node) -> int:
    return cluster.logs[node.raft.id].sizes.total_bytes


def start_of(cluster: Cluster, node_id: int) -> int:
    return cluster.logs[node_id].outline.start.index


@pytest.mark.parametrize("size", [1, 3])
def test_a_log_keeps_what_is_to_be_kept_and_little_more(size: int) -> None:
    cluster, leader = begun(size)
    for _ in range(4):
        put(cluster, leader)
    cluster.run(5_000)
    sizes = cluster.logs[leader.raft.id].sizes
    assert KEPT <= sizes.total_bytes < KEPT + 200
    assert start_of(cluster, leader.raft.id) > 3 * PUTS
    assert leader.raft.log.start == cluster.logs[leader.raft.id].outline.start


def test_it_is_told_once_and_shown() -> None:
    cluster, leader = begun()
    starts: list[int] = []
    compact = leader.raft.compact

    def dropped(index: int) -> None:
        starts.append(index + 1)
        compact(index)

    leader.raft.compact = dropped  # type: ignore[method-assign]
    put(cluster, leader)
    put(cluster, leader)
    cluster.run(3_000)
    told = [one for one in cluster.events[leader.raft.id] if isinstance(one, Compacting)]
    assert [(one.first_index, one.kept_bytes) for one in told] == [(starts[0], KEPT)]
    status = status_of(leader)
    assert status.first_log_index == start_of(cluster, leader.raft.id) + 1 > 1
    assert status.log_bytes == cluster.logs[leader.raft.id].sizes.total_bytes


def test_no_turn_drops_more_than_a_little() -> None:
    cluster, leader = begun(1)
    log, steps = cluster.logs[1], list[int]()

    def write(update: DurableUpdate) -> None:
        if update.start is not None:
            steps.append(update.start.index - log.outline.start.index)
        type(log).write(log, update)

    log.write = write  # type: ignore[method-assign]
    put(cluster, leader, 500)
    until(lambda: log.sizes.total_bytes < KEPT + 200, lambda: cluster.run(100), "it is dropped")
    assert len(steps) > 10
    assert max(steps) == 8 == RUNS_PER_TURN


def test_what_no_checkpoint_has_made_durable_stays() -> None:
    """A crash would leave a state that ends before the log begins."""
    cluster, leader = begun(1)
    put(cluster, leader)
    cluster.run(2_000)
    state = cluster.states[1]
    state.commit = lambda applied: None  # type: ignore[method-assign]
    durable_index = state.applied().last_applied
    for _ in range(3):
        put(cluster, leader)
        cluster.run(2_000)
    assert leader.machine.last_applied >= durable_index + 3 * PUTS
    assert 0 < start_of(cluster, 1) <= durable_index


def test_what_a_follower_lacks_that_answers_stays() -> None:
    """It answered less than an election timeout ago, and will be sent that."""
    cluster, leader = begun()
    put(cluster, leader)
    cluster.run(2_000)
    other = next(one for one in cluster.members if one != leader.raft.id)
    cluster.isolate(other)
    level = leader.raft.match_index[other]
    put(cluster, leader, 300)
    cluster.run(300)
    node_id = leader.raft.id
    assert cluster.states[node_id].applied().last_applied > level + 200
    assert start_of(cluster, node_id) <= level


def test_what_is_held_for_who_answers_slowly_has_a_bound_in_bytes() -> None:
    cluster, leader = begun(limits=HELD_LITTLE)
    put(cluster, leader)
    cluster.run(2_000)
    other = one_that_gets_no_entries(cluster, leader)
    level = leader.raft.match_index[other]
    put(cluster, leader, 300)
    until(
        lambda: held_bytes(cluster, leader) < HELD + 200, lambda: cluster.run(50), "it is dropped"
    )
    assert held_bytes(cluster, leader) >= HELD
    cluster.run(3_000)
    assert held_bytes(cluster, leader) < HELD + 200
    assert start_of(cluster, leader.raft.id) > level
    del cluster.turn
    until(
        lambda: cluster.nodes[other].machine.applied == leader.machine.applied,
        cluster.run,
        "the other one gets a snapshot",
    )


def test_as_much_log_is_held_as_a_snapshot_would_take() -> None:
    cluster, leader = begun(limits=HELD_LITTLE)
    for number in range(7):
        leader.submit_command(api.Put(b"long %d" % number, bytes(30_000)), Claim())
    cluster.run(2_000)
    other = next(one for one in cluster.members if one != leader.raft.id)
    cluster.isolate(other)
    level = leader.raft.match_index[other]
    put(cluster, leader, 300)
    cluster.run(300)
    assert held_bytes(cluster, leader) > HELD
    assert start_of(cluster, leader.raft.id) <= level


def one_that_fetches(cluster: Cluster, leader: Node, value_bytes: int) -> Node:
    """A follower that was away, and is offered a snapshot none of whose pieces reaches it."""
    other = next(one for one in cluster.members if one != leader.raft.id)
    cluster.isolate(other)
    for number in range(4 * PUTS):
        leader.submit_command(once_put(number, value_bytes), Claim())
    cluster.run(5_000)
    cluster.heal()
    hold_up(cluster, lambda one: None if isinstance(one, SnapshotPiece) else one)
    until(
        lambda: SendingSnapshot in map(type, cluster.events[leader.raft.id]),
        lambda: cluster.run(50),
        "a piece is sent",
    )
    return cluster.nodes[other]


def test_what_is_held_for_who_fetches_a_snapshot_has_a_bound_and_the_next_one_waits() -> None:
    cluster, leader = begun(limits=HELD_LITTLE)
    other = one_that_fetches(cluster, leader, 30)
    began_ms = cluster.now_ms
    while cluster.now_ms < began_ms + 15_000:
        put(cluster, leader, PUTS // 2)
        assert held_bytes(cluster, leader) < HELD + PUTS * 90  # what no checkpoint has reached
    started = [one for one in cluster.events[leader.raft.id] if isinstance(one, WritingSnapshot)]
    assert 3 <= len(started) <= 6  # after 1, 2, 4 and 8 s more
    del cluster.turn
    until(
        lambda: other.machine.applied == leader.machine.applied,
        cluster.run,
        "it has the data in the end",
    )


def test_whoever_fetches_much_data_may_take_as_much_log_to_do_so() -> None:
    """Else the snapshot would be too old when it is there, and the next one as well."""
    cluster, leader = begun(limits=HELD_LITTLE)
    other = one_that_fetches(cluster, leader, 30_000)
    data_bytes = cluster.states[leader.raft.id].data_bytes()
    written = 0
    while written < data_bytes // 2:
        before = leader.raft.log.last_index
        put(cluster, leader)
        written += 60 * (leader.raft.log.last_index - before)
    assert written > 5 * HELD
    del cluster.turn
    until(
        lambda: other.machine.applied == leader.machine.applied,
        cluster.run,
        "it has the data",
    )
    told = [type(one) for one in cluster.events[leader.raft.id]]
    assert (told.count(WritingSnapshot), told.count(SnapshotSent)) == (1, 1)


def test_where_clients_are_refused_for_want_of_room_no_log_is_held_for_others() -> None:
    cluster, leader = begun()
    put(cluster, leader)
    cluster.run(2_000)
    one_that_gets_no_entries(cluster, leader)
    put(cluster, leader, 300)
    cluster.run(3_000)
    assert held_bytes(cluster, leader) > HELD
    for node_id in cluster.members:
        cluster.room[node_id] = 12 << 20  # for what a leader sends, and not for clients
    until(
        lambda: held_bytes(cluster, leader) < KEPT + 200, lambda: cluster.run(50), "it is dropped"
    )


def test_what_a_follower_lacks_that_is_away_goes_and_it_gets_a_snapshot() -> None:
    cluster, leader = begun()
    put(cluster, leader)
    other = next(one for one in cluster.members if one != leader.raft.id)
    cluster.isolate(other)
    level = leader.raft.match_index[other]
    for _ in range(4):
        put(cluster, leader)
    cluster.run(3_000)
    assert start_of(cluster, leader.raft.id) > level
    cluster.heal()
    cluster.run(8_000)
    leader = cluster.elect()
    put(cluster, leader)
    cluster.run(8_000)
    assert start_of(cluster, other) > level
    assert cluster.nodes[other].machine.applied == leader.machine.applied


def test_a_node_starts_again_on_a_log_whose_front_is_gone() -> None:
    cluster, leader = begun()
    for _ in range(3):
        put(cluster, leader)
    cluster.run(3_000)
    node_id, start = leader.raft.id, leader.raft.log.start
    assert start.index > 0
    cluster.crash(node_id)
    assert cluster.nodes[node_id].raft.log.start == start
    leader = cluster.elect()
    put(cluster, leader)
    cluster.run()
    assert len({one.machine.revision for one in cluster.nodes.values()}) == 1


def test_nothing_is_dropped_where_only_votes_have_room() -> None:
    """A write that is for nothing would take the last of it."""
    cluster, leader = begun(1)
    put(cluster, leader)
    log = cluster.logs[1]
    log.room_bytes = lambda beside_bytes=0: 0  # type: ignore[method-assign]
    began = start_of(cluster, 1)
    cluster.run(3_000)
    assert start_of(cluster, 1) == began
