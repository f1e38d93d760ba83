"""One connection of a peer: who is heard as one, and who is hung up on."""

from __future__ import annotations

import socket

import msgspec
import pytest
from founding import founders

from kvstore.raft.changes import demoted
from kvstore.raft.configurations import configuration_data
from kvstore.raft.messages import AppendEntries, RequestVote
from kvstore.raft.types import Entry, EntryKind
from kvstore.raft.versions import Versions
from kvstore.wire import peer
from kvstore.wire.resp import command

from .accounts import check_accounts
from .line import THEIRS, Line

VOTE = RequestVote(
    cluster_id="test", sender=2, recipient=1, term=7, last_log_index=0, last_log_term=0
)


def test_a_peer_says_hello_and_is_heard(follower: Line) -> None:
    answer = follower.ask(peer.encode_hello(THEIRS), peer.encode_message(VOTE))
    hello = peer.decode_hello(answer.split(b"\r\n", 1)[1][:-2])
    assert (hello.node_id, hello.recipient) == (1, 2)
    assert follower.node.raft.current_term == 7
    assert follower.link.comes_first


def test_a_peer_that_is_gone_without_a_word_is_noticed(follower: Line) -> None:
    """Nothing is sent on this way of a link, so only keepalive can tell."""
    follower.greet()
    sock = follower.link._stream._sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 3_000
    idle, interval, count = (
        sock.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert idle + interval * count <= 5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"cluster_id": "other"}, b"belongs to cluster"),
        ({"recipient": 3}, b"looks for node 3"),
        ({"node_id": 9}, b"node 9 is no member"),
        ({"node_id": 1}, b"node 1 is no member"),
        ({"speaks": Versions(3, 3)}, b"node 1 speaks protocol 2, node 2 3;"),
    ],
)
def test_a_stranger_is_refused_and_not_heard(
    follower: Line, change: dict[str, object], complaint: bytes
) -> None:
    stranger = msgspec.structs.replace(THEIRS, **change)
    answer = follower.ask(peer.encode_hello(stranger), peer.encode_message(VOTE))
    assert answer.startswith(b"-ERR refused: ")
    assert complaint in answer
    assert follower.is_closed
    assert follower.node.raft.current_term == 0


def test_a_directory_that_is_not_the_one_seen_last_is_refused_and_not_heard(
    follower: Line,
) -> None:
    """etcd#10817: a wiped directory under the same id must not vote again."""
    follower.greet()
    wiped = msgspec.structs.replace(THEIRS, starts=b"9" * 8)
    follower.connect_anew()
    answer = follower.ask(peer.encode_hello(wiped), peer.encode_message(VOTE))
    assert answer.startswith(b"-FINAL node 1 knows node 2 by another directory")
    assert follower.is_closed
    assert follower.node.raft.current_term == 0


def test_a_directory_that_is_replaced_while_its_link_is_up_is_hung_up_on(follower: Line) -> None:
    """Decision 17: it must not be heard, nor go on as if it were."""
    hello = follower.ask(peer.encode_hello(THEIRS))
    assert hello.startswith(b"$")
    entries = (
        Entry(1, 1, EntryKind.NOOP, b"3"),
        Entry(2, 1, EntryKind.CONFIGURE, configuration_data(demoted(founders((1, 2, 3)), 2))),
    )
    follower.node.receive(
        AppendEntries(
            cluster_id="test",
            sender=3,
            recipient=1,
            term=1,
            prev_log_index=0,
            prev_log_term=0,
            entries=entries,
            leader_commit=2,
        )
    )
    answer = follower.ask(peer.encode_message(msgspec.structs.replace(VOTE, term=9)))
    assert answer.startswith(b"-FINAL by log entry 2 of node 1 this directory of node 2 votes no")
    assert follower.is_closed
    assert follower.node.raft.current_term == 1


