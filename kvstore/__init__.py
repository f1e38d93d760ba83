"""kvstore: a strongly consistent, replicated, persistent key-value store.

    import kvstore

    with kvstore.Client(["127.0.0.1:9001", "127.0.0.1:9002"]) as client:
        client.put("greeting", "hello")
        record = client.get("greeting")

Law: importing this package stays light. `Client` and what it needs are loaded when
first used, because every module of the package passes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvstore.errors import (
    ConfigError,
    GuardFailedError,
    KvstoreError,
    NotLeaderError,
    OutcomeUnknownError,
    ProtocolError,
    RefusedError,
    RequestError,
    UnreachableError,
)

if TYPE_CHECKING:
    from kvstore.client import Client

__all__ = [
    "Client",
    "ConfigError",
    "GuardFailedError",
    "KvstoreError",
    "NotLeaderError",
    "OutcomeUnknownError",
    "ProtocolError",
    "RefusedError",
    "RequestError",
    "UnreachableError",
]


def __getattr__(name: str) -> Any:
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kvstore.client import Client

    return Client
