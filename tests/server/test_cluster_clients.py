"""Who leads, for clients of Redis Cluster: CLUSTER, MOVED and CLUSTERDOWN."""

from __future__ import annotations

import msgspec
import pytest
from redis.crc import key_slot

from kvstore import api
from kvstore.address import Address
from kvstore.raft.messages import (
    AppendEntriesReply,
)
from kvstore.raft.types import COMMAND, Entry
from kvstore.server.node_status import members_of
from kvstore.wire import typed
from kvstore.wire.resp import command

from .line import HEARTBEAT, Line

LIBRARY = command(b"CLIENT", b"SETINFO", b"LIB-NAME", b"redis-py")
ASKED = [command(b"CLUSTER", word) for word in (b"SLOTS", b"SHARDS", b"NODES")]
MOVED = f"-MOVED {key_slot(b'k')} 127.0.0.1:9002\r\n".encode()
NOT_LEADER = b"-NOTLEADER not leader, try node 2 at 127.0.0.1:9002\r\n"


@pytest.fixture
def follower(follower: Line) -> Line:
    """Of node 2, which leads term 1."""
    follower.node.receive(HEARTBEAT)
    follower.turn()
    return follower


@pytest.mark.parametrize("knows", [LIBRARY, *ASKED])
@pytest.mark.parametrize(
    "words",
    [
        *((b"SET", b"k", b"v"), (b"GET", b"k"), (b"DEL", b"k", b"other"), (b"INCR", b"k")),
        *((b"MGET", b"k", b"other"), (b"MSET", b"k", b"1", b"other", b"2"), (b"EXISTS", b"k")),
    ],
)
def test_who_knows_clusters_is_told_where_the_first_key_is(
    follower: Line, knows: bytes, words: tuple[bytes, ...]
) -> None:
    assert follower.ask(command(*words)) == NOT_LEADER, "people read where to go"
    follower.ask(knows)
    assert follower.ask(command(*words)) == MOVED


def test_only_what_is_asked_of_the_leader_is_moved(follower: Line) -> None:
    follower.ask(LIBRARY)
    keyless = b"-CLUSTERDOWN" + NOT_LEADER.removeprefix(b"-NOTLEADER")
    assert follower.ask(command(b"DBSIZE")) == follower.ask(command(b"SCAN", b"0")) == keyless
    assert follower.ask(command(b"GET")).startswith(b"-ERR wrong number of arguments")
    assert follower.ask(command(b"READONLY"), command(b"GET", b"k")) == b"+OK\r\n$-1\r\n"
    refused = follower.ask(command(b"MULTI"), command(b"SET", b"k", b"v"), command(b"DISCARD"))
    assert [line[:6] for line in refused.split(b"\r\n")] == [b"-ERR M", b"-ERR M", b"+OK", b""]


def test_a_typed_request_is_told_who_leads_as_ever(follower: Line) -> None:
    ask = typed.encode_call(api.Call(api.Get((b"k",))))
    before = follower.ask(ask)
    follower.ask(LIBRARY)
    assert follower.ask(ask) == before
    assert b"NOTLEADER" in before


def test_nobody_is_sent_to_a_leader_that_cannot_be_reached(follower: Line) -> None:
    """It may be dead, and the client would come back at once, until it gives up."""
    follower.ask(LIBRARY)
    follower.node.tick(follower.now_ms, {2})
    assert follower.node.reach.leader is None
    follower.client.sendall(command(b"SET", b"k", b"v"))
    follower.context.load.hear({key.data: mask for key, mask in follower.selector.select(0)})
    follower.let_out(follower.node.prepare())
    assert follower.client.recv(100) == b"-CLUSTERDOWN" + NOT_LEADER.removeprefix(b"-NOTLEADER")


def owner(line: Line) -> list[bytes]:
    """The port that CLUSTER SLOTS names first."""
    return [line for line in line.ask(ASKED[0]).split(b"\r\n") if line.startswith(b":900")][:1]


