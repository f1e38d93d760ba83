"""Blocking client: what callers see of a cluster, and what they may do with one client.

Law: a session, its numbers and its connections belong to one client in one process, and
serve one request at a time. Threads take turns. A copy (copied, pickled, or in a forked
child) has the same settings and begins its own; what belongs to another is neither used
nor ended by it.

How a request finds the leader, and what is tried again, is `caller.py`'s business, waiting
for sockets that of `links.py`, and what may be given to it that of `arguments.py`. This
module must not know how the server works inside.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack, cast

import msgspec

from kvstore import api
from kvstore.address import LOCAL_CLUSTER, Address, parse_address, parse_addresses, parse_int
from kvstore.client.arguments import (
    Pairs,
    Text,
    as_address,
    as_addresses,
    as_bytes,
    as_callback,
    as_flag,
    as_guard,
    as_integer,
    as_keys,
    as_limit,
    as_node_id,
    as_pairs,
    as_request,
    as_text,
    as_timeout,
    checked,
)
from kvstore.client.backup import OnBackupProgress, Progress, Writable, fetch
from kvstore.client.caller import Caller, Source
from kvstore.client.gate import Gate, InsideError
from kvstore.client.links import Links
from kvstore.config.limits import TIME_MS_CEILING
from kvstore.errors import ConfigError, GuardFailedError, ProtocolError

_SCAN_PAGE: Final = 100
_TIMEOUT_MS: Final = 5_000
_TO_VARIABLE: Final = "KVSTORE_TO"
_TIMEOUT_VARIABLE: Final = "KVSTORE_TIMEOUT_MS"
_R = TypeVar("_R")


class Settings(TypedDict, total=False):
    """What `Client` takes, for who gives a part of it to `Client.from_env`."""

    addresses: Iterable[str] | str
    timeout_ms: int
    follow: bool
    on_redirect: Callable[[str, str], None] | None
    exactly_once: bool
    reads_from_any: bool


class Client:
    """Requests to a cluster through any of its nodes.

    * Threads may share one, and take turns, in the order of coming: there is one session
      with one request under way. Who wants more at a time gives each thread its own.
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
    ) -> None:
        """Connects to nothing yet.

        `addresses`: some nodes, as `9001`, `host`, `host:port` or `[::1]:9001`; they
        are asked in this order. `timeout_ms` bounds one request with all its
        retries, and with the wait for its turn. With `follow` False the first NOTLEADER
        raises NotLeaderError. `on_redirect(from, to)` is told each redirect that is followed,
        in the middle of the request: it cannot make another one with this client. With
        `exactly_once` the first write opens a session, and a write that was not answered
        is sent again under its number, until the timeout; without, it is not sent again,
        and its outcome is unknown. With `reads_from_any` reads are asked of all nodes in order,
        leader or not; they are as fresh as the leader's, as a node that does not lead asks the
        leader how far it must have come. Raises ConfigError.
        """
        nodes = parse_addresses(as_addresses(addresses))
        self._timeout_ms = as_timeout(timeout_ms)
        self._reads_from_any = as_flag(reads_from_any, "reads_from_any")
        self._nodes = ",".join(map(str, nodes))
        self._caller = Caller(
            nodes,
            as_flag(follow, "follow"),
            as_callback(on_redirect, "on_redirect"),
            as_flag(exactly_once, "exactly_once"),
            time.monotonic,
        )
        self._links = Links()
        self._gate = Gate()
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

    # --- Commands -------------------------------------------------------------------------

    def put(
        self,
        key: Text,
        value: Text,
        *,
        if_absent: bool = False,
        if_present: bool = False,
        if_value: Text | None = None,
        guard: tuple[Text, int] | None = None,
    ) -> api.PutResult:
        """Write one key, under at most one condition; look at `written` in the result.

        If it is written, `revision` in the result is the key's `mod_revision`: the fencing
        token, if the key is a lock. An `if_value` of None is no condition: for a key that must
        not be there yet, say `if_absent`. A `guard` stands beside the condition, and raises if it
        does not hold.
        """
        when, expected = api.When.ALWAYS, None
        conditions = as_flag(if_absent, "if_absent") + as_flag(if_present, "if_present")
        if conditions + (if_value is not None) > 1:
            raise ConfigError("give at most one of if_absent, if_present and if_value")
        if if_absent:
            when = api.When.ABSENT
        elif if_present:
            when = api.When.PRESENT
        elif if_value is not None:
            when, expected = api.When.EQUAL, as_bytes(if_value)
        put = api.Put(as_bytes(key), as_bytes(value), when, expected, guard=as_guard(guard))
        return self._ask(put, api.PutResult)

    def put_many(self, pairs: Pairs, *, guard: tuple[Text, int] | None = None) -> api.PutResult:
        """Write several keys in one step, from a mapping or pairs; the last of equal keys wins.

        At most 4,096 pairs, together as long as one value: import more than that in
        batches. `written` is false if there were none.
        """
        return self._ask(api.PutMany(as_pairs(pairs), guard=as_guard(guard)), api.PutResult)

    def delete(self, *keys: Text, guard: tuple[Text, int] | None = None) -> api.DeleteResult:
        """Remove keys in one step, at most 4,096; `deleted` counts those that existed."""
        one_by_one = tuple(as_bytes(key, "each key, as in delete(*keys), is") for key in keys)
        return self._ask(api.Delete(one_by_one, guard=as_guard(guard)), api.DeleteResult)

    def increment(self, key: Text, by: int = 1, *, guard: tuple[Text, int] | None = None) -> int:
        """Add to a signed 64-bit decimal integer (absent = 0) and return the sum."""
        number = as_integer(by, "an increment is")
        increment = api.Increment(as_bytes(key), number, guard=as_guard(guard))
        return self._ask(increment, api.IncrementResult).value

    # --- Queries --------------------------------------------------------------------------

    def get(self, key: Text, *, stale: bool = False) -> api.KeyValue | None:
        """The record of a key, or None.

        `stale` reads what the first reachable node has applied, leader or not: it
        may be old, but it needs no majority.
        """
        return self.get_many([key], stale=stale)[0]

    def get_many(self, keys: Iterable[Text], *, stale: bool = False) -> list[api.KeyValue | None]:
        """The records of several keys at one revision, in the order asked.

        At most 4,096 keys, whose values have 16 MiB together.
        """
        return list(self._ask(api.Get(as_keys(keys)), api.GetResult, stale=stale).items)

    def scan(
        self,
        prefix: Text = b"",
        *,
        start: Text | None = None,
        limit: int | None = None,
        reverse: bool = False,
        with_values: bool = True,
        stale: bool = False,
    ) -> Iterator[api.KeyValue]:
        """The records whose key begins with `prefix`, in byte order, from the key `start` on.

        With `reverse` the other way round, from `start` down; `limit` bounds their number.
        Fetched page by page: each page is of one revision, but a later page may see
        later writes. Without values, every value comes as b"".
        """
        request = api.Scan(
            None if start is None else as_bytes(start),
            as_bytes(prefix),
            _SCAN_PAGE,
            as_flag(with_values, "with_values"),
            reverse=as_flag(reverse, "reverse"),
        )
        return self._pages(checked(request), as_limit(limit), as_flag(stale, "stale"))

    def _pages(self, request: api.Scan, limit: int | None, stale: bool) -> Iterator[api.KeyValue]:
        left = sys.maxsize if limit is None else limit
        while True:
            request = msgspec.structs.replace(request, limit=min(left, _SCAN_PAGE))
            page = self._ask(request, api.ScanResult, stale=stale)
            yield from page.items
            left -= len(page.items)
            if page.next_start is None or not left:
                return
            if not _advances(request, page.next_start):
                raise ProtocolError("the node's scan does not advance: are client and node alike?")
            request = msgspec.structs.replace(request, start=page.next_start)

    def count(self, *, stale: bool = False) -> int:
        """The number of keys."""
        return self._ask(api.Count(), api.CountResult, stale=stale).count

    def status(self, address: str | None = None) -> api.StatusResult:
        """What one node knows: the one at `address` and no other, or any that answers."""
        if address is None:
            return self._ask(api.Status(), api.StatusResult)
        node = parse_address(as_text(address, "an address is"))
        return cast(api.StatusResult, self._ask_node(node, api.Status()))

    def backup(
        self,
        writable: Writable,
        address: str | None = None,
        *,
        on_progress: OnBackupProgress | None = None,
    ) -> Progress:
        """Write all data to `writable`, as one node has applied it at this moment.

        That is the node at `address`, which need not lead; or the leader; or, while there is
        none, who has applied most of those that answer. What was written is whole if this
        returns; `kvstore verify` and `kvstore restore` read it. `on_progress` is told after each
        piece; the timeout is for each of them. Other threads have their turns between two.
        Raises what `writable` raises too.
        """
        as_callback(on_progress, "on_progress")
        nodes = self._caller.addresses
        if address is not None:
            nodes = [parse_address(as_text(address, "an address is"))]

        return fetch(nodes, self._ask_node, writable, on_progress)

    def _ask_node(self, node: Address, request: api.NodeQuery) -> api.Result:
        """Ask this node and no other, once."""
        deadline = self._deadline()
        with self._gate.turn(deadline):
            return self._links.carry_out(self._caller.ask_node(node, request, deadline))

    def transfer_leader(self, to_node: int | None = None) -> api.HandOverResult:
        """Have that node lead, or the one that lags least; who leads then.

        Leadership moves once, however often it has to be asked for. If another leader has
        come in the meantime, that is the answer, or to `to_node` a RefusedError; but if an
        earlier copy may have moved it, an OutcomeUnknownError. Where nobody can take over now,
        the RefusedError has the code NOHEIR.
        """
        heir = None if to_node is None else as_node_id(to_node)
        return self._ask(api.HandOver(heir), api.HandOverResult)

    def check(self) -> api.CheckResult:
        """Whether all nodes hold the same, as of an entry of the log; they go on meanwhile.

        Each reads all its data, so it may take minutes: the timeout is for what the leader says
        of it, about once a second.
        """
        result = self._ask(api.CheckReplicas(), api.CheckResult)
        while not result.is_settled:
            result = self._ask(api.CheckReplicas(result.index), api.CheckResult)
        return result

    # --- Members --------------------------------------------------------------------------

    def members(self) -> api.MembersResult:
        """Who the members are, who of them votes, and who answers, as the leader knows them."""
        return self._ask(api.Members(), api.MembersResult)

    def add_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have a new node, which is to be at `host:port`: it votes once it keeps up.

        This and the other changes are made once, however often they have to be asked for, and
        answered when a majority has them. What cannot be done now is a RefusedError with the
        code NOCHANGE, what never can one with ERR.
        """
        return self._change(api.AddMember(as_node_id(node_id), as_address(address)))

    def promote_member(self, node_id: int) -> api.ChangeResult:
        """Have a node vote that does not yet, as soon as it has the log; it comes by itself."""
        return self._change(api.PromoteMember(as_node_id(node_id)))

    def remove_member(self, node_id: int) -> api.ChangeResult:
        """Have a node be no member any more; its directory is none of this cluster's from then."""
        return self._change(api.RemoveMember(as_node_id(node_id)))

    def replace_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have a new node at `host:port` in the place of one that is lost; it votes as soon."""
        return self._change(api.ReplaceMember(as_node_id(node_id), as_address(address)))

    def move_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have the others look for a node at `host:port`, where it is by now, or will be."""
        return self._change(api.MoveMember(as_node_id(node_id), as_address(address)))

    def _change(self, change: api.Change) -> api.ChangeResult:
        return self._ask(change, api.ChangeResult)

    # --- Any request ----------------------------------------------------------------------

    def execute(self, request: api.Request, *, stale: bool = False) -> api.Result:
        """Carry out any typed request; the result is never a `Failure`, that is raised.

        Nor is it a `GuardFailed`. It is `PutRepeated` if a put that returns what it
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
        with self._gate.turn(deadline):
            way = self._caller.ask(request, source, self._timeout_ms, deadline)
            result = self._links.carry_out(way)
        if isinstance(result, api.GuardFailed):
            raise _guard_failed(request, result)
        return result

    def _ask(self, request: api.Request, _answer: type[_R], stale: bool = False) -> _R:
        # The caller has checked that the answer is the one that belongs to the request.
        return cast(_R, self._carry_out(request, stale))

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_ms / 1000

    def waiting(self) -> tuple[float, str] | None:
        """Since when the request under way is tried (`time.monotonic`), and what came of it so far.

        For other threads; None if there is none.
        """
        course = self._caller.course
        return None if course is None else (course.began, course.story())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._nodes!r})"

    # --- Copies, and the end --------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has in common with this client: settings, and what is known."""
        return {**vars(self), "_caller": self._caller.fresh(), "_links": None, "_gate": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._links, self._gate = Links(), Gate()
        _clients.add(self)

    def _leave_to_parent(self) -> None:
        """This process was forked: begin anew, with what the parent's client knows.

        Another thread of the parent may have been inside; here, nobody is.
        """
        self._caller.abandon()
        self._links.abandon()
        self._caller = self._caller.fresh()
        self._links, self._gate = Links(), Gate()

    def close(self) -> None:
        """Close all connections, once other threads are done; a later request opens them again.

        Raises RefusedError if they are not done within the timeout.
        """
        try:
            with self._gate.turn(self._deadline()):
                self._links.close()
        except InsideError:
            # A callback or a signal handler: the request goes on, over a new connection.
            self._links.close()

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


def _advances(scan: api.Scan, next_start: bytes) -> bool:
    """Whether a page leads on, away from where it began."""
    if scan.reverse:
        return scan.start is None or next_start < scan.start
    return next_start > (scan.start or b"")


def _guard_failed(request: api.Request, result: api.GuardFailed) -> GuardFailedError:
    write = request.write if isinstance(request, api.Once) else request
    assert isinstance(write, api.WRITES)
    assert write.guard is not None
    return GuardFailedError(write.guard.key, write.guard.mod_revision, result.mod_revision)


def _timeout_of(text: str) -> int:
    """The timeout, as the environment has it."""
    try:
        return parse_int(text, 1, TIME_MS_CEILING, "a time in milliseconds")
    except ConfigError as error:
        raise ConfigError(f"{_TIMEOUT_VARIABLE}: {error}") from None
