"""Links to peers: when a node dials another that does not answer."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import structlog
from until import until, until_events

from kvstore.address import Address
from kvstore.config.limits import Limits
from kvstore.config.settings import Settings
from kvstore.logs import logger_for
from kvstore.lookup import Lookup
from kvstore.raft.messages import AppendEntries, TimeoutNow
from kvstore.raft.types import Entry, EntryKind
from kvstore.raft.versions import SPOKEN, Versions
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.peers import PeerLink, Peers
from kvstore.server.stream import Stream
from kvstore.storage.memory import MemoryLineage
from kvstore.wire.peer import Hello, encode_hello_answer, encode_message


def acquaintances() -> Acquaintances:
    """Those of node 1, which knows nobody yet."""
    return Acquaintances(
        cluster_id="test",
        node_id=1,
        address="127.0.0.1:9001",
        incarnation="ab" * 16,
        lineage=MemoryLineage(b"1" * 8),
        admitted_at=lambda: 0,
        configured_at=lambda: 0,
        peers=lambda: (2, 3),
        members=lambda: (1, 2, 3),
        replaced_at=lambda node_id, admitted_at: None,
    )


def test_a_peer_that_was_down_long_is_dialled_before_it_would_stand_for_election() -> None:
    """Raft §5.2: back again, it must hear its leader within the shortest election timeout."""
    with socket.socket() as deaf, selectors.DefaultSelector() as selector:
        # Bound but not listening: whoever dials is refused, and nobody else gets the port.
        deaf.bind(("127.0.0.1", 0))
        settings = settings_with(Address(*deaf.getsockname()))
        link = PeerLink(
            2,
            settings.members[2],
            settings,
            acquaintances(),
            selector,
            random.Random(1),
            logger_for(1),
        )
        pauses, now_ms = [], 0.0
        for _ in range(20):
            link.tick(now_ms)
            connection = link._stream
            until_events(selector, lambda c=connection: c is None or not c.is_open)
            link.tick(now_ms)
            pauses.append(link.deadline_ms - now_ms)
            now_ms = link.deadline_ms
    assert max(pauses) < settings.raft.election_timeout_min_ms / 2


HELLO_OF_2 = Hello(
    cluster_id="test",
    node_id=2,
    incarnation="cd" * 16,
    starts=b"2" * 8,
    admitted_at=0,
    address="127.0.0.1:9002",
    configured_at=0,
    recipient=1,
)


def settings_with(peer: Address, limits: Limits = Limits()) -> Settings:  # noqa: B008 - frozen
    return Settings(
        node_id=1,
        members={1: Address("127.0.0.1", 1), 2: peer},
        cluster_id="test",
        data_dir=Path("unused"),
        limits=limits,
    )


@contextlib.contextmanager
def link_to_a_peer_that_never_reads(limits: Limits) -> Iterator[PeerLink]:
    """Its hello was answered, and that was the last thing that the peer did."""
    with socket.create_server(("127.0.0.1", 0)) as listening, selectors.DefaultSelector() as poll:
        settings = settings_with(Address(*listening.getsockname()), limits)
        link = PeerLink(
            2, settings.members[2], settings, acquaintances(), poll, random.Random(1), logger_for(1)
        )
        assert link.is_crowded, "who has no link takes nothing"
        link.tick(0.0)
        deaf, _ = listening.accept()
        with deaf:
            deaf.sendall(encode_hello_answer(HELLO_OF_2))
            until_events(poll, lambda: link._is_ready)
            yield link
        link.close()


class Moving(Lookup):
    """Finds the peer where it is at the time."""

    now_at: tuple[str, int]

    def __init__(self, address: Address) -> None:
        assert address.host == "peer.example"
        super().__init__(Address(*Moving.now_at))


def serve_one_link(link: PeerLink, poll: selectors.BaseSelector, now_ms: float) -> float:
    """A peer listens somewhere, greets, and goes away; the time when that was noticed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Moving.now_at = listening.getsockname()
        now_ms = max(now_ms, link.deadline_ms)
        link.tick(now_ms)
        listening.settimeout(5.0)
        theirs, _ = listening.accept()
        with theirs:
            link.send(append_of(10))
            assert link.is_crowded, "nothing but a hello is said before they have answered it"
            theirs.sendall(encode_hello_answer(HELLO_OF_2))
            until_events(poll, lambda: link._is_ready)
            theirs.settimeout(5.0)
            assert theirs.recv(1 << 16).count(b"RAFT\r\n") == 1
    connection = link._stream
    assert connection is not None
    until_events(poll, lambda: not connection.is_open)
    link.tick(now_ms)
    return now_ms