def test_who_is_to_be_asked_is_the_leader_or_who_may_see_one_elected(follower: Line) -> None:
    assert owner(follower) == [b":9002"]
    follower.without_link |= {2}
    follower.turn()
    assert owner(follower) == [b":9001"], "a majority is in reach, and may elect"
    follower.without_link |= {3}
    follower.turn()
    assert owner(follower) == [], "clients are to ask another node"
    assert b"master" not in follower.ask(command(b"CLUSTER", b"NODES"))
    assert b"master" not in follower.ask(command(b"CLUSTER", b"SHARDS"))


def test_without_a_leader_the_cluster_is_down_for_who_knows_clusters() -> None:
    line = Line(members=3)
    try:
        assert line.ask(command(b"SET", b"k", b"v")).startswith(b"-NOLEADER no leader is known")
        line.ask(LIBRARY)
        assert line.ask(command(b"SET", b"k", b"v")).startswith(b"-CLUSTERDOWN no leader is known")
    finally:
        line.close()


def test_a_leader_is_named_where_it_was_found(follower: Line) -> None:
    """By the one who refuses, by the map and by the status alike; others by the configuration."""
    follower.node.reach.leads_to = {2: Address("10.0.0.2", 7002)}.get
    assert follower.ask(command(b"GET", b"k")) == NOT_LEADER.replace(
        b"127.0.0.1:9002", b"10.0.0.2:7002"
    )
    status = follower.context.status()
    assert (status.leader_address, status.members[2]) == ("10.0.0.2:7002", "127.0.0.1:9002")
    told = follower.ask(command(b"INFO", b"replication"))
    assert b"master_host:10.0.0.2\r\nmaster_port:7002\r\n" in told
    for ask in ASKED:
        told = follower.ask(ask)
        assert b"10.0.0.2" in told
        assert b"7002" in told
        assert b"9003" in told
        assert b"9002" not in told
    assert follower.ask(command(b"GET", b"k")) == MOVED.replace(b"127.0.0.1:9002", b"10.0.0.2:7002")


def test_a_node_is_itself_where_its_settings_say(follower: Line) -> None:
    follower.node.roster.said[1] = Address("10.0.0.1", 7001)
    for ask in ASKED:
        told = follower.ask(ask)
        assert b"7001" in told
        assert b"9001" not in told


def test_the_members_list_tells_where_they_should_be_and_where_they_are(follower: Line) -> None:
    follower.node.reach.leads_to = {2: Address("10.0.0.2", 7002)}.get
    found = members_of(follower.node, is_stale=True)
    assert isinstance(found, api.MembersResult)
    assert [(one.address, one.found_at) for one in found.members] == [
        ("127.0.0.1:9001", ""),
        ("127.0.0.1:9002", "10.0.0.2:7002"),
        ("127.0.0.1:9003", ""),
    ]


def offsets(line: Line) -> list[bytes]:
    lines = line.ask(command(b"CLUSTER", b"SHARDS")).split(b"\r\n")
    return [lines[at + 1] for at, text in enumerate(lines) if text == b"replication-offset"]


def test_a_follower_tells_how_far_its_own_log_goes_and_no_other(follower: Line) -> None:
    entries = (Entry(1, 1, COMMAND, b""), Entry(2, 1, COMMAND, b""))
    follower.node.receive(msgspec.structs.replace(HEARTBEAT, entries=entries))
    assert offsets(follower) == [b":0", b":2", b":0"], "the leader comes first"


def test_a_leader_tells_how_far_each_log_goes_as_far_as_it_knows() -> None:
    line = Line(members=3)
    line.elect()
    line.connect_anew()
    line.ask(command(b"SET", b"k", b"v"))
    came = AppendEntriesReply(
        cluster_id="test",
        sender=2,
        recipient=1,
        term=1,
        success=True,
        prev_log_index=0,
        match_index=1,
    )
    line.node.receive(came)
    line.connect_anew()  # The write waits for its majority, and what is behind it too.
    assert offsets(line) == [b":2", b":1", b":0"]
    line.close()


def test_the_name_of_a_node_costs_no_status(follower: Line) -> None:
    nodes = follower.ask(command(b"CLUSTER", b"NODES"))
    follower.context.status = pytest.fail  # type: ignore[method-assign,assignment]
    name = follower.ask(command(b"CLUSTER", b"MYID")).split(b"\r\n")[1]
    assert name + b" 127.0.0.1:9001@0 myself,slave" in nodes
