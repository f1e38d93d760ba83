"""The rows of all requests, and what follows from them: which there are, and what each is held to.

Law: whatever is a list of requests is made from the rows. To the type checker, `Request` and
its like are what all of a kind have in common; to msgspec, one of those that have a row.

It must not know who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from kvstore.api import base
from kvstore.api.backups import BackupPiece, FetchBackup
from kvstore.api.base import NODE_ID_MAX, REVISION_MAX, union
from kvstore.api.checks import check_guard, check_key, check_keys
from kvstore.api.data import (
    Count,
    CountResult,
    Get,
    GetResult,
    GuardFailed,
    Repeated,
    Scan,
    ScanResult,
)
from kvstore.api.failures import Failure
from kvstore.api.glob import PATTERN_BYTES_MAX
from kvstore.api.leases import (
    INTERNAL_ROWS,
    LEASE_NODE_ROWS,
    LEASE_QUERY_ROWS,
    KeepAlive,
)
from kvstore.api.members import (
    ADDRESS_CHARACTERS_MAX,
    AddMember,
    Change,
    ChangeResult,
    Members,
    MembersResult,
    MoveMember,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
)
from kvstore.api.nodes import (
    CheckReplicas,
    CheckResult,
    HandOver,
    HandOverResult,
    Status,
    StatusResult,
)
from kvstore.api.ranges import RANGE_ROWS
from kvstore.api.row import KEY_STEPS, PLACE_BYTES, Bounds, CommandRow, Extent, QueryRow, Row
from kvstore.api.sessions import Once, OpenSession, SessionResult
from kvstore.api.watches import WATCH_ROWS, WatchEvents, WatchRequest
from kvstore.api.writes import WRITE_ROWS, WRITES, Write

_KEY_BYTES: Final = 56
"""What a key takes in memory beside its text."""
_SCAN_STEPS: Final = 6_000
"""As the state machine counts them: of a whole page, but for the record that ends it."""
_HEAD_BYTES: Final = 34
"""What a record has beside its value."""


# --- Sessions -----------------------------------------------------------------------------


def _check_once(once: Once, bounds: Bounds) -> str | None:
    for what, number in (("session", once.session), ("sequence", once.sequence)):
        if not 1 <= number <= REVISION_MAX:
            return f"a {what} is numbered 1 to {REVISION_MAX}, not {number}"
    return complaint_about(once.write, bounds)


SESSION_ROWS: Final = (
    CommandRow(
        request=OpenSession,
        result=SessionResult,
        extent=lambda _open: Extent(),
        changes_sessions=True,
        needs_time=True,
    ),
    CommandRow(
        request=Once,
        result=None,
        check=_check_once,
        place_bytes=lambda once, bounds: ROW_OF[type(once.write)].place_bytes(once.write, bounds),
        extent=lambda once: COMMAND_ROW_OF[type(once.write)].extent(once.write),
        changes_sessions=True,
        needs_time=True,
    ),
)


# --- Queries ------------------------------------------------------------------------------


def _place_of_get(get: Get, _bounds: Bounds) -> int:
    if len(get.keys) > 1:
        return PLACE_BYTES + sum(map(len, get.keys)) + len(get.keys) * _KEY_BYTES
    return PLACE_BYTES


def _steps_of_get(get: Get, bounds: Bounds) -> int:
    keys = len(get.keys)
    # The value that is one too many is read as well.
    values_bytes = min(
        keys * bounds.value_bytes_max, bounds.reply_bytes_max + bounds.value_bytes_max
    )
    return KEY_STEPS * (1 + keys) + ((values_bytes + keys * _HEAD_BYTES) >> 10)


def _check_scan(scan: Scan, bounds: Bounds) -> str | None:
    if not 1 <= scan.limit <= bounds.scan_keys_max:
        return f"a scan takes 1 to {bounds.scan_keys_max} keys at once, not {scan.limit}"
    if scan.pattern is not None and len(scan.pattern) > PATTERN_BYTES_MAX:
        return f"a pattern has {len(scan.pattern)} bytes, the limit is {PATTERN_BYTES_MAX}"
    return check_key(scan.prefix) or check_key(scan.start or b"")


def _steps_of_scan(_scan: Scan, bounds: Bounds) -> int:
    return _SCAN_STEPS + ((bounds.value_bytes_max + _HEAD_BYTES) >> 10)


QUERY_ROWS: Final = (
    QueryRow(
        request=Get,
        result=GetResult,
        check=check_keys,
        place_bytes=_place_of_get,
        steps_max=_steps_of_get,
    ),
    QueryRow(request=Scan, result=ScanResult, check=_check_scan, steps_max=_steps_of_scan),
    QueryRow(request=Count, result=CountResult),
    *LEASE_QUERY_ROWS,
    *RANGE_ROWS,
)


# --- Nodes --------------------------------------------------------------------------------


def _check_id(node_id: int) -> str | None:
    if not 1 <= node_id <= NODE_ID_MAX:
        return f"a node's id is 1 to {NODE_ID_MAX}, not {node_id}"
    return None


def _check_hand_over(request: HandOver, _bounds: Bounds) -> str | None:
    if request.heir is not None and (complaint := _check_id(request.heir)):
        return complaint
    if not 0 <= request.term <= REVISION_MAX:
        return f"a term is 0 to {REVISION_MAX}, not {request.term}"
    return None


def _check_of_replicas(request: CheckReplicas, _bounds: Bounds) -> str | None:
    if not 0 <= request.since <= REVISION_MAX:
        return f"the index of an entry is 0 to {REVISION_MAX}, not {request.since}"
    return None


def _check_backup(request: FetchBackup, _bounds: Bounds) -> str | None:
    for what, number in (("backup", request.backup), ("offset", request.offset)):
        if not 0 <= number <= REVISION_MAX:
            return f"the {what} is 0 to {REVISION_MAX}, not {number}"
    if request.offset and not request.backup:
        return "a backup begins at offset 0"
    return None


def _check_change(change: Change, _bounds: Bounds) -> str | None:
    if change.after is not None and not 0 <= change.after <= REVISION_MAX:
        return f"the index of a configuration is 0 to {REVISION_MAX}, not {change.after}"
    return _check_id(change.node_id)


def _check_change_of_place(
    change: AddMember | MoveMember | ReplaceMember, bounds: Bounds
) -> str | None:
    """Whether the address is one is for who knows addresses."""
    if not 1 <= len(change.address) <= ADDRESS_CHARACTERS_MAX:
        return f"an address has 1 to {ADDRESS_CHARACTERS_MAX} characters, not {len(change.address)}"
    return _check_change(change, bounds)


NODE_ROWS: Final = (
    Row(request=Status, result=StatusResult),
    Row(request=FetchBackup, result=BackupPiece, check=_check_backup),
    Row(request=HandOver, result=HandOverResult, check=_check_hand_over),
    Row(request=CheckReplicas, result=CheckResult, check=_check_of_replicas),
    Row(request=Members, result=MembersResult),
    Row(request=AddMember, result=ChangeResult, check=_check_change_of_place),
    Row(request=PromoteMember, result=ChangeResult, check=_check_change),
    Row(request=RemoveMember, result=ChangeResult, check=_check_change),
    Row(request=MoveMember, result=ChangeResult, check=_check_change_of_place),
    Row(request=ReplaceMember, result=ChangeResult, check=_check_change_of_place),
    *LEASE_NODE_ROWS,
)
"""What a node answers by itself."""


# --- All of them --------------------------------------------------------------------------

COMMAND_ROWS: Final[tuple[CommandRow, ...]] = (*WRITE_ROWS, *SESSION_ROWS)
ROWS: Final = (*COMMAND_ROWS, *QUERY_ROWS, *NODE_ROWS, *WATCH_ROWS)
ROW_OF: Final[dict[type, Row]] = {row.request: row for row in ROWS}
COMMAND_ROW_OF: Final[dict[type, CommandRow]] = {
    row.request: row for row in (*COMMAND_ROWS, *INTERNAL_ROWS)
}
QUERY_ROW_OF: Final[dict[type, QueryRow]] = {row.request: row for row in QUERY_ROWS}

REQUESTS: Final[tuple[type, ...]] = tuple(row.request for row in ROWS)
RESULTS: Final[tuple[type, ...]] = tuple(
    dict.fromkeys(
        [
            *(row.result for row in ROWS if row.result is not None),
            *(GuardFailed, Repeated, WatchEvents, Failure),
        ]
    )
)
"""What requests are answered, what may be the answer instead, and what is told without a request
of its own."""

if TYPE_CHECKING:
    QUERIES: Final = (base.Query,)
    Query: TypeAlias = base.Query
    COMMANDS: Final = (*WRITES, OpenSession, Once)
    Command: TypeAlias = Write | OpenSession | Once
    NodeQuery: TypeAlias = Status | FetchBackup
    Request: TypeAlias = (
        Command
        | Query
        | NodeQuery
        | HandOver
        | CheckReplicas
        | Members
        | Change
        | WatchRequest
        | KeepAlive
    )
    Result: TypeAlias = base.Result
else:
    QUERIES = tuple(row.request for row in QUERY_ROWS)
    COMMANDS = tuple(row.request for row in COMMAND_ROWS)
    NodeQuery = Status | FetchBackup
    Query, Command, Request, Result = map(union, (QUERIES, COMMANDS, REQUESTS, RESULTS))


def complaint_about(request: Request, bounds: Bounds) -> str | None:
    """Why the request is refused, None if it is within every limit."""
    complaint = None
    if isinstance(request, WRITES) and request.guard is not None:
        complaint = check_guard(request.guard)
    return complaint or ROW_OF[type(request)].check(request, bounds)


def since_of(command: Command) -> int:
    """Which version the cluster must have before its log may hold this."""
    since = COMMAND_ROW_OF[type(command)].since
    return max(since, since_of(command.write)) if isinstance(command, Once) else since


def answers_to(request: Request) -> tuple[type[Result], ...]:
    """The results that answer a request, failures aside."""
    if isinstance(request, Once):
        return (Repeated, *answers_to(request.write))
    result = ROW_OF[type(request)].result
    assert result is not None
    return (GuardFailed, result) if isinstance(request, WRITES) else (result,)