def test_a_peer_that_goes_again_and_again_is_found_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time where it is by then, soon, and after pauses that do not grow from time to time."""
    monkeypatch.setattr("kvstore.server.peers.Lookup", Moving)
    with selectors.DefaultSelector() as poll:
        settings = settings_with(Address("peer.example", 9002))
        link = PeerLink(
            2, settings.members[2], settings, acquaintances(), poll, random.Random(1), logger_for(1)
        )
        now_ms = 0.0
        for _ in range(3):
            now_ms = serve_one_link(link, poll, now_ms)
            pauses = [link.deadline_ms - now_ms]
            while len(pauses) < 8:
                now_ms = link.deadline_ms
                link.tick(now_ms)
                until_events(poll, lambda: link._stream is None or not link._stream.is_open)
                link.tick(now_ms)
                pauses.append(link.deadline_ms - now_ms)
            assert 0 < pauses[0] <= 20
            assert max(pauses) <= settings.peer_retry_max_ms
        link.close()


def dialled_in_vain(link: PeerLink, poll: selectors.BaseSelector, until_ms: float) -> None:
    """Until then the peer is nowhere."""
    while (now_ms := link.deadline_ms) < until_ms:
        link.tick(now_ms)
        connection = link._stream
        until_events(poll, lambda c=connection: c is None or not c.is_open)
        link.tick(now_ms)


def test_each_absence_that_is_long_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none that is short, however long the one before was."""
    monkeypatch.setattr("kvstore.server.peers.Lookup", Moving)
    with selectors.DefaultSelector() as poll, structlog.testing.capture_logs() as log:
        settings = settings_with(Address("peer.example", 9002))
        link = PeerLink(
            2, settings.members[2], settings, acquaintances(), poll, random.Random(1), logger_for(1)
        )
        now_ms = 0.0
        for _ in range(3):
            now_ms = serve_one_link(link, poll, now_ms)
            log.clear()
            dialled_in_vain(link, poll, now_ms + 9_000)
            assert [one["code"] for one in log].count("peer_missed") == 0
            now_ms += 30_000
            dialled_in_vain(link, poll, now_ms)
            assert [one["code"] for one in log].count("peer_missed") == 1
        link.close()


def test_a_link_that_was_lost_anywhere_in_a_greeting_is_made_anew() -> None:
    """After each part of an answer, again and again: nothing of it is left to the next one."""
    answer = encode_hello_answer(msgspec.structs.replace(HELLO_OF_2, starts=b"2" * 80))
    with socket.create_server(("127.0.0.1", 0)) as listening, selectors.DefaultSelector() as poll:
        settings = settings_with(Address(*listening.getsockname()))
        link = PeerLink(
            2, settings.members[2], settings, acquaintances(), poll, random.Random(1), logger_for(1)
        )
        now_ms = 0.0
        parts = [part for cut in range(len(answer)) for part in (answer[:cut], answer)]
        assert sum(map(len, parts)) > 16 << 10, "more than any one answer may have"
        for part in parts:
            link.tick(now_ms)
            connection, was_ready = link._stream, False
            assert connection is not None
            theirs, _ = listening.accept()
            with theirs:
                theirs.sendall(part)
                theirs.shutdown(socket.SHUT_WR)

                def is_over(connection: Stream = connection) -> bool:
                    nonlocal was_ready
                    was_ready |= link._is_ready
                    return not connection.is_open

                until_events(poll, is_over)
            assert was_ready is (part == answer), connection.failure
            link.tick(now_ms)
            now_ms = link.deadline_ms
        link.close()


def test_a_link_to_a_peer_that_is_gone_without_a_word_is_noticed() -> None:
    """Also when nothing is sent, and long before TCP by itself would give up."""
    with link_to_a_peer_that_never_reads(Limits()) as link:
        assert link._stream is not None
        sock = link._stream._sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 2
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 3_000


def append_of(data_bytes: int) -> AppendEntries:
    return AppendEntries(
        cluster_id="test",
        sender=1,
        recipient=2,
        term=1,
        prev_log_index=0,
        prev_log_term=0,
        entries=(Entry(1, 1, EntryKind.COMMAND, bytes(data_bytes)),),
        leader_commit=0,
    )


def unsent_bytes(link: PeerLink) -> int:
    assert link._stream is not None
    return link._stream.unsent_bytes


def test_a_peer_that_never_reads_costs_bounded_memory() -> None:
    """What does not fit is lost, as on a network."""
    limits = Limits(peer_output_bytes_max=1 << 20)
    with link_to_a_peer_that_never_reads(limits) as link:
        for _ in range(1_000):
            link.send(append_of(100 << 10))
        # The system's buffers are full, and so is ours, by no more than one message.
        assert limits.peer_output_bytes_max <= unsent_bytes(link) < 1_200_000


def test_a_link_is_crowded_while_much_waits_for_it() -> None:
    """Then a leader reads no entries for it, which would be lost or only wait."""
    limits = Limits(peer_backlog_bytes_max=300 << 10)
    with link_to_a_peer_that_never_reads(limits) as link:
        assert not link.is_crowded

        def send() -> None:
            assert unsent_bytes(link) < limits.peer_backlog_bytes_max
            link.send(append_of(100 << 10))

        until(lambda: link.is_crowded, send, "much waits for it")
        assert unsent_bytes(link) < limits.peer_backlog_bytes_max + (120 << 10)


