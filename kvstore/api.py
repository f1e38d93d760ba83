"""The one contract: typed requests and results that every protocol and the state machine share.

Law: a command is a value. It says everything that applying it needs (no clock,
no chance, no node), because each replica applies the same bytes and must reach
the same result. A command travels and rests as the msgpack of its struct.

This module must not know how requests arrive, where data rests, or who leads.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

KEY_BYTES_MAX: Final = 480
"""Longest key, in bytes. LMDB stops at 511; the rest is kept for prefixes of the storage."""
KEYS_MAX: Final = 4_096
"""Most keys that one request may read or write: each costs every node some microseconds."""

REVISION_MAX: Final = (1 << 63) - 1
"""Largest revision, session and sequence number that a request may name."""

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 63) - 1
_UP_TO_KEYS_MAX: Final = Meta(max_length=KEYS_MAX)
"""Checked before the keys are decoded, so that more of them cost nothing."""
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def parse_integer(text: bytes) -> int | None:
    """A signed 64-bit integer in the one decimal form that Redis accepts, None for all else."""
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if INTEGER_MIN <= number <= INTEGER_MAX else None


class When(enum.IntEnum):
    """The condition under which a `Put` writes."""

    ALWAYS = 0
    ABSENT = 1
    PRESENT = 2
    EQUAL = 3
    """The current value equals `Put.expected`."""


class _Struct(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Immutable, and a plain array on the wire: field order is part of the format."""


# --- Commands: they change data, so they go through the log -------------------------------


class Guard(_Struct, frozen=True):
    """A further condition of a write: the `mod_revision` that `key` must have, 0 for no key.

    It is checked when the write is applied. With the `mod_revision` of a lock's key it
    is a fencing token: once the lock has changed hands, nothing is written under it.
    """

    key: bytes
    mod_revision: int


class Put(_Struct, frozen=True, tag="put"):
    """Write one key, if `when` holds; `expected` belongs to `When.EQUAL` alone."""

    key: bytes
    value: bytes
    when: When = When.ALWAYS
    expected: bytes | None = None
    return_previous: bool = False
    guard: Guard | None = None


class PutMany(_Struct, frozen=True, tag="putmany"):
    """Write several keys in one step; the last of equal keys wins."""

    pairs: Annotated[tuple[tuple[bytes, bytes], ...], _UP_TO_KEYS_MAX]
    guard: Guard | None = None


class Delete(_Struct, frozen=True, tag="delete"):
    """Remove keys in one step; absent and repeated keys count as not deleted."""

    keys: Annotated[tuple[bytes, ...], _UP_TO_KEYS_MAX]
    guard: Guard | None = None


class Increment(_Struct, frozen=True, tag="increment"):
    """Add `by` to a signed 64-bit decimal integer; an absent key counts as 0."""

    key: bytes
    by: int
    guard: Guard | None = None


Write: TypeAlias = Put | PutMany | Delete | Increment


class OpenSession(_Struct, frozen=True, tag="opensession"):
    """Begin a client session (thesis §6.3); its number is the index of the entry."""


class Once(_Struct, frozen=True, tag="once"):
    """Carry out a write once, however often this request arrives.

    A session has one request under way at a time, and numbers them by a `sequence`
    that begins at 1 and grows. A request under the last sequence gets the answer that
    is kept, if it is the same write; one under an earlier sequence is refused, so a
    number that was passed over can never take effect any more.
    """

    session: int
    sequence: int
    write: Write


class Stamped(_Struct, frozen=True, tag="stamped"):
    """How a session's command stands in the log: with the cluster's time, in ms.

    The leader's node gives the time. No request carries one.
    """

    time_ms: int
    command: OpenSession | Once


class SessionRules(msgspec.Struct, frozen=True):
    """When sessions end, and what is kept of them.

    Not settings of a node: every replica must go by the same rules, or they differ.

    * `ttl_ms`: a session that was not used for longer, in the cluster's time, is expired.
    * `sessions_max`: to open one more ends the one that was not used for longest.
    * `result_bytes_max`: a longer result is not kept; `PutRepeated` stands for it.
    """

    ttl_ms: int = 600_000
    sessions_max: int = 10_000
    result_bytes_max: int = 1_024


# --- Queries: they read data on one node --------------------------------------------------


class Get(_Struct, frozen=True, tag="get"):
    """Read keys, in the order asked; without values, items say only that a key exists."""

    keys: Annotated[tuple[bytes, ...], _UP_TO_KEYS_MAX]
    with_values: bool = True


class Scan(_Struct, frozen=True, tag="scan"):
    """Look at `limit` keys that begin with `prefix`, at most, in byte order.

    * `start`: the first key to be looked at, if there is such a key; None for no bound.
    * `reverse`: the other way round, from `start` down, or from the last key.
    * `pattern`: only keys that match it (a glob, as Redis has them) are in the result.
    * A page ends earlier, and may be empty, where looking further would take too long.
    """

    start: bytes | None = None
    prefix: bytes = b""
    limit: int = 100
    with_values: bool = True
    pattern: bytes | None = None
    reverse: bool = False


class Count(_Struct, frozen=True, tag="count"):
    """Count the keys."""


class Status(_Struct, frozen=True, tag="status"):
    """Describe the node itself; answered by any node, without consensus."""


class HandOver(_Struct, frozen=True, tag="handover"):
    """Have node `heir` lead, or the one that lags least; asked of the leader (thesis §3.10).

    `term` is that of the leader that is to hand over: a later one does not, as leadership has
    moved by then. So a request that is sent again moves it once. 0 is whoever leads.
    """

    heir: int | None = None
    term: int = 0


Command: TypeAlias = Write | OpenSession | Once
Query: TypeAlias = Get | Scan | Count
QUERIES: Final = (Get, Scan, Count)
Request: TypeAlias = Command | Query | Status | HandOver

