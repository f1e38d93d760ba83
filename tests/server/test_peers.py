"""Links to peers: when a node dials another that does not answer."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

from kvstore.address import Address
from kvstore.config import Limits, Settings
from kvstore.logs import logger_for
from kvstore.raft.messages import AppendEntries
from kvstore.raft.types import Entry, EntryKind
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.peers import PeerLink
from kvstore.storage.memory import MemoryLineage
from kvstore.wire.peer import Hello, encode_hello_answer


def acquaintances() -> Acquaintances:
    """Those of node 1, which knows nobody yet."""
    return Acquaintances(
        cluster_id="test",
        node_id=1,
        incarnation="ab" * 16,
        lineage=MemoryLineage(b"1" * 8),
        admitted_at=lambda: 0,
        replaced_at=lambda node_id, admitted_at: None,
    )


def test_a_peer_that_was_down_long_is_dialled_before_it_would_stand_for_election() -> None:
    """Raft §5.2: back again, it must hear its leader within the shortest election timeout."""
    with socket.socket() as deaf, selectors.DefaultSelector() as selector:
        # Bound but not listening: whoever dials is refused, and nobody else gets the port.
        deaf.bind(("127.0.0.1", 0))
        settings = Settings(
            node_id=1,
            members={1: Address("127.0.0.1", 1), 2: Address(*deaf.getsockname())},
            cluster_id="test",
            data_dir=Path("unused"),
        )
        link = PeerLink(2, settings, acquaintances(), selector, random.Random(1), logger_for(1))
        pauses, now_ms = [], 0.0
        for _ in range(20):
            link.tick(now_ms)
            connection = link._connection
            while connection is not None and connection.is_open:
                for key, mask in selector.select(1.0):
                    key.data.on_events(mask)
            link.tick(now_ms)
            pauses.append(link.deadline_ms - now_ms)
            now_ms = link.deadline_ms
    assert max(pauses) < settings.raft.election_timeout_min_ms / 2


@contextlib.contextmanager
def link_to_a_peer_that_never_reads(limits: Limits) -> Iterator[PeerLink]:
    """Its hello was answered, and that was the last thing that the peer did."""
    with socket.create_server(("127.0.0.1", 0)) as listening, selectors.DefaultSelector() as poll:
        settings = Settings(
            node_id=1,
            members={1: Address("127.0.0.1", 1), 2: Address(*listening.getsockname())},
            cluster_id="test",
            data_dir=Path("unused"),
            limits=limits,
        )
        link = PeerLink(2, settings, acquaintances(), poll, random.Random(1), logger_for(1))
        assert link.is_crowded, "who has no link takes nothing"
        link.tick(0.0)
        deaf, _ = listening.accept()
        with deaf:
            theirs = Hello(
                cluster_id="test",
                node_id=2,
                incarnation="cd" * 16,
                starts=b"2" * 8,
                admitted_at=0,
                recipient=1,
            )
            deaf.sendall(encode_hello_answer(theirs))
            while not link._is_ready:
                for key, mask in poll.select(5.0):
                    key.data.on_events(mask)
            yield link
        link.close()


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
    assert link._connection is not None
    return link._connection.unsent_bytes


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
        while not link.is_crowded:
            assert unsent_bytes(link) < limits.peer_backlog_bytes_max
            link.send(append_of(100 << 10))
        assert unsent_bytes(link) < limits.peer_backlog_bytes_max + (120 << 10)


def test_a_link_that_breaks_with_much_to_send_is_just_closed() -> None:
    with link_to_a_peer_that_never_reads(Limits()) as link:
        while not link.is_crowded:
            link.send(append_of(100 << 10))
        connection = link._connection
        assert connection is not None
        connection._sock.shutdown(socket.SHUT_RDWR)
        link.on_events(selectors.EVENT_WRITE)
        assert (connection.is_open, connection.unsent_bytes) == (False, 0)
        assert connection.failure == "Broken pipe"
