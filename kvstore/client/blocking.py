"""Blocking client: what callers see of a cluster, and what they may do with one client.

Law: sessions, their numbers and their connections belong to one client in one process. Threads
are served side by side, each in a lane of its own (`lanes.py`). A copy (copied, pickled, or in
a forked child) has the same settings and begins its own; what belongs to another is neither used
nor ended by it.

How a request finds the leader, and what is tried again, is `caller.py`'s business, waiting
for sockets that of `links.py`, and what may be given to it that of `arguments.py`. The methods
that ask stand in `blocking_keys.py` and its like, by subject: `requests.py` tells
where a new one goes. This module must not know how the server works inside.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack

from kvstore import api
from kvstore.address import LOCAL_CLUSTER, Address, parse_addresses, parse_int
from kvstore.client import requests
from kvstore.client.arguments import (
    as_addresses,
    as_callback,
    as_flag,
    as_places,
    as_request,
    as_timeout,
    checked,
)
from kvstore.client.blocking_cluster import ClusterMethods
from kvstore.client.blocking_keys import KeyMethods
from kvstore.client.blocking_past import PastMethods
from kvstore.client.blocking_txn import TxnMethods
from kvstore.client.blocking_watch import WatchMethods
from kvstore.client.caller import Caller, Source
from kvstore.client.knowledge import Knowledge
from kvstore.client.lanes import Lanes
from kvstore.config.limits import TIME_MS_CEILING
from kvstore.errors import ConfigError

_TIMEOUT_MS: Final = 5_000
CONNECTIONS_MAX: Final = 8
"""So many threads are served at a time, unless the caller says otherwise."""
_TO_VARIABLE: Final = "KVSTORE_TO"
_TIMEOUT_VARIABLE: Final = "KVSTORE_TIMEOUT_MS"


class Settings(TypedDict, total=False):
    """What `Client` takes, for who gives a part of it to `Client.from_env`."""

    addresses: Iterable[str] | str
    timeout_ms: int
    follow: bool
    on_redirect: Callable[[str, str], None] | None
    exactly_once: bool
    reads_from_any: bool
    connections_max: int


class Client(KeyMethods, PastMethods, TxnMethods, WatchMethods, ClusterMethods):
    """Requests to a cluster through any of its nodes.

    * Threads may share one. They are served side by side, `connections_max` at a time, the others
      in the order of coming. A write is not carried out while an earlier one of this client, of
      which nobody knows the outcome, may still take effect.
    * `copy`, `deepcopy` and `pickle` give a client with the same settings that has not
      connected yet, and so does a fork to the child's.
    * Keys and values may be `str` (sent as UTF-8) or bytes of any kind; answers are `bytes`.
    * It never goes back in time: a node whose term is below that of an earlier answer
      refuses it, but for stale reads. All answers come from one cluster.

    Every method may raise RefusedError (nothing was changed), UnreachableError
    (nobody answered, and nothing was changed) and, for writes, `transfer_leader` and changes of
    members alone, OutcomeUnknownError. A write with a guard may raise GuardFailedError. A guard is
    a key and the `mod_revision` that it must have when the write is applied, 0 for
    no such key; as the key of a lock that the caller holds it is a fencing token.

    An argument of the wrong type is a TypeError. What contradicts itself, and a setting that
    makes no sense, is a ConfigError, which is a ValueError. What no node would take is
    a RefusedError with the code ERR, and is not sent.
    """

    def __init__(
        self,
        addresses: Iterable[str] | str = LOCAL_CLUSTER,
        timeout_ms: int = _TIMEOUT_MS,
        follow: bool = True,
        on_redirect: Callable[[str, str], None] | None = None,
        exactly_once: bool = True,
        reads_from_any: bool = False,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """Connects to nothing yet.

        `addresses`: some nodes, as `9001`, `host`, `host:port` or `[::1]:9001`; they
        are asked in this order. `timeout_ms` bounds one request with all its
        retries, and with the wait for its turn. With `follow` False the first NOTLEADER
        raises NotLeaderError. `on_redirect(from, to)` is told each redirect that is followed,
        in the middle of the request. With `exactly_once` the first write opens a session, and a
        write that was not answered is sent again under its number, until the timeout; without, it
        is not sent again, and its outcome is unknown. With `reads_from_any` reads are asked of all
        nodes in order, leader or not; they are as fresh as the leader's, as a node that does not
        lead asks the leader how far it must have come. `connections_max`: how many requests there
        may be at a time, each with a session and a connection of its own. Raises ConfigError.
        """
        nodes = parse_addresses(as_addresses(addresses))
        self._timeout_ms = as_timeout(timeout_ms)
        self._reads_from_any = as_flag(reads_from_any, "reads_from_any")
        self._connections_max = as_places(connections_max)
        self._names = ",".join(map(str, nodes))
        self._caller = Caller(
            nodes,
            as_flag(follow, "follow"),
            as_callback(on_redirect, "on_redirect"),
            as_flag(exactly_once, "exactly_once"),
            time.monotonic,
        )
        self._lanes = Lanes(self._caller, self._connections_max)
        _clients.add(self)

    @classmethod
    def from_env(cls, **settings: Unpack[Settings]) -> Self:
        """A client with the settings that the environment has, but for those that are given.

        `KVSTORE_TO` has the addresses, as the command line takes them, and
        `KVSTORE_TIMEOUT_MS` the timeout. Raises ConfigError.
        """
        if "addresses" not in settings and (to := os.environ.get(_TO_VARIABLE)):
            parse_addresses(to, _TO_VARIABLE)
            settings["addresses"] = to
        if "timeout_ms" not in settings and (text := os.environ.get(_TIMEOUT_VARIABLE)):
            settings["timeout_ms"] = _timeout_of(text)
        return cls(**settings)

    # --- Any request ----------------------------------------------------------------------

    def execute(self, request: api.Request, *, stale: bool = False) -> api.Result:
        """Carry out any typed request; the result is never a `Failure`, that is raised.

        Nor is it a `GuardFailed`. It is `Repeated` if a put that returns what it
        replaced was answered when it was sent again, and that was too long to be kept.
        """
        return self._carry_out(as_request(request), stale)

    def _carry_out(self, request: api.Request, stale: bool) -> api.Result:
        if as_flag(stale, "stale") and isinstance(request, api.COMMANDS):
            raise ConfigError("a command cannot be stale")
        source = Source.STALE if stale else Source.LEADER
        if self._reads_from_any and isinstance(request, api.QUERIES) and not stale:
            source = Source.ANY
        checked(request)
        deadline = self._deadline()
        with self._lanes.turn(deadline) as lane:
            way = lane.caller.ask(request, source, self._timeout_ms, deadline)
            result = lane.links.carry_out(way)
        return requests.outcome(request, result)

    def _ask_node(self, node: Address, request: api.NodeQuery) -> api.Result:
        """Ask this node and no other, once."""
        deadline = self._deadline()
        with self._lanes.turn(deadline) as lane:
            return lane.links.carry_out(lane.caller.ask_node(node, request, deadline))

    @property
    def _nodes(self) -> Sequence[Address]:
        return self._caller.addresses

    @property
    def _knowledge(self) -> Knowledge:
        return self._caller.knowledge

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_ms / 1000

    def waiting(self) -> tuple[float, str] | None:
        """Since when the request under way is tried (`time.monotonic`), and what came of it so far.

        For other threads; of several the one that began first, None if there is none.
        """
        course = min(self._lanes.courses(), key=lambda one: one.began, default=None)
        return None if course is None else (course.began, course.story())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._names!r})"

    # --- Copies, and the end --------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has in common with this client: settings, and what is known."""
        return {**vars(self), "_caller": self._caller.fresh(), "_lanes": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lanes = Lanes(self._caller, self._connections_max)
        _clients.add(self)

    def _leave_to_parent(self) -> None:
        """This process was forked: begin anew, with what the parent's client knows.

        Other threads of the parent may have been inside; here, nobody is.
        """
        self._lanes.abandon()
        self._caller = self._caller.fresh()
        self._lanes = Lanes(self._caller, self._connections_max)

    def close(self) -> None:
        """Close all connections, once other threads are done; a later request opens them again.

        Raises RefusedError if they are not done within the timeout.
        """
        self._lanes.close(self._deadline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()
"""All of this process, for the moment at which it is forked."""


def _leave_all_to_parent() -> None:
    for client in tuple(_clients):
        client._leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)


# --- Small things -------------------------------------------------------------------------


def _timeout_of(text: str) -> int:
    """The timeout, as the environment has it."""
    try:
        return parse_int(text, 1, TIME_MS_CEILING, "a time in milliseconds")
    except ConfigError as error:
        raise ConfigError(f"{_TIMEOUT_VARIABLE}: {error}") from None