WRITES: Final = (Put, PutMany, Delete, Increment)
COMMANDS: Final = (*WRITES, OpenSession, Once)
Logged: TypeAlias = Write | Stamped
"""What the log holds: plain writes as they came, sessions' commands with the time."""


class Call(_Struct, frozen=True):
    """What a typed client sends.

    * `min_term`: a node whose term is lower refuses, with STALE.
    * `cluster_id`: a node of another cluster refuses; "" is any.
    * `from_any`: a query may be answered by a node that does not lead, after it has asked its
      leader as of which index; the answer is as fresh as the leader's.
    """

    request: Request
    min_term: int = 0
    cluster_id: str = ""
    from_any: bool = False


# --- Results ------------------------------------------------------------------------------


class KeyValue(_Struct, frozen=True):
    """A key with its value and its etcd-style history numbers.

    `create_revision` and `mod_revision` are the store's revision when the key
    was created and last written; `version` counts its writes since creation.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int


class PutResult(_Struct, frozen=True, tag="put"):
    """`written` is false when the condition did not hold, and then nothing changed.

    If it is true, `revision` is the `mod_revision` of what was written.
    `previous` is the replaced record, if `Put.return_previous` asked for it.
    """

    revision: int
    written: bool
    previous: KeyValue | None = None


class DeleteResult(_Struct, frozen=True, tag="delete"):
    """How many of the keys existed."""

    revision: int
    deleted: int


class IncrementResult(_Struct, frozen=True, tag="increment"):
    """The value after the addition."""

    revision: int
    value: int


class GuardFailed(_Struct, frozen=True, tag="guardfailed"):
    """The guard of a write did not hold, so nothing was changed.

    `mod_revision` is what the guard's key really has, 0 if there is no such key.
    """

    revision: int
    mod_revision: int


class SessionResult(_Struct, frozen=True, tag="session"):
    """The number of the new session."""

    session: int


class PutRepeated(_Struct, frozen=True, tag="put_repeated"):
    """A put came again, and the record that it met was too large to be kept for that.

    The rest is as in the `PutResult` that it was answered with the first time.
    """

    revision: int
    written: bool


class GetResult(_Struct, frozen=True, tag="get"):
    """One item for each key asked, None where there is no such key."""

    revision: int
    items: tuple[KeyValue | None, ...]


class ScanResult(_Struct, frozen=True, tag="scan"):
    """Keys in the order of the scan; `next_start` is where to go on, None at the end."""

    revision: int
    items: tuple[KeyValue, ...]
    next_start: bytes | None


class CountResult(_Struct, frozen=True, tag="count"):
    """The number of keys."""

    revision: int
    count: int


class StatusResult(_Struct, frozen=True, tag="status"):
    """What a node knows of itself and of its cluster; `leader_id` is None when unknown."""

    node_id: int
    cluster_id: str
    incarnation: str
    role: str
    term: int
    voted_for: int | None
    leader_id: int | None
    leader_address: str | None
    commit_index: int
    last_applied: int
    last_log_index: int
    revision: int
    keys: int
    members: dict[int, str]
    match_index: dict[int, int]
    """Per node, what the leader knows to be on its disk; empty on other nodes."""
    leader_ms: float | None
    """For how long this node has known its leader; None if it knows none."""
    is_voter: bool
    """False for a node that rejoined and was not admitted yet."""
    damaged_entries: int
    """Of the log; they are asked for at the other nodes."""
    room_bytes: int
    """Left on the disk, or in the maps of the stores if that is less."""
    waits_for_room: int
    """Index of the committed entry that cannot be applied until there is room; 0 for none."""
    sync_last_ms: float | None
    """How long the last write to the log took; None before the first."""
    sync_p99_ms: float | None
    is_short_of_room: bool
    """Too little is left for clients' writes: this node, as a leader, would refuse them."""
    links: dict[int, str]
    """Per peer, why this node has no link to it; "" if it has one."""
    heard_from: tuple[int, ...]
    """The peers that have a link to this node."""
    refused: dict[int, str]
    """Per peer whose directory this node refused when it came last, why it did."""
    version: str
    """Of the program."""


class HandOverResult(_Struct, frozen=True, tag="handover"):
    """Who leads now, and since which term."""

    leader_id: int
    term: int


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
    STALE = "STALE"
    """The node's term is below the request's `min_term`."""
    NO_SESSION = "NOSESSION"
    """The session is unknown or expired; of an earlier copy of the request it says nothing."""
    TAKEN = "TAKEN"
    """Another write came under this number of the session (then it is final: no copy was, or
    will be, carried out) or under a later one (then it says nothing of an earlier copy)."""
    UNKNOWN = "UNKNOWN"


class Failure(_Struct, frozen=True, tag="failure"):
    """The request was not carried out, or (UNKNOWN) nobody can tell whether it was.

    * `leader`: `host:port` of the leader, for NOT_LEADER.
    * `is_final`: the state machine refused the write itself, so this is its one answer,
      also under a session; other refusals speak for one copy of a request alone.
    """

    code: FailureCode
    message: str
    leader: str | None = None
    is_final: bool = False


Result: TypeAlias = (
    PutResult
    | DeleteResult
    | IncrementResult
    | GuardFailed
    | SessionResult
    | PutRepeated
    | GetResult
    | ScanResult
    | CountResult
    | StatusResult
    | HandOverResult
    | Failure
)


class Reply(_Struct, frozen=True):
    """What a typed client gets, failures included.

    * `node_id`, `term`: who answers, and the term that it has on its disk.
    * `revision`: how far the node's data has come.
    """

    cluster_id: str
    node_id: int
    term: int
    revision: int
    result: Result
