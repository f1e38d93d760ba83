"""Backups that a node gives: consistent, in order, given again, and never for ever."""

from __future__ import annotations

import msgspec
import pytest
from crc32c import crc32c
from founding import founders
from until import until

from kvstore import api
from kvstore.api.backups import PIECE_BYTES
from kvstore.config.limits import Limits
from kvstore.kv.record import HEAD_BYTES
from kvstore.raft.configuration import Configuration
from kvstore.server import refusals
from kvstore.server.asked import Asked
from kvstore.server.node import Node
from kvstore.server.router import Router
from kvstore.storage.records import decode_value
from kvstore.storage.snapshot_format import SnapshotDecoder
from kvstore.storage.tables import KEYS

from .cluster import Claim, Cluster

LIMITS = Limits(backups_max=2)


def ask(node: Node, backup: int = 0, offset: int = 0) -> api.Result:
    claim = Claim()
    Router().dispatch(node, Asked(api.FetchBackup(backup, offset)), claim)
    return claim.result


def piece(node: Node, backup: int = 0, offset: int = 0) -> api.BackupPiece:
    result = ask(node, backup, offset)
    assert isinstance(result, api.BackupPiece), result
    assert crc32c(result.data) == result.crc
    return result


def refused(node: Node, backup: int = 0, offset: int = 0) -> api.Failure:
    result = ask(node, backup, offset)
    assert isinstance(result, api.Failure), result
    return result


_PIECES_MAX = 10_000


def after(node: Node, one: api.BackupPiece) -> api.BackupPiece:
    """The piece that follows."""
    return piece(node, one.backup, one.offset + len(one.data))


def the_rest(node: Node, first: api.BackupPiece) -> bytes:
    """All bytes of a backup that began with this piece."""
    data, last = first.data, first
    for _ in range(_PIECES_MAX):
        if last.is_last:
            return data
        last = piece(node, last.backup, len(data))
        data += last.data
    raise AssertionError("a backup never ends")


def contents(data: bytes) -> tuple[SnapshotDecoder, dict[bytes, bytes]]:
    decoder = SnapshotDecoder()
    pairs = decoder.feed(data)
    decoder.finish()
    keys = [pair for pair in pairs if pair[0].startswith(KEYS.prefix)]
    return decoder, {key: decode_value(key, value)[HEAD_BYTES:] for key, value in keys}


def serving(size: int = 3, keys: int = 3, value_bytes: int = 100_000) -> tuple[Cluster, Node]:
    """A cluster with so many keys, and its leader."""
    cluster = Cluster(size, LIMITS)
    leader = cluster.elect()
    for number in range(keys):
        put(cluster, leader, b"%03d" % number, b"x" * value_bytes)
    cluster.run()
    cluster.run()
    return cluster, leader


def put(cluster: Cluster, leader: Node, key: bytes, value: bytes) -> None:
    claim = Claim()
    leader.submit_command(api.Put(key, value), claim)
    cluster.run(100)
    assert isinstance(claim.result, api.PutResult)


def test_any_node_gives_the_same_backup_as_of_the_same_index() -> None:
    cluster, _ = serving()
    found = [the_rest(node, piece(node)) for node in cluster.nodes.values()]
    assert found[0] == found[1] == found[2]
    decoder, records = contents(found[0])
    assert decoder.header is not None
    assert decoder.header.cluster_id == "test"
    assert decoder.header.configuration == founders((1, 2, 3))
    assert records == {b"k%03d" % number: b"x" * 100_000 for number in range(3)}
    assert len(found[0]) > PIECE_BYTES


def test_a_node_that_has_joined_and_knows_no_members_gives_none() -> None:
    """Its state is as of the first moment of all, whatever the cluster holds."""
    cluster = Cluster(1, LIMITS)
    cluster.logs[1].configuration = Configuration()
    cluster.start(1)
    assert refused(cluster.nodes[1]) == refusals.KNOWS_NO_MEMBERS
    assert len(cluster.nodes[1].backups) == 0


