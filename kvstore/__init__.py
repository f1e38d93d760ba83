"""kvstore: a strongly consistent, replicated, persistent key-value store.

    import kvstore

    with kvstore.Client(["127.0.0.1:9001", "127.0.0.1:9002"]) as client:
        client.put("greeting", "hello")
        record = client.get("greeting")

Law: importing this package loads nothing. `Client`, the results and the errors are loaded when
first used, because every module of the package passes through here, and the program's first
moment, in which no signal is heard yet, is as long as that takes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # Of `typing`, which takes longer to load than all of this.

if TYPE_CHECKING:
    from typing import Any

    __version__: str

    from kvstore.api import (
        ChangeResult,
        CheckResult,
        CountResult,
        DeleteResult,
        GetResult,
        GrantResult,
        HandOverResult,
        HistoryResult,
        IncrementResult,
        KeptResult,
        KeyValue,
        LeasesResult,
        Member,
        MemberRole,
        MembersResult,
        PutResult,
        RangeResult,
        Repeated,
        RevokeResult,
        ScanResult,
        SessionResult,
        StatusResult,
        TimeToLiveResult,
        TxnResult,
        Version,
    )
    from kvstore.client.blocking import Client
    from kvstore.client.transactions import key, keys
    from kvstore.errors import (
        CompactedError,
        ConfigError,
        GuardFailedError,
        KvstoreError,
        NotLeaderError,
        OutcomeUnknownError,
        ProtocolError,
        RefusedError,
        RequestError,
        TransactionFailedError,
        UnreachableError,
    )

__all__ = [
    "ChangeResult",
    "CheckResult",
    "Client",
    "CompactedError",
    "ConfigError",
    "CountResult",
    "DeleteResult",
    "GetResult",
    "GrantResult",
    "GuardFailedError",
    "HandOverResult",
    "HistoryResult",
    "IncrementResult",
    "KeptResult",
    "KeyValue",
    "KvstoreError",
    "LeasesResult",
    "Member",
    "MemberRole",
    "MembersResult",
    "NotLeaderError",
    "OutcomeUnknownError",
    "ProtocolError",
    "PutResult",
    "RangeResult",
    "RefusedError",
    "Repeated",
    "RequestError",
    "RevokeResult",
    "ScanResult",
    "SessionResult",
    "StatusResult",
    "TimeToLiveResult",
    "TransactionFailedError",
    "TxnResult",
    "UnreachableError",
    "Version",
    "key",
    "keys",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        return importlib.import_module("kvstore.version").version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_home_of(name)), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _home_of(name: str) -> str:
    """Where a name is defined that is not loaded yet: the client, the errors, or the contract."""
    if name == "Client":
        return "kvstore.client.blocking"
    if name in ("key", "keys"):
        return "kvstore.client.transactions"
    return "kvstore.errors" if name.endswith("Error") else "kvstore.api"
