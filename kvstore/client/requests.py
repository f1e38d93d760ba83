"""What each method of a client asks for: its arguments, checked, and made into a request.

Law: the faces of the client (blocking, asyncio) differ in how they wait and in nothing else:
what a method sends, and what its answer becomes where that is not the result itself, stands here,
once. Nothing here waits, or knows who is asked.

**A new method**: a function here of its name, which returns its request (or in a file of its
subject, where there is much of it); the method itself in the file of its kind,
`blocking_keys.py` or `blocking_cluster.py`, or in a `blocking_SUBJECT.py` with a class that
`Client` inherits; and its like for asyncio, in the file beside that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

import msgspec

from kvstore import api
from kvstore.address import Address, parse_address
from kvstore.client.arguments import (
    Pairs,
    Text,
    as_address,
    as_bytes,
    as_flag,
    as_guard,
    as_integer,
    as_keys,
    as_limit,
    as_node_id,
    as_pairs,
    as_text,
    checked,
)
from kvstore.errors import ConfigError, GuardFailedError, ProtocolError

_SCAN_PAGE: Final = 100


# --- Keys ---------------------------------------------------------------------------------


def put(
    key: Text,
    value: Text,
    *,
    if_absent: bool,
    if_present: bool,
    if_value: Text | None,
    guard: tuple[Text, int] | None,
) -> api.Put:
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
    return api.Put(as_bytes(key), as_bytes(value), when, expected, guard=as_guard(guard))


def put_many(pairs: Pairs, guard: tuple[Text, int] | None) -> api.PutMany:
    return api.PutMany(as_pairs(pairs), guard=as_guard(guard))


def delete(keys: Iterable[Text], guard: tuple[Text, int] | None) -> api.Delete:
    one_by_one = tuple(as_bytes(key, "each key, as in delete(*keys), is") for key in keys)
    return api.Delete(one_by_one, guard=as_guard(guard))


def increment(key: Text, by: int, guard: tuple[Text, int] | None) -> api.Increment:
    number = as_integer(by, "an increment is")
    return api.Increment(as_bytes(key), number, guard=as_guard(guard))


def get_many(keys: Iterable[Text]) -> api.Get:
    return api.Get(as_keys(keys))


def count() -> api.Count:
    return api.Count()


class Scanning:
    """A scan, page by page: ask, take, ask again."""

    def __init__(
        self,
        prefix: Text,
        *,
        start: Text | None,
        limit: int | None,
        reverse: bool,
        with_values: bool,
    ) -> None:
        request = api.Scan(
            None if start is None else as_bytes(start),
            as_bytes(prefix),
            _SCAN_PAGE,
            as_flag(with_values, "with_values"),
            reverse=as_flag(reverse, "reverse"),
        )
        self._request = checked(request)
        limit = as_limit(limit)
        self._left = sys.maxsize if limit is None else limit
        self._page: api.ScanResult | None = None

    def next_request(self) -> api.Scan | None:
        """What asks for the next page, None if the last one was taken. Raises ProtocolError."""
        if self._page is not None:
            start = self._page.next_start
            if start is None or not self._left:
                return None
            if not _advances(self._request, start):
                raise ProtocolError("the node's scan does not advance: are client and node alike?")
            self._request = msgspec.structs.replace(self._request, start=start)
        return msgspec.structs.replace(self._request, limit=min(self._left, _SCAN_PAGE))

    def take(self, page: api.ScanResult) -> tuple[api.KeyValue, ...]:
        """The records of the page that was asked for."""
        self._page = page
        self._left -= len(page.items)
        return page.items


def _advances(scan: api.Scan, next_start: bytes) -> bool:
    """Whether a page leads on, away from where it began."""
    if scan.reverse:
        return scan.start is None or next_start < scan.start
    return next_start > (scan.start or b"")


# --- The cluster --------------------------------------------------------------------------


def status() -> api.Status:
    return api.Status()


def node_at(address: str) -> Address:
    """The one node that is to be asked."""
    return parse_address(as_text(address, "an address is"))


def transfer_leader(to_node: int | None) -> api.HandOver:
    return api.HandOver(None if to_node is None else as_node_id(to_node))


def check(last: api.CheckResult | None = None) -> api.CheckReplicas:
    """To begin with, and, with the last answer, to go on."""
    return api.CheckReplicas() if last is None else api.CheckReplicas(last.index)


def members() -> api.Members:
    return api.Members()


def add_member(node_id: int, address: str) -> api.AddMember:
    return api.AddMember(as_node_id(node_id), as_address(address))


def promote_member(node_id: int) -> api.PromoteMember:
    return api.PromoteMember(as_node_id(node_id))


def remove_member(node_id: int) -> api.RemoveMember:
    return api.RemoveMember(as_node_id(node_id))


def replace_member(node_id: int, address: str) -> api.ReplaceMember:
    return api.ReplaceMember(as_node_id(node_id), as_address(address))


def move_member(node_id: int, address: str) -> api.MoveMember:
    return api.MoveMember(as_node_id(node_id), as_address(address))


# --- Any answer ---------------------------------------------------------------------------


def outcome(request: api.Request, result: api.Result) -> api.Result:
    """A result as the caller has it. Raises GuardFailedError."""
    if not isinstance(result, api.GuardFailed):
        return result
    write = request.write if isinstance(request, api.Once) else request
    assert isinstance(write, api.WRITES)
    assert write.guard is not None
    raise GuardFailedError(write.guard.key, write.guard.mod_revision, result.mod_revision)