def test_a_link_that_breaks_with_much_to_send_is_just_closed() -> None:
    with link_to_a_peer_that_never_reads(Limits()) as link:
        until(lambda: link.is_crowded, lambda: link.send(append_of(100 << 10)), "much waits for it")
        connection = link._stream
        assert connection is not None
        connection._sock.shutdown(socket.SHUT_RDWR)
        link.on_events(selectors.EVENT_WRITE)
        assert (connection.is_open, connection.unsent_bytes) == (False, 0)
        assert connection.failure == "Broken pipe"


class Later(TimeoutNow, frozen=True, kw_only=True, tag="later"):
    """A kind of message that there is since version 3."""

    SINCE: ClassVar[int] = 3


def test_a_peer_gets_no_message_of_a_kind_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would hang up; lost, the message is repeated like any other, when it may be known."""
    fields: dict[str, Any] = {"cluster_id": "test", "sender": 1, "recipient": 2, "term": 1}
    known, later = TimeoutNow(**fields), Later(**fields)
    written: list[bytes] = []
    with link_to_a_peer_that_never_reads(Limits()) as link:
        assert link.speaks == SPOKEN
        monkeypatch.setattr(link._stream, "write", written.append)
        link.send(later)
        link.send(known)
        assert written == [encode_message(known)]
        link._speaks = Versions(2, 3)
        link.send(later)
        assert written[1:] == [encode_message(later)]


def test_links_follow_the_peers_that_come_and_go_and_move() -> None:
    """Who stays where it is keeps its link; to where nobody is any more, there is none."""
    with (
        contextlib.ExitStack() as opened,
        selectors.DefaultSelector() as poll,
    ):
        listening = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        places = [Address(*one.getsockname()) for one in listening]
        known: dict[int, Address] = {2: places[0], 3: places[1]}
        settings, made = settings_with(places[0]), []

        def link_to(peer: int, address: Address) -> PeerLink:
            made.append((peer, address))
            return PeerLink(
                peer, address, settings, acquaintances(), poll, random.Random(1), logger_for(1)
            )

        peers = Peers(lambda: known, link_to)
        assert peers.unreachable == {2, 3}
        stays = peers._links[2]
        peers.tick(0.0)
        goes = peers._links[3]._stream
        assert goes is not None
        assert goes.is_open
        known = {2: places[0], 3: places[2], 4: places[1]}
        peers.tick(1.0)
        assert made == [(2, places[0]), (3, places[1]), (3, places[2]), (4, places[1])]
        assert peers._links[2] is stays
        assert not goes.is_open
        known = {4: places[1]}
        assert peers.unreachable == {4}
        assert [peers.leads_to(peer) for peer in (3, 4)] == [None, None]
        peers.send([append_of(1)])
        assert peers.troubles.keys() == {4}, "what is for nobody is lost"
        peers.close()


def dialled(link: PeerLink, poll: selectors.BaseSelector, times: int) -> list[int]:
    """The ports that were dialled, one after the other, without success."""
    ports, now_ms = [], 0.0
    for _ in range(times):
        now_ms = max(now_ms, link.deadline_ms)
        link.tick(now_ms)
        assert link._dialled is not None
        ports.append(link._dialled.port)
        connection = link._stream
        until_events(poll, lambda c=connection: c is None or not c.is_open)
        link.tick(now_ms)
    return ports


def test_a_peer_that_says_it_is_elsewhere_is_dialled_there_by_turns() -> None:
    """Found there, it is looked for again where it should be as soon as that link is gone."""
    elsewhere: Address | None = None
    with (
        socket.socket() as deaf,
        socket.create_server(("127.0.0.1", 0)) as listening,
        selectors.DefaultSelector() as poll,
        structlog.testing.capture_logs() as log,
    ):
        deaf.bind(("127.0.0.1", 0))
        listening.settimeout(5.0)
        should, is_at = (Address(*one.getsockname()) for one in (deaf, listening))
        settings = settings_with(should)
        link = PeerLink(
            *(2, should, settings, acquaintances(), poll, random.Random(1), logger_for(1)),
            lambda: elsewhere,
        )
        assert dialled(link, poll, 3) == [should.port] * 3
        complaint = link.trouble
        assert link.leads_to is None, "nobody was found there"
        elsewhere = is_at
        link.tick(link.deadline_ms)
        theirs, _ = listening.accept()
        theirs.close()
        connection = link._stream
        assert connection is not None
        until_events(poll, lambda: not connection.is_open)
        link.tick(link.deadline_ms)
        assert link.trouble == complaint, "it is told why it is not where it should be"
        assert dialled(link, poll, 1) == [should.port]
        now_ms = link.deadline_ms
        link.tick(now_ms)
        theirs, _ = listening.accept()
        with theirs:
            theirs.sendall(encode_hello_answer(HELLO_OF_2))
            until_events(poll, lambda: link._is_ready)
        assert link.leads_to == is_at
        [told] = [one for one in log if one["code"] == "peer_connected"]
        assert told["address"] == str(is_at)
        connection = link._stream
        until_events(poll, lambda: not connection.is_open)
        link.tick(now_ms)
        assert dialled(link, poll, 1) == [should.port]
        link.close()
