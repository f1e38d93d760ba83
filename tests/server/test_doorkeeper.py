"""Who is let in, and who is hung up on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvstore.config.limits import Limits
from kvstore.logs import logger_for
from kvstore.server.doorkeeper import Doorkeeper
from kvstore.server.load import SHORT_INPUT_BYTES, Load
from kvstore.wire import peer
from kvstore.wire.resp import command

from .line import THEIRS, Line

PEERS = 2


@pytest.mark.parametrize("descriptors", [97, 120])
def test_fewer_descriptors_mean_fewer_clients(descriptors: int) -> None:
    limits = Limits()
    doorkeeper = Doorkeeper(limits, lambda: PEERS, Load(limits), logger_for(1), descriptors)
    places = range(descriptors - 96 + PEERS)
    doorkeeper.connections = {n: object() for n in places}  # type: ignore[misc]
    assert not doorkeeper.takes_clients()
    doorkeeper.connections.popitem()
    assert doorkeeper.takes_clients()


def test_only_who_holds_much_of_a_request_while_others_do_too_is_refused() -> None:
    limits = Limits()
    load = Load(limits)
    doorkeeper = Doorkeeper(limits, lambda: PEERS, load, logger_for(1), 10_000)
    assert not doorkeeper.refuses_input(1 << 20)
    load.input_bytes = limits.clients_input_bytes_max + 1
    assert doorkeeper.refuses_input(SHORT_INPUT_BYTES + 1)
    assert not doorkeeper.refuses_input(SHORT_INPUT_BYTES)


@pytest.fixture
def full() -> Iterator[Line]:
    """A server of a cluster of three, to which one comes for whom there is no room as a client."""
    line = Line(members=3)
    line.connect_anew(is_newcomer=True)
    yield line
    line.close()


def test_a_newcomer_that_is_no_peer_is_told_that_there_is_no_room(full: Line) -> None:
    assert full.ask(command(b"PING")) == b"-ERR max number of clients reached\r\n"
    assert full.is_closed
    full.client.close()
    full.turn()
    assert not full.context.doorkeeper.newcomers


def test_a_newcomer_that_is_a_peer_is_heard(full: Line) -> None:
    """Clients must not keep a cluster from its leader."""
    assert full.ask(peer.encode_hello(THEIRS)).startswith(b"$")
    assert not full.context.doorkeeper.newcomers
    assert [*full.context.doorkeeper.connections.values()] == full.connections[:1]
    assert full.link.node_id == 2


def test_a_newcomer_that_says_nothing_makes_room_for_the_next(full: Line) -> None:
    full.context.tick(0.0)
    assert len(full.context.doorkeeper.newcomers) == 1
    full.context.tick(1_900.0)
    assert not full.is_closed
    full.context.tick(2_100.0)
    assert full.is_closed
    assert not full.context.doorkeeper.newcomers
