"""Links to peers: when a node dials another that does not answer."""

from __future__ import annotations

import random
import selectors
import socket
from pathlib import Path

from kvstore.address import Address
from kvstore.config import Settings
from kvstore.logs import logger_for
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.peers import PeerLink
from kvstore.storage.memory import MemoryLineage


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
        acquaintances = Acquaintances(
            cluster_id="test",
            node_id=1,
            incarnation="ab" * 16,
            lineage=MemoryLineage(b"1" * 8),
            admitted_at=lambda: 0,
        )
        link = PeerLink(2, settings, acquaintances, selector, random.Random(1), logger_for(1))
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
