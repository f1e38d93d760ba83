"""Leases: what keys are put under that are to be gone when nobody renews their lease any more.

Law: a lease has no time of its own. It ends by the cluster's time, which its grant and each of
its renewals bring, and nothing but the log ends it. What only nodes write, `Renew` and `Pass`, is
no request: a client that could send one could end the leases of others.

It must not know who renews, nor when what is due is ended.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from kvstore.api.base import (
    KEYS_MAX,
    REVISION_MAX,
    UP_TO_KEYS_MAX,
    Query,
    Request,
    Result,
    Write,
)
from kvstore.api.row import (
    KEY_STEPS,
    PLACE_BYTES,
    Bounds,
    CommandRow,
    Extent,
    QueryRow,
    Row,
    WriteRow,
)

TTL_MS_MAX: Final = 9_000_000_000_000
"""285 years, as etcd has it: no sum of times overflows."""
_KEPT_BYTES: Final = 12
"""Of a reply, for each lease."""

# --- What clients ask for -----------------------------------------------------------------


class Grant(Write, frozen=True, tag="grant"):
    """Begin a lease, under the number given, or with 0 under one that is free.

    A TTL that is too short to be renewed in time is raised.
    """

    ttl_ms: int
    lease: int = 0


class Revoke(Write, frozen=True, tag="revoke"):
    """End a lease, and delete the keys under it.

    Of a lease with more keys than one request may name, the others follow at once, in pieces.
    """

    lease: int


class KeepAlive(Request, frozen=True, tag="keepalive"):
    """Have leases last for their whole TTL from now on, many in one request."""

    leases: Annotated[tuple[int, ...], UP_TO_KEYS_MAX]


class TimeToLive(Query, frozen=True, tag="timetolive"):
    """How long a lease lasts, and with `with_keys` which keys are under it."""

    lease: int
    with_keys: bool = False


class Leases(Query, frozen=True, tag="leases"):
    """The numbers of leases above `after`, ascending."""

    after: int = 0
    limit: int = 1_000


# --- What they are answered ---------------------------------------------------------------


class GrantResult(Result, frozen=True, tag="grant"):
    """The lease, and the TTL that it really has."""

    lease: int
    ttl_ms: int


class RevokeResult(Result, frozen=True, tag="revoke"):
    """How many keys were deleted."""

    revision: int
    deleted: int


class KeptResult(Result, frozen=True, tag="kept"):
    """The TTL of each lease asked for, from when that was asked on; 0 for one that is no more."""

    ttls_ms: tuple[int, ...]


class TimeToLiveResult(Result, frozen=True, tag="timetolive"):
    """`ttl_ms` and `left_ms` are 0 if there is no such lease.

    `left_ms` is as of the last entry of the log that told the time: that lags by a second.
    """

    revision: int
    ttl_ms: int
    left_ms: int
    keys: tuple[bytes, ...] = ()


class LeasesResult(Result, frozen=True, tag="leases"):
    """Leases; `next_after` is where to go on, None at the end."""

    revision: int
    leases: tuple[int, ...]
    next_after: int | None


# --- What nodes write ---------------------------------------------------------------------


class Renew(Request, frozen=True, tag="renew"):
    """The renewals of several clients in one entry."""

    leases: tuple[int, ...]


class Pass(Request, frozen=True, tag="pass"):
    """Time has passed: end what is due by it, up to so many keys.

    It names no lease, so it can never be wrong about a renewal that stands before it in the log.
    """

    ends_max: int


class PassResult(Result, frozen=True, tag="pass"):
    """How many leases were ended, and whether more are due. Nobody waits for it."""

    ended: int
    has_more: bool


class LeaseRules(msgspec.Struct, frozen=True):
    """By what leases end.

    Not settings of a node: every replica must go by the same rules, or they differ.

    * `grace_ms`: a lease lasts that much longer than its TTL, for the sake of clients whose clocks
      are slower than that of a leader.
    * `ttl_min_ms`: a shorter TTL is raised to it.
    * `beat_ms`: while there is anything that ends by time, a leader lets no more pass between two
      entries that tell it. So much of what has passed is lost at most when all nodes start anew.
    * `hold_off_ms`: a new leader, and one that stood still, ends nothing before that: renewals
      that wait for it come first.
    * `ends_max`: so many keys go in one entry, and in one turn.
    """

    grace_ms: int = 500
    ttl_min_ms: int = 2_000
    beat_ms: int = 1_000
    hold_off_ms: int = 500
    ends_max: int = 512


# --- Their rows ---------------------------------------------------------------------------


def check_lease(lease: int) -> str | None:
    """The number of one lease."""
    if not 1 <= lease <= REVISION_MAX:
        return f"a lease is numbered 1 to {REVISION_MAX}, not {lease}"
    return None


def _check_grant(grant: Grant, _bounds: Bounds) -> str | None:
    if not 1 <= grant.ttl_ms <= TTL_MS_MAX:
        return f"the TTL of a lease is 1 to {TTL_MS_MAX} ms, not {grant.ttl_ms}"
    return check_lease(grant.lease) if grant.lease else None


def _check_keep_alive(keep: KeepAlive, bounds: Bounds) -> str | None:
    if not 1 <= len(keep.leases) <= bounds.request_keys_max:
        return f"1 to {bounds.request_keys_max} leases are renewed at once, not {len(keep.leases)}"
    return check_lease(min(keep.leases)) or check_lease(max(keep.leases))


def _check_leases(leases: Leases, bounds: Bounds) -> str | None:
    if not 1 <= leases.limit <= bounds.request_keys_max:
        return f"1 to {bounds.request_keys_max} leases are told at once, not {leases.limit}"
    return check_lease(leases.after) if leases.after else None


LEASE_WRITE_ROWS: Final = (
    WriteRow(
        request=Grant,
        result=GrantResult,
        check=_check_grant,
        extent=lambda _grant: Extent(leases=1),
        needs_time=True,
    ),
    WriteRow(
        request=Revoke,
        result=RevokeResult,
        check=lambda revoke, _bounds: check_lease(revoke.lease),
        extent=lambda _revoke: Extent(deletes=KEYS_MAX, leases=1),
        needs_time=True,
        is_wide=True,
    ),
)
LEASE_QUERY_ROWS: Final = (
    QueryRow(
        request=TimeToLive,
        result=TimeToLiveResult,
        check=lambda query, _bounds: check_lease(query.lease),
        steps_max=lambda query, _bounds: KEY_STEPS * (1 + query.with_keys * KEYS_MAX),
    ),
    QueryRow(
        request=Leases,
        result=LeasesResult,
        check=_check_leases,
        steps_max=lambda query, _bounds: KEY_STEPS * (1 + query.limit),
    ),
)
LEASE_NODE_ROWS: Final = (
    Row(
        request=KeepAlive,
        result=KeptResult,
        check=_check_keep_alive,
        place_bytes=lambda keep, _bounds: PLACE_BYTES + _KEPT_BYTES * len(keep.leases),
    ),
)
INTERNAL_ROWS: Final = (
    CommandRow(
        request=Renew,
        result=KeptResult,
        extent=lambda renew: Extent(leases=len(renew.leases)),
        needs_time=True,
    ),
    CommandRow(
        request=Pass,
        result=PassResult,
        extent=lambda passing: Extent(deletes=KEYS_MAX, leases=passing.ends_max),
        needs_time=True,
        is_wide=True,
    ),
)
"""Of what nodes write themselves: the log has it, and no door takes it."""
