"""The one contract: typed requests and results that every protocol and the state machine share.

Law: a command is a value. It says everything that applying it needs (no clock,
no chance, no node), because each replica applies the same bytes and must reach
the same result. A command travels and rests as the msgpack of its struct.

This part must not know how requests arrive, where data rests, or who leads. It is one contract,
read as a whole, so its names are handed on from here: `from kvstore import api`, `api.Put`.
"""

from kvstore.api.backups import (
    BackupPiece,
    FetchBackup,
)
from kvstore.api.base import (
    INTEGER_MAX,
    INTEGER_MIN,
    KEY_BYTES_MAX,
    KEYS_MAX,
    REVISION_MAX,
    Guard,
    parse_integer,
)
from kvstore.api.calls import (
    Call,
    Reply,
)
from kvstore.api.data import (
    Count,
    CountResult,
    Delete,
    DeleteResult,
    Get,
    GetResult,
    GuardFailed,
    Increment,
    IncrementResult,
    KeyValue,
    Put,
    PutMany,
    PutRepeated,
    PutResult,
    Scan,
    ScanResult,
    When,
)
from kvstore.api.failures import (
    Failure,
    FailureCode,
)
from kvstore.api.nodes import (
    HandOver,
    HandOverResult,
    Status,
    StatusResult,
    Transfer,
)
from kvstore.api.registry import (
    COMMAND_ROW_OF,
    COMMANDS,
    QUERIES,
    QUERY_ROW_OF,
    REQUESTS,
    RESULTS,
    ROW_OF,
    ROWS,
    Command,
    NodeQuery,
    Query,
    Request,
    Result,
    answers_to,
    complaint_about,
    since_of,
)
from kvstore.api.row import (
    CommandRow,
    Extent,
)
from kvstore.api.sessions import (
    Once,
    OpenSession,
    SessionResult,
    SessionRules,
)
from kvstore.api.stamped import (
    Logged,
    Stamped,
)
from kvstore.api.writes import (
    WRITE_ROWS,
    WRITES,
    Write,
)

__all__ = [
    "COMMANDS",
    "COMMAND_ROW_OF",
    "INTEGER_MAX",
    "INTEGER_MIN",
    "KEYS_MAX",
    "KEY_BYTES_MAX",
    "QUERIES",
    "QUERY_ROW_OF",
    "REQUESTS",
    "RESULTS",
    "REVISION_MAX",
    "ROWS",
    "ROW_OF",
    "WRITES",
    "WRITE_ROWS",
    "BackupPiece",
    "Call",
    "Command",
    "CommandRow",
    "Count",
    "CountResult",
    "Delete",
    "DeleteResult",
    "Extent",
    "Failure",
    "FailureCode",
    "FetchBackup",
    "Get",
    "GetResult",
    "Guard",
    "GuardFailed",
    "HandOver",
    "HandOverResult",
    "Increment",
    "IncrementResult",
    "KeyValue",
    "Logged",
    "NodeQuery",
    "Once",
    "OpenSession",
    "Put",
    "PutMany",
    "PutRepeated",
    "PutResult",
    "Query",
    "Reply",
    "Request",
    "Result",
    "Scan",
    "ScanResult",
    "SessionResult",
    "SessionRules",
    "Stamped",
    "Status",
    "StatusResult",
    "Transfer",
    "When",
    "Write",
    "answers_to",
    "complaint_about",
    "parse_integer",
    "since_of",
]