def test_writes_and_checkpoints_of_the_meantime_are_not_in_it() -> None:
    cluster, leader = serving()
    first = piece(leader)
    index = leader.machine.last_applied
    for number in range(4):
        put(cluster, leader, b"%03d" % number, b"new")
    cluster.run(1_500)
    data = the_rest(leader, first)
    decoder, records = contents(data)
    assert decoder.header is not None
    assert (first.index, decoder.header.index) == (index, index)
    assert decoder.header.term == leader.raft.log.term(index)
    assert set(records.values()) == {b"x" * 100_000}


def test_the_last_piece_is_given_again_and_no_other() -> None:
    _, leader = serving()
    first = piece(leader)
    assert first.offset == 0
    assert piece(leader, first.backup, 0) == first
    second = piece(leader, first.backup, len(first.data))
    assert piece(leader, first.backup, len(first.data)) == second
    failure = refused(leader, first.backup, 0)
    assert "goes on at offset" in failure.message
    assert "goes on at offset" in refused(leader, first.backup, second.offset + 1).message
    pieces = [second]
    until(
        lambda: pieces[-1].is_last,
        lambda: pieces.append(
            piece(leader, first.backup, pieces[-1].offset + len(pieces[-1].data))
        ),
        "the last piece",
    )
    last = pieces[-1]
    assert piece(leader, last.backup, last.offset) == last
    refused(leader, last.backup, last.offset + len(last.data))


def test_a_backup_that_was_given_whole_is_let_go() -> None:
    cluster, leader = serving()
    the_rest(leader, piece(leader))
    assert not readings_of(cluster)
    cluster.run(LIMITS.backup_idle_ms + 1_000)
    assert len(leader.backups) == 0


def readings_of(cluster: Cluster) -> int:
    return sum(len(state._readings) for state in cluster.states.values())


def test_a_backup_that_nobody_goes_on_with_is_let_go() -> None:
    cluster, leader = serving(keys=9)
    first = piece(leader)
    cluster.run(LIMITS.backup_idle_ms - 1_000)
    second = piece(leader, first.backup, len(first.data))
    cluster.run(LIMITS.backup_idle_ms - 1_000)
    assert readings_of(cluster) == 1
    cluster.run(2_000)
    assert not readings_of(cluster)
    offset = second.offset + len(second.data)
    assert "begin a new one" in refused(leader, first.backup, offset).message


def test_a_backup_that_is_fetched_too_slowly_is_let_go() -> None:
    """Though somebody goes on with it: the file of the state grows meanwhile."""
    cluster, leader = serving(keys=6, value_bytes=200_000)
    first = last = piece(leader)
    for _ in range(7):
        assert leader.backups
        cluster.run(9_000)
        result = ask(leader, first.backup, last.offset)
        if isinstance(result, api.Failure):
            break
    assert isinstance(result, api.Failure)
    assert not readings_of(cluster)


def test_who_fetches_at_a_good_pace_may_take_as_long_as_it_takes() -> None:
    cluster = Cluster(1, msgspec.structs.replace(LIMITS, backup_grace_ms=1_000))
    leader = cluster.elect()
    for number in range(40):
        put(cluster, leader, b"%03d" % number, b"x" * 100_000)
    cluster.run()
    pieces = [piece(leader)]

    def go_on() -> None:
        cluster.run(200)
        pieces.append(after(leader, pieces[-1]))

    until(lambda: pieces[-1].is_last, go_on, "the last piece")
    assert pieces[-1].offset > 3_900_000


def test_a_node_gives_so_many_at_once_and_says_when_there_are_more() -> None:
    cluster, leader = serving()
    one, two = piece(leader), piece(leader)
    failure = refused(leader)
    assert failure.code is api.FailureCode.BUSY
    assert "2 backups already" in failure.message
    assert the_rest(leader, one) == the_rest(leader, two)
    cluster.run(LIMITS.backup_idle_ms + 1_000)
    piece(leader)


def test_a_backup_that_was_given_is_in_nobodys_way() -> None:
    """Its last piece is kept for a while, in case it has to be given again."""
    _, leader = serving(size=1)
    for _ in range(5):
        the_rest(leader, piece(leader))
    under_way = piece(leader)
    the_rest(leader, piece(leader))
    piece(leader, under_way.backup, len(under_way.data))


