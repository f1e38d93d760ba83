"""A disk that fills up: refused in time, given up by leaders, and taken again by itself."""

from __future__ import annotations

import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.messages import AppendEntries
from kvstore.raft.room import SHORT_BYTES
from kvstore.raft.types import Role
from kvstore.server.node import Node
from kvstore.server.node_status import status_of
from kvstore.wire.resp import command

from .cluster import CHANGE_BYTES, Claim, Cluster
from .line import Line

HEADROOM = Limits().headroom_bytes
PUT = api.Put(b"k", b"v")


def write(cluster: Cluster) -> api.Result:
    """What the leader of the moment answers to a put."""
    claim = Claim()
    cluster.elect().submit_command(PUT, claim)
    cluster.run()
    return claim.result


def leader_of(cluster: Cluster) -> int:
    return cluster.elect().raft.id


def test_a_leader_short_of_room_refuses_writes_before_it_proposes_them() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = HEADROOM - 1
    cluster.run()
    last = node.raft.log.last_index
    claim = Claim()
    node.submit_command(PUT, claim)
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_SPACE
    assert "16383 KiB of room left and keeps 16384 KiB" in claim.failure.message
    assert node.raft.log.last_index == last


@pytest.mark.parametrize("store", ["log", "state"])
def test_what_is_long_is_refused_where_files_cannot_grow(store: str) -> None:
    """There may be no pages in a row inside."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    lacking = cluster.logs[1] if store == "log" else cluster.states[1]
    lacking.growth_bytes = lambda *_: HEADROOM  # type: ignore[method-assign]
    cluster.run()
    for length, is_taken in ((SHORT_BYTES // 2, True), (SHORT_BYTES + 1, False)):
        claim = Claim()
        node.submit_command(api.Put(b"k", bytes(length)), claim)
        cluster.run()
        assert isinstance(claim.result, api.PutResult) is is_taken
        assert is_taken or claim.failure.code is api.FailureCode.NO_SPACE


def test_what_is_long_waits_to_be_applied_until_the_file_can_grow() -> None:
    """It was taken, and then something else filled the disk."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    state, grow = cluster.states[1], cluster.states[1].growth_bytes
    claims = [Claim(), Claim()]
    node.submit_command(api.Put(b"k", bytes(SHORT_BYTES + 1)), claims[0])
    state.growth_bytes = lambda *_: -1  # type: ignore[method-assign]
    state.can_hold = lambda _: False  # type: ignore[method-assign]
    cluster.run()
    assert (claims[0].results, bool(node.room.waiting_index)) == ([], True)
    state.growth_bytes = grow  # type: ignore[method-assign]
    cluster.run()
    assert isinstance(claims[0].result, api.PutResult)
    node.submit_command(api.Put(b"k", bytes(SHORT_BYTES // 2)), claims[1])
    state.growth_bytes = lambda *_: -1  # type: ignore[method-assign]
    cluster.run()
    assert isinstance(claims[1].result, api.PutResult)


def test_reads_need_no_room() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = 0
    cluster.run()
    claim = Claim()
    node.submit_query(api.Get((b"k",)), claim)
    cluster.run()
    assert isinstance(claim.result, api.GetResult)


def test_leadership_moves_to_a_node_with_room() -> None:
    cluster = Cluster()
    assert isinstance(write(cluster), api.PutResult)
    full = leader_of(cluster)
    cluster.room[full] = 0
    cluster.run(1_500)
    assert leader_of(cluster) != full
    assert cluster.nodes[full].raft.role is Role.FOLLOWER
    assert isinstance(write(cluster), api.PutResult)


def test_a_leader_goes_on_if_nobody_else_has_room() -> None:
    cluster = Cluster()
    leader = leader_of(cluster)
    term = cluster.nodes[leader].raft.current_term
    for node in cluster.nodes:
        cluster.room[node] = 0
    cluster.run(3_000)
    assert (leader_of(cluster), cluster.nodes[leader].raft.current_term) == (leader, term)
    refusal = write(cluster)
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.NO_SPACE


def test_room_that_is_back_is_used_by_itself() -> None:
    cluster = Cluster()
    for node in cluster.nodes:
        cluster.room[node] = 0
    cluster.elect()
    cluster.run()
    assert isinstance(write(cluster), api.Failure)
    cluster.room.clear()
    cluster.run()
    assert isinstance(write(cluster), api.PutResult)


def test_what_a_leader_took_its_followers_take_with_half_of_the_headroom() -> None:
    cluster = Cluster()
    leader = leader_of(cluster)
    for node in cluster.nodes:
        if node != leader:
            cluster.room[node] = HEADROOM // 2
    cluster.run()
    assert isinstance(write(cluster), api.PutResult)


def test_writes_that_are_not_written_yet_are_counted() -> None:
    """A burst must not run through the headroom before somebody looks again."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = HEADROOM + (1 << 20)
    cluster.run()
    claims = [Claim() for _ in range(8)]
    for claim in claims:
        node.submit_command(api.Put(b"k", b"x" * (200 << 10)), claim)
    cluster.run()
    codes = [getattr(claim.result, "code", None) for claim in claims]
    assert codes[:2] == [None, None]
    assert codes[-1] is api.FailureCode.NO_SPACE


def test_a_write_that_is_large_is_refused_where_a_small_one_is_taken() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = HEADROOM + (1 << 20)
    cluster.run()
    large, many, small = Claim(), Claim(), Claim()
    node.submit_command(api.Put(b"k", bytes(1 << 20)), large)
    node.submit_command(api.PutMany(tuple((b"%d" % key, b"") for key in range(140))), many)
    node.submit_command(PUT, small)
    cluster.run()
    assert large.failure.code is many.failure.code is api.FailureCode.NO_SPACE
    assert "this write needs up to 1037 KiB, node 1 has 17408 KiB" in large.failure.message
    assert isinstance(small.result, api.PutResult)


def test_what_is_not_applied_yet_is_counted() -> None:
    """The state pays for a write only when a majority has it."""
    cluster = Cluster()
    leader = cluster.elect()
    cluster.room[leader.raft.id] = HEADROOM + 10 * CHANGE_BYTES + (64 << 10)
    cluster.run()
    cluster.isolate(leader.raft.id)
    claims = [Claim() for _ in range(30)]
    for claim in claims:
        leader.submit_command(api.Put(b"k", b"v"), claim)
        cluster.turn(leader.raft.id)
    refused = [claim for claim in claims if claim.results]
    assert 10 < len(refused) < 25
    assert all(claim.failure.code is api.FailureCode.NO_SPACE for claim in refused)


def test_room_is_looked_at_in_every_turn_when_there_is_little() -> None:
    """Another process may fill the disk between two heartbeats."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.room[1] = 2 * HEADROOM
    cluster.run()
    cluster.room[1] = HEADROOM - 1
    node.tick(cluster.now_ms + 1)
    claim = Claim()
    node.submit_command(PUT, claim)
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_SPACE


def test_room_is_looked_at_before_a_turn_takes_anything() -> None:
    """What waits in the sockets must not be taken by what was left a turn ago."""
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.followers()[0]
    cluster.room[follower.raft.id] = 2 * HEADROOM
    cluster.run()
    before = follower.raft.log.last_index
    leader.submit_command(PUT, Claim())
    cluster.turn(leader.raft.id)
    cluster.room[follower.raft.id] = 0
    cluster.turn(follower.raft.id)
    assert follower.raft.log.last_index == before
    cluster.room.clear()
    cluster.run()
    assert follower.raft.log.last_index == leader.raft.log.last_index > before


def test_room_is_looked_at_before_each_large_write() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    cluster.run()
    cluster.room[1] = HEADROOM
    claim = Claim()
    node.submit_command(api.Put(b"k", bytes(1 << 20)), claim)
    cluster.run()
    assert claim.failure.code is api.FailureCode.NO_SPACE


def test_a_deletion_is_taken_where_puts_are_not_and_bounded_too() -> None:
    cluster = Cluster(size=1)
    node = cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = HEADROOM - 1
    cluster.run()
    put, one, opened, many = Claim(), Claim(), Claim(), Claim()
    node.submit_command(PUT, put)
    node.submit_command(api.Delete((b"k",)), one)
    node.submit_command(api.OpenSession(), opened)
    node.submit_command(api.Delete((b"k",) * 1_000), many)
    cluster.run()
    assert put.failure.code is many.failure.code is api.FailureCode.NO_SPACE
    assert one.result == api.DeleteResult(3, 1)
    assert isinstance(opened.result, api.SessionResult)
    for write_of_session, code in ((PUT, api.FailureCode.NO_SPACE), (api.Delete((b"k",)), None)):
        claim = Claim()
        node.submit_command(api.Once(opened.result.session, 1, write_of_session), claim)
        cluster.run()
        assert getattr(claim.result, "code", None) is code, "a session changes nothing about that"


def test_a_follower_takes_entries_as_far_as_they_fit() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.followers()[0]
    cluster.room[follower.raft.id] = HEADROOM // 2 + (100 << 10)
    cluster.run()
    before = follower.raft.log.last_index
    claims = [Claim() for _ in range(3)]
    for claim, size in zip(claims, (1, 200 << 10, 1), strict=True):
        leader.submit_command(api.Put(b"k", bytes(size)), claim)
    cluster.run()
    assert all(isinstance(claim.result, api.PutResult) for claim in claims)
    assert follower.raft.log.last_index == before + 1
    sent = [message for message in cluster.messages if isinstance(message, AppendEntries)]
    assert not any(message.entries for message in sent), "it is not sent again and again"
    cluster.room.clear()
    cluster.run()
    assert follower.raft.log.last_index == leader.raft.log.last_index


def test_a_node_without_room_in_its_state_waits_and_goes_on_by_itself() -> None:
    """Reads that rest on what waits are refused in words; entries are taken all the same."""
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.followers()[0]
    cluster.room[follower.raft.id] = HEADROOM
    cluster.state_room[follower.raft.id] = 0
    cluster.run()
    assert isinstance(write(cluster), api.PutResult)
    cluster.run()
    index = leader.raft.log.last_index
    assert follower.raft.log.last_index == follower.raft.commit_index == index
    assert follower.machine.last_applied == index - 1
    assert status_of(follower).waits_for_room == index
    assert not follower.is_busy, "it does not ask again and again"
    claim = Claim()
    follower.submit_query(api.Get((b"k",)), claim, from_any=True)
    cluster.run(5_000)
    assert claim.failure.code is api.FailureCode.NO_LEADER
    assert f"no room to apply log entry {index}" in claim.failure.message
    cluster.state_room.clear()
    cluster.run()
    assert follower.machine.last_applied == index
    assert status_of(follower).waits_for_room == 0


def test_what_may_change_more_keys_than_it_names_waits_until_all_of_them_fit() -> None:
    """A few bytes of a log entry delete thousands of keys."""
    cluster = Cluster()
    leader = cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    follower = cluster.followers()[0]
    deletions = api.KEYS_MAX * CHANGE_BYTES
    for room, is_applied in ((deletions - 1, False), (deletions, True)):
        cluster.state_room[follower.raft.id] = room
        follower.room.look(follower.machine.last_applied)
        claim = Claim()
        leader.submit_command(api.Txn((), (api.DeleteRange(b"x", b"y"),)), claim)
        cluster.run()
        assert isinstance(claim.result, api.TxnResult)
        assert (follower.machine.last_applied == leader.machine.last_applied) is is_applied


def test_a_full_disk_keeps_nobody_from_applying() -> None:
    """What was committed while there was room is read, also after a restart without any."""
    cluster = Cluster(size=1)
    cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = 0
    cluster.crash(1)
    node = cluster.elect()
    claim = Claim()
    node.submit_query(api.Get((b"k",)), claim)
    cluster.run()
    assert isinstance(claim.result, api.GetResult)
    assert claim.result.items[0] is not None


def test_a_leader_whose_state_waits_takes_nothing_and_says_why() -> None:
    """Room may go between the proposal and its application, on a disk of others too."""
    cluster = Cluster(size=1)
    node = cluster.elect()
    claim, later = Claim(), Claim()
    node.submit_command(PUT, claim)
    cluster.state_room[1] = 0
    cluster.run()
    assert not claim.results
    node.submit_command(PUT, later)
    cluster.run(5_000)
    assert later.failure.code is api.FailureCode.NO_SPACE
    assert claim.failure.code is api.FailureCode.UNKNOWN
    assert "no room to apply log entry 2" in later.failure.message
    assert "no room to apply log entry 2" in claim.failure.message
    cluster.state_room.clear()
    cluster.run()
    assert node.machine.last_applied == 2
    assert isinstance(write(cluster), api.PutResult)


def test_leadership_does_not_go_to_and_fro_between_nodes_that_are_short() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    term = leader.raft.current_term
    for node in cluster.nodes:
        cluster.room[node] = HEADROOM * 3 // 4
    cluster.run(5_000)
    assert (leader.raft.role, leader.raft.current_term) == (Role.LEADER, term)


def test_a_new_leader_counts_what_earlier_ones_took_before_it_takes_more() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    heir = cluster.followers()[0]
    cluster.room[heir.raft.id] = HEADROOM + (1 << 20)
    cluster.run()
    heir.raft.log.append([])
    assert not heir.machine.last_applied < heir.raft.commit_index
    leader.hand_over(api.HandOver(heir.raft.id), Claim())
    for _ in range(40):
        cluster.now_ms += 1
        for node in cluster.nodes:
            cluster.turn(node)
        if heir.raft.takes_commands:
            break
    claim = Claim()
    heir.submit_command(PUT, claim)
    assert heir.machine.last_applied < heir.raft.log.last_term_start
    cluster.turn(heir.raft.id)
    assert claim.failure.code is api.FailureCode.BUSY
    assert isinstance(write(cluster), api.PutResult)


def test_a_new_leader_with_plenty_of_room_takes_writes_at_once() -> None:
    """Also those of sessions, of which a simple bound knows less, before its no-op is committed."""
    cluster = Cluster()
    cluster.room.update(dict.fromkeys(cluster.members, 10 << 30))
    old = cluster.elect()
    cluster.isolate(old.raft.id)

    def heirs() -> list[Node]:
        return [one for one in cluster.nodes.values() if one is not old and one.raft.takes_commands]

    def step() -> None:
        cluster.now_ms += 10
        for node in cluster.nodes:
            cluster.turn(node)

    until(heirs, step, "another node leads")
    [heir] = heirs()
    assert not heir.raft.has_committed_in_term
    claims = [Claim() for _ in range(200)]
    for sequence, claim in enumerate(claims, start=1):
        heir.submit_command(api.Once(7, sequence, api.Put(b"k", bytes(1_000))), claim)
    assert heir.prepare().answers == []


def test_what_is_begun_while_a_turn_ends_is_counted(line: Line) -> None:
    """What is answered lets requests go on, also after this turn's entries were handed out."""
    other = line.connect()
    other.sendall(command(b"SET", b"a", b"1"))
    line.client.sendall(
        command(b"READONLY") + command(b"GET", b"k") + command(b"SET", b"k", b"v" * 20_000)
    )
    line.turn()
    log = line.node.raft.log
    assert log.last_index > log.durable_index
    log.check()
    other.close()


def test_writes_that_were_rolled_back_are_not_held() -> None:
    cluster = Cluster()
    old = cluster.elect()
    cluster.isolate(old.raft.id)
    taken = [old.submit_command(api.Put(b"k", bytes(1_000)), Claim()) for _ in range(5)]
    cluster.run(2_500)
    cluster.heal()
    cluster.run(2_500)
    assert all(index > old.raft.log.last_index for index, _term in taken[-2:])
    assert not old.room._pending._counted


def test_a_state_that_has_no_room_waits_and_loses_nothing() -> None:
    cluster = Cluster(size=1)
    cluster.elect()
    assert isinstance(write(cluster), api.PutResult)
    cluster.room[1] = 0
    cluster.run(2_000)
    before = cluster.states[1].applied()
    cluster.nodes[1].checkpoint()
    assert cluster.states[1].applied() == before
    cluster.room.clear()
    cluster.run(2_000)
    assert cluster.states[1].applied().last_applied == cluster.nodes[1].raft.commit_index


def test_only_a_leader_counts_what_waits_in_its_log_as_proposed() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run()
    for _ in range(5):
        leader.submit_command(PUT, Claim())
    cluster.now_ms += 1
    for node in (leader, *cluster.followers()):
        cluster.turn(node.raft.id)
    for node in (leader, *cluster.followers()):
        assert node.raft.log.last_index > node.machine.last_applied
        node.room.look(node.machine.last_applied)
        assert len(node.room._pending._counted) == (5 if node is leader else 0)
