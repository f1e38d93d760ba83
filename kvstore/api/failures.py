"""How a node refuses: a code, and words.

Law: all codes but UNKNOWN mean that this request changed nothing.

It must not know who refuses, nor why.
"""

from __future__ import annotations

import enum

from kvstore.api.base import Result


class FailureCode(enum.StrEnum):
    """First word of an error reply. All but UNKNOWN mean: this request changed nothing."""

    INVALID = "ERR"
    NOT_LEADER = "NOTLEADER"
    NO_LEADER = "NOLEADER"
    BUSY = "BUSY"
    NO_SPACE = "NOSPACE"
    """The disk, or the map of a store, is nearly full."""
    NO_HEIR = "NOHEIR"
    """Who is to lead next is known to be unable to, for now."""
    NO_CHANGE = "NOCHANGE"
    """The members cannot be changed so, for now: for a reason that may pass."""
    COMPACTED = "COMPACTED"
    """What was at that revision is not kept any more."""
    FUTURE = "FUTURE"
    """That revision is not there yet."""
    STALE = "STALE"
    """The node's term is below the request's `min_term`."""
    NO_SESSION = "NOSESSION"
    """The session is unknown or expired; of an earlier copy of the request it says nothing."""
    TAKEN = "TAKEN"
    """Another write came under this number of the session (then it is final: no copy was, or
    will be, carried out) or under a later one (then it says nothing of an earlier copy)."""
    NO_LEASE = "NOLEASE"
    """There is no such lease, or its time is up."""
    LEASE_EXISTS = "LEASEEXISTS"
    """The number that was to be a lease's is one already."""
    UNKNOWN = "UNKNOWN"


class Failure(Result, frozen=True, tag="failure"):
    """The request was not carried out, or (UNKNOWN) nobody can tell whether it was.

    * `leader`: `host:port` of the leader, for NOT_LEADER.
    * `compacted`: the first revision that is kept, for COMPACTED.
    * `is_final`: the state machine refused the write itself, so this is its one answer,
      also under a session; other refusals speak for one copy of a request alone.
    """

    code: FailureCode
    message: str
    leader: str | None = None
    is_final: bool = False
    compacted: int = 0
