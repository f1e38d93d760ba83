"""Who is let speak as a peer, by what it says of itself and what the log says of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from kvstore import api
from kvstore.address import Address
from kvstore.config.settings import Settings
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import HardState
from kvstore.server.complaints import Complaints
from kvstore.server.node import Node
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLog, MemoryState
from kvstore.wire import peer, typed

from .line import THEIRS, Line


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(members=3)
    yield line
    line.close()


def say(line: Line, **changes: Any) -> bytes:
    """What a node is answered that greets so."""
    return line.ask(peer.encode_hello(msgspec.structs.replace(THEIRS, **changes)))


FOUR = {"node_id": 4, "incarnation": "ef" * 16, "address": "127.0.0.1:9104"}


def test_a_member_is_let_speak_wherever_it_says_that_it_is(line: Line) -> None:
    assert say(line, address="127.0.0.1:9999").startswith(b"$")
    assert line.node.roster.peers[2] == Address("127.0.0.1", 9002)
    assert line.node.roster.said[2] == Address("127.0.0.1", 9999)
    assert line.node.roster.elsewhere(2) is None
    line.connect_anew()
    assert say(line, address="127.0.0.1:9998", is_elsewhere=True).startswith(b"$")
    assert line.node.roster.elsewhere(2) == Address("127.0.0.1", 9998)


def test_a_stranger_that_knows_newer_members_is_let_speak_and_linked_back(line: Line) -> None:
    assert say(line, **FOUR, admitted_at=7, configured_at=9).startswith(b"$")
    assert line.node.roster.peers[4] == Address("127.0.0.1", 9104)
    assert 4 in line.context.doorkeeper.linked


@pytest.mark.parametrize("configured_at", [-1, 0])
def test_a_stranger_that_knows_no_newer_members_is_refused_for_now(
    line: Line, configured_at: int
) -> None:
    """It may become a member yet: it is told how, and not to end."""
    reply = say(line, **FOUR, configured_at=configured_at)
    assert reply.startswith(b"-ERR refused: node 4 is no member of the cluster, as node 1 knows it")
    assert b"kvstore member add 4 127.0.0.1:9104" in reply
    assert 4 not in line.node.roster.peers
    assert 4 not in line.lineage.known
    assert not line.context.doorkeeper.linked


def joiner(joined_at: int) -> Node:
    """Node 4 with a directory that was just made, and a log without an entry."""
    identity = Identity(1, "test", 4, "ef" * 16, is_founder=False)
    settings = Settings(
        node_id=4,
        members={},
        reached_at=Address("127.0.0.1", 9104),
        joined_at=joined_at,
        cluster_id="test",
        data_dir=Path("unused"),
    )
    log = MemoryLog(identity, HardState(admitted_at=-1), configuration=Configuration())
    return Node(settings, log, MemoryState(identity), random.Random(1))


def test_who_joined_and_was_removed_before_it_heard_of_its_members_is_told_so() -> None:
    line = Line(members=1)
    four = {**FOUR, "admitted_at": -1}

    def changed(change: api.Change) -> int:
        _, _, reply = line.ask(typed.encode_call(api.Call(change))).partition(b"\r\n")
        result = typed.decode_reply(reply.removesuffix(b"\r\n")).result
        assert isinstance(result, api.ChangeResult)
        return result.index

    joined_at = changed(api.AddMember(4, "127.0.0.1:9104"))
    configured_at = joiner(joined_at).roster.configured_at
    line.connect_anew()
    assert say(line, **four, configured_at=configured_at).startswith(b"$")
    line.connect_anew()
    gone_at = changed(api.RemoveMember(4))
    line.connect_anew()
    told = f"-FINAL node 4 was removed from its cluster by log entry {gone_at}"
    assert say(line, **four, configured_at=configured_at).startswith(told.encode())
    line.connect_anew()
    assert b"kvstore member add 4" in say(line, **four, configured_at=-1), "it never was one"
    line.close()


def test_a_link_of_a_stranger_that_makes_room_for_others_is_hung_up_on(line: Line) -> None:
    """Who says hello as one node after the other has no more links than a cluster has members."""
    for node_id in range(10, 30):
        changes = {"node_id": node_id, "incarnation": f"{node_id:032x}", "configured_at": 9}
        assert say(line, **changes).startswith(b"$")
        line.connect_anew()
        line.turn()
    assert line.context.doorkeeper.linked.keys() == {*range(23, 30)}


def test_a_hello_without_a_true_address_is_none(line: Line) -> None:
    assert say(line, address="0.0.0.0:9002").startswith(b"-ERR the peer's address is malformed")
    assert 2 not in line.lineage.known


# --- What the log is told -----------------------------------------------------------------


def refusals(line: Line, comings: int, **changes: Any) -> int:
    """How many lines it makes that a node is refused so often; each coming takes some turns."""
    with structlog.testing.capture_logs() as log:
        for _ in range(comings):
            assert b"is no member of the cluster" in say(line, **changes)
            line.connect_anew()
            line.turn()
    return sum(event["code"] == "peer_refused" for event in log)


def test_a_peer_that_is_refused_again_and_again_fills_no_log(line: Line) -> None:
    assert refusals(line, 50, **FOUR, configured_at=0) == 1
    five = {**FOUR, "node_id": 5, "address": "127.0.0.1:9105"}
    assert refusals(line, 2, **five, configured_at=0) == 1, "another one is news"
    line.now_ms += 60_000.0
    assert refusals(line, 2, **FOUR, configured_at=0) == 1, "it is told again one day"


def test_what_the_log_was_told_is_remembered_within_a_bound() -> None:
    complaints = Complaints()
    for number in range(1_000):
        assert complaints.is_due(f"complaint {number}", 0.0)
        assert not complaints.is_due(f"complaint {number}", 59_999.0)
    assert len(complaints._told_ms) == 64
    assert not complaints.is_due("complaint 999", 1.0)
    assert complaints.is_due("complaint 0", 1.0)