def test_of_backups_that_were_given_the_one_that_was_given_first_makes_way() -> None:
    """Who was given the other one may not have got its end."""
    _, leader = serving(size=1)
    first, second = (after(leader, piece(leader)) for _ in range(2))
    assert first.is_last
    assert second.is_last
    piece(leader)
    assert piece(leader, second.backup, second.offset) == second
    refused(leader, first.backup, first.offset)


def test_a_backup_of_the_leader_has_all_that_it_has_acknowledged() -> None:
    """Though the next checkpoint is far away."""
    cluster, leader = serving(keys=1)
    put(cluster, leader, b"now", b"1")
    assert leader.state_store.applied().last_applied < leader.machine.last_applied
    _, records = contents(the_rest(leader, piece(leader)))
    assert records[b"know"] == b"1"


def test_a_number_of_another_life_of_the_node_means_nothing() -> None:
    cluster, leader = serving(size=1)
    first = piece(leader)
    cluster.crash(1)
    cluster.elect()
    assert "was down meanwhile" in refused(cluster.nodes[1], first.backup, len(first.data)).message


def test_the_end_of_the_state_ends_its_backups() -> None:
    cluster, leader = serving()
    first = piece(leader)
    cluster.states[leader.raft.id].crash()
    refused(leader, first.backup, len(first.data))


def test_what_a_backup_costs_is_counted() -> None:
    _, leader = serving()
    before = leader.steps
    data = the_rest(leader, piece(leader))
    assert leader.steps - before >= len(data) // 64


def test_many_small_records_cost_a_backup_more_than_their_bytes() -> None:
    """Or a turn would take longer with them."""
    data_bytes, steps = [], []
    for keys in (1, 60):
        _, leader = serving(1, keys, value_bytes=1)
        before = leader.steps
        data_bytes.append(len(the_rest(leader, piece(leader))))
        steps.append(leader.steps - before)
    assert steps[1] - steps[0] >= 59 + (data_bytes[1] - data_bytes[0]) // 64 - 1


@pytest.mark.parametrize("request_", [api.FetchBackup(-1), api.FetchBackup(1, -1)])
def test_numbers_out_of_range_are_refused(request_: api.FetchBackup) -> None:
    assert api.complaint_about(request_, LIMITS)


def test_a_backup_begins_at_its_beginning() -> None:
    assert api.complaint_about(api.FetchBackup(0, 5), LIMITS) == "a backup begins at offset 0"


def test_a_backup_ends_that_makes_the_file_grow_too_far_and_says_why() -> None:
    cluster, leader = serving(keys=9)
    first = piece(leader)
    state = cluster.states[leader.raft.id]
    state.pinned_bytes = LIMITS.pinned_bytes_max
    cluster.run(100)
    again = after(leader, first)
    state.pinned_bytes += 1
    cluster.run(100)
    failure = refused(leader, first.backup, again.offset + len(again.data))
    assert "grown by 256 MiB while it was read; take it again where" in failure.message
    assert not state._readings
    state.pinned_bytes = 0
    assert the_rest(leader, piece(leader))


def test_a_backup_ends_before_clients_are_refused_for_the_room_that_it_takes() -> None:
    """But on a disk that was full before, one may be taken for as long as one likes."""
    cluster, leader = serving(1, keys=9)
    state, room = cluster.states[1], 2 * LIMITS.headroom_bytes
    cluster.room[1] = room - (1 << 20)
    first = piece(leader)
    cluster.run(1_000)
    first = after(leader, first)
    state.pinned_bytes = 2 << 20
    cluster.run(1_000)
    failure = refused(leader, first.backup, first.offset + len(first.data))
    assert "room got short while it was read: 31 MiB are left" in failure.message


def test_of_backups_that_were_ended_only_the_last_ones_are_remembered() -> None:
    cluster, leader = serving()
    state = cluster.states[leader.raft.id]
    for _ in range(5 * LIMITS.backups_max):
        state.pinned_bytes = 0
        piece(leader)
        state.pinned_bytes = LIMITS.pinned_bytes_max + 1
        cluster.run(50)
    assert len(leader.backups._ended) == LIMITS.backups_max