def test_a_new_start_of_the_same_directory_takes_the_place_of_the_old_one(follower: Line) -> None:
    """What waits in the links of an earlier start is not heard any more."""
    follower.greet()
    earlier = follower.link
    follower.connect_anew()
    follower.ask(peer.encode_hello(msgspec.structs.replace(THEIRS, starts=b"2" * 8 + b"3" * 8)))
    assert follower.link is not earlier
    assert not earlier._stream.is_open
    assert follower.lineage.known[2].start == b"3" * 8


def test_a_message_without_hello_is_refused(follower: Line) -> None:
    assert follower.ask(peer.encode_message(VOTE)).startswith(b"-ERR RAFT is for peers")
    assert follower.node.raft.current_term == 0


def test_a_hello_nested_without_end_is_refused_and_ends_nothing(follower: Line) -> None:
    fields = b"\x98\x01\xa0\x00\xa0\xc4\x00\x00\x00" + b"\x91" * 1017 + b"\xc0"
    assert follower.ask(command(b"RAFT", b"HELLO", fields)).startswith(b"-ERR ")
    assert follower.is_closed
    follower.connect_anew()
    assert follower.ask(command(b"PING")) == b"+PONG\r\n"


def test_a_hello_after_other_requests_is_refused(follower: Line) -> None:
    """Messages behind unanswered requests could be taken in the middle of a turn."""
    frames = command(b"PING"), peer.encode_hello(THEIRS), peer.encode_message(VOTE)
    assert b"must be the first request" in follower.ask(*frames)
    assert follower.node.raft.current_term == 0


def test_a_peer_that_speaks_for_another_is_hung_up_on(follower: Line) -> None:
    forged = msgspec.structs.replace(VOTE, sender=3)
    follower.ask(peer.encode_hello(THEIRS), peer.encode_message(forged))
    assert follower.is_closed
    assert follower.node.raft.current_term == 0


def test_a_damaged_message_ends_the_link_and_changes_nothing(follower: Line) -> None:
    frame = bytearray(peer.encode_message(VOTE))
    frame[frame.index(b"test")] ^= 1
    follower.ask(peer.encode_hello(THEIRS), bytes(frame))
    assert follower.is_closed
    assert follower.node.raft.current_term == 0


def test_what_was_booked_for_a_client_is_given_back_when_it_turns_out_to_be_a_peer() -> None:
    """Its hello comes in pieces, of which the first do not tell yet what they are."""
    line, hello = Line(members=3), peer.encode_hello(THEIRS)
    try:
        for at in range(len(hello) - 1):
            line.client.sendall(hello[at : at + 1])
            line.turn()
            check_accounts(line.context)
        assert line.context.load.input_bytes
        line.client.sendall(hello[-1:])
        line.turn()
        assert line.link.node_id == 2
        check_accounts(line.context)
        assert line.context.load.input_bytes == line.context.load.output_bytes == 0
    finally:
        line.close()


def test_a_hello_behind_a_refused_request_is_none(follower: Line) -> None:
    """Whatever was said before: who sends it is no peer."""
    frames = command(b"SET", b"k", bytes(2 << 20)) + peer.encode_hello(THEIRS)
    follower.send(frames)
    refused, hello, _end = follower.receive(turns=100).split(b"\r\n")
    assert refused.startswith(b"-ERR")
    assert b"must be the first request" in hello
    assert not follower.context.doorkeeper.linked


def test_what_a_peer_does_not_read_is_not_booked(
    follower: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower.connection._stream, "_send", lambda _data: 0)
    follower.send(peer.encode_hello(THEIRS))
    for _ in range(3):
        follower.turn()
    assert follower.link._stream.unsent_bytes
    check_accounts(follower.context)
    assert follower.context.load.output_bytes == 0


def test_a_peer_is_heard_when_clients_have_used_up_the_turn(follower: Line) -> None:
    follower.greet()
    load = follower.context.load
    load.steps = follower.node.settings.limits.turn_steps_max
    votes = [msgspec.structs.replace(VOTE, term=term) for term in range(7, 12)]
    follower.client.sendall(b"".join(map(peer.encode_message, votes)))
    follower.node.wake(follower.now_ms)
    for key, mask in follower.selector.select(1):
        key.data.on_events(mask)
    assert follower.node.raft.current_term == 11
