"""The server as the commands see it that one node answers by itself.

Law: who holds a view looks, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from kvstore import api
from kvstore.config.settings import Settings
from kvstore.server.client_state import ClientState
from kvstore.server.reach import Reach
from kvstore.server.stream import SocketFacts
from kvstore.server.traffic import Traffic


class Listed(Protocol):
    """One client's connection, as CLIENT LIST tells of it."""

    @property
    def state(self) -> ClientState:
        """Who the client is, and what it has said."""
        ...

    @property
    def age_ms(self) -> int:
        """For how long the connection has been there."""
        ...

    @property
    def input_bytes(self) -> int:
        """What is kept of requests that are not started."""
        ...

    @property
    def output_bytes(self) -> int:
        """What is held of replies, and what the client has not read of them."""
        ...

    @property
    def places(self) -> int:
        """How many replies are held, or expected."""
        ...

    def socket_facts(self) -> SocketFacts:
        """What the system knows of the connection."""
        ...


class Attendance(Protocol):
    """Who is connected."""

    clients_max: int

    @property
    def clients(self) -> Mapping[int, Listed]:
        """Who is connected and no peer, by number; nor has come when there were enough."""
        ...

    def client(self, number: int) -> Listed:
        """One of these."""
        ...

    @property
    def clients_count(self) -> int:
        """How many these are, at no cost."""
        ...

    @property
    def connections_count(self) -> int:
        """How many are connected, peers and newcomers too."""
        ...

    @property
    def linked(self) -> Collection[int]:
        """The peers that have a link to this node."""
        ...


class ServerView(Protocol):
    """What INFO, CLIENT, CLUSTER and CONFIG tell of."""

    settings: Settings
    traffic: Traffic
    commands_processed: int
    reach: Reach

    @property
    def doorkeeper(self) -> Attendance:
        """Who is connected."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this node leads, as far as it knows."""
        ...

    def status(self) -> api.StatusResult:
        """This node, and what it has of its peers."""
        ...
