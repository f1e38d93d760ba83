"""Frozen settings and every limit, with the rules by which text becomes settings.

Law: everything that bounds a size, a count or a time stands here, with its unit
last in its name. What comes from a command line, an environment variable or a
file is checked here, once, and refused with a `ConfigError` that says how to mend it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvstore.raft.types import RaftSettings


class Address(msgspec.Struct, frozen=True):
    """Where a node listens, and what it tells others."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what one peer or client may cost."""

    value_bytes_max: int = 1 << 20
    request_bytes_max: int = 64 << 20
    """One whole request, and what a connection may have buffered before it is complete."""
    request_arguments_max: int = 65_536
    connections_max: int = 4_096
    pipeline_requests_max: int = 4_096
    """Unanswered requests of one connection; further bytes wait unread."""
    output_bytes_max: int = 64 << 20
    """Unsent replies of one connection; one that does not read is closed beyond it."""
    peer_output_bytes_max: int = 64 << 20
    """Unsent messages to one peer; further ones are dropped, as a network may."""
    pending_writes_max: int = 65_536
    """Writes of all clients that wait for a majority; further ones get BUSY."""
    scan_keys_max: int = 10_000
    scan_cursors_max: int = 1_024
    """SCAN positions remembered for all clients; the oldest is forgotten first."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `kvstore serve` needs to know."""

    node_id: int
    members: dict[int, Address]
    """All nodes of the cluster, this one included."""
    cluster_id: str
    data_dir: Path
    raft: RaftSettings = RaftSettings()
    limits: Limits = Limits()
    request_timeout_ms: int = 5_000
    """After this a waiting write is answered `outcome unknown`, a waiting read refused."""
    checkpoint_interval_ms: int = 100
    """How often the applied key space is made durable."""
    peer_retry_max_ms: int = 1_000
    """Longest pause between attempts to reach a peer."""
    log_map_bytes: int = 16 << 30
    state_map_bytes: int = 16 << 30
    log_format: str = "text"

    @property
    def address(self) -> Address:
        """Where this node listens."""
        return self.members[self.node_id]
