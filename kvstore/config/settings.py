"""The settings of a node, frozen, made from what was given and checked as a whole.

Law: they are checked once, here, however they were made. This module must not know sockets,
directories or processes, nor where a text was given: that is for `sources`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from kvstore.address import Address, parse_bind, parse_host
from kvstore.config.limits import (
    CHECK_EVERY_MS,
    LOG_KEPT_BYTES,
    MAP_BYTES,
    MEMBERS_MAX,
    VALUE_BYTES_CEILING,
    Limits,
)
from kvstore.config.members import Made, identified
from kvstore.config.sources import gather
from kvstore.config.values import (
    parse_check_every,
    parse_cluster,
    parse_kept_bytes,
    parse_log_format,
    parse_map_bytes,
    parse_nodes,
    parse_range_ms,
    parse_time_ms,
    parse_value_bytes,
    read,
)
from kvstore.errors import ConfigError
from kvstore.raft.types import RaftSettings

_DAILY: Final[int | None] = CHECK_EVERY_MS
_NOBODY: Final[tuple[Address, ...]] = ()
_ROOM_PER_KEPT: Final = 4
"""A log's file comes to more than what is kept of it: until the next checkpoint, and while somebody
is sent the log or a snapshot."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `kvstore serve` needs to know."""

    node_id: int
    members: Mapping[int, Address]
    """The founders of a new cluster, this node too: none for a node that joins one, or whose
    directory has been made, as that knows the members."""
    reached_at: Address | None = None
    """Where the others reach this node, if the founders do not say so."""
    join: tuple[Address, ...] = ()
    """Nodes of a cluster that a node without a directory is to join."""
    joined_at: int | None = None
    """By the configuration of which entry it found itself to be a member then."""
    bind: Address | None = None
    """Where this node listens, if that is not where the others reach it (NAT, containers)."""
    cluster_id: str
    data_dir: Path
    raft: RaftSettings = RaftSettings()
    limits: Limits = Limits()
    request_timeout_ms: int = 4_000
    """After this a waiting write is answered `outcome unknown`, a waiting read refused; a read
    that waits for memory for its reply has the same time once more."""
    checkpoint_interval_ms: int = 500
    """How often the applied key space is made durable."""
    peer_retry_max_ms: int = 200
    """Longest pause between dials: a node that is back must hear its leader before it stands."""
    log_map_bytes: int = MAP_BYTES
    """How far the log may grow: address space, the file grows as it is needed."""
    state_map_bytes: int = MAP_BYTES
    log_kept_bytes: int = LOG_KEPT_BYTES
    """How much of the log stays that is applied and durable: for followers that lag a little."""
    check_every_ms: int | None = CHECK_EVERY_MS
    """How often the leader has the data of all nodes compared; None for never."""
    log_format: str = "text"

    @property
    def address(self) -> Address:
        """Where the others reach this node."""
        return self.reached_at or self.members[self.node_id]

    @property
    def listens_at(self) -> Address:
        """What this node binds."""
        return self.bind or self.address


def _nothing(_directory: Path) -> None:
    """For who makes settings of no directory."""


def settings_from(
    options: Mapping[str, str | None],
    environ: Mapping[str, str],
    find: Callable[[Path], Made | None] = _nothing,
) -> Settings:
    """Build checked settings: `options` win over KVSTORE_* variables, those over the file.

    `options` holds the command line under the long options' names with
    underscores; None means not given. The file is the `config` option's or
    KVSTORE_CONFIG's. `find` looks whether a directory has been made, and whose it is then.
    Raises ConfigError.
    """
    given = gather(options, environ)
    log_map_bytes = read(given, "log_map_bytes", parse_map_bytes, MAP_BYTES)
    limits = Limits.for_values(read(given, "value_bytes_max", parse_value_bytes, 1 << 20))
    kept_bytes = min(LOG_KEPT_BYTES, _kept_bytes_max(log_map_bytes, limits))
    who = identified(given, read(given, "host", parse_host, "127.0.0.1"), find)
    cluster_id = who.made.cluster_id if who.made else default_cluster_id(who.founders)
    election_min_ms, election_max_ms = read(given, "election_ms", parse_range_ms, (500, 1_000))
    settings = Settings(
        node_id=who.node_id,
        members=who.founders,
        reached_at=None if who.founders else who.address,
        join=_NOBODY if who.made else read(given, "join", parse_nodes, _NOBODY),
        bind=read(given, "bind", partial(parse_bind, port=who.address.port), None),
        cluster_id=read(given, "cluster", parse_cluster, cluster_id),
        data_dir=who.data_dir,
        raft=RaftSettings(
            heartbeat_interval_ms=read(given, "heartbeat_ms", parse_time_ms, 100),
            election_timeout_min_ms=election_min_ms,
            election_timeout_max_ms=election_max_ms,
        ),
        limits=limits,
        request_timeout_ms=read(given, "request_timeout_ms", parse_time_ms, 4_000),
        log_map_bytes=log_map_bytes,
        log_kept_bytes=read(given, "log_kept_bytes", parse_kept_bytes, kept_bytes),
        state_map_bytes=read(given, "state_map_bytes", parse_map_bytes, MAP_BYTES),
        check_every_ms=read(given, "check_every", parse_check_every, _DAILY),
        log_format=read(given, "log_format", parse_log_format, "text"),
    )
    check(settings)
    return settings


class ClusterSettings(msgspec.Struct, frozen=True):
    """What settings say of the nodes; `reached_here_at`: this node, from its own machine.

    * `members`: those of whom they say which they are; `others`: of whom they do not.
    """

    node_id: int
    members: Mapping[int, Address]
    others: tuple[Address, ...]
    reached_here_at: Address


def cluster_from(
    options: Mapping[str, str | None], environ: Mapping[str, str]
) -> ClusterSettings | None:
    """The nodes that the settings of `serve` name, None if they name none. Raises ConfigError."""
    given = gather(options, environ)
    if not given.keys() & {"id", "port", "peers"}:
        return None
    who = identified(given, read(given, "host", parse_host, "127.0.0.1"), _nothing)
    others = _NOBODY if who.founders else read(given, "join", parse_nodes, _NOBODY)
    address = who.address
    bound = read(given, "bind", partial(parse_bind, port=address.port), address)
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is asked there, not bound
    here = Address(loopback.get(bound.host, bound.host), bound.port)
    return ClusterSettings(who.node_id, who.founders or {who.node_id: address}, others, here)


def default_cluster_id(members: Mapping[int, Address]) -> str:
    """A name that differs when the member lists differ, so that a mix-up is noticed; none where
    there is no list, as the cluster has a name already.
    """
    if not members:
        return ""
    text = ",".join(f"{node_id}={members[node_id]}" for node_id in sorted(members))
    return f"kvstore-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check(settings: Settings) -> None:
    """Raise ConfigError unless the settings hold together, however they were made."""
    if not settings.members and settings.reached_at is None:
        raise ConfigError("without a list of members, this node's own address must be told")
    if len(settings.members) > MEMBERS_MAX:
        raise ConfigError(
            f"a cluster has 1 to {MEMBERS_MAX} nodes, not {len(settings.members)}: correct --peers"
        )
    if settings.members and settings.node_id not in settings.members:
        raise ConfigError(f"node {settings.node_id} is not among the members of its cluster")
    if len(set(settings.members.values())) != len(settings.members):
        raise ConfigError("two nodes have the same address: give each its own in --peers")
    kept_bytes_max = _kept_bytes_max(settings.log_map_bytes, settings.limits)
    if settings.log_kept_bytes > kept_bytes_max:
        raise ConfigError(
            f"of a log whose map has {settings.log_map_bytes} bytes, no more than {kept_bytes_max}"
            f" can be kept, not {settings.log_kept_bytes}: correct --log-kept-bytes, or raise"
            " --log-map-bytes"
        )
    raft = settings.raft
    if raft.election_timeout_min_ms <= raft.heartbeat_interval_ms:
        raise ConfigError(
            f"the shortest election timeout ({raft.election_timeout_min_ms} ms) must be longer "
            f"than the heartbeat interval ({raft.heartbeat_interval_ms} ms), best five times: "
            "correct --election-ms or --heartbeat-ms"
        )
    if raft.election_timeout_max_ms < raft.election_timeout_min_ms:
        raise ConfigError(
            f"--election-ms {raft.election_timeout_min_ms}-{raft.election_timeout_max_ms} "
            "is backwards: say the shorter time first"
        )
    for part in (settings, raft, settings.limits):
        _check_positive(part)
    if settings.limits.value_bytes_max > VALUE_BYTES_CEILING:
        raise ConfigError(f"value_bytes_max must not be above {VALUE_BYTES_CEILING} bytes")


def _kept_bytes_max(log_map_bytes: int, limits: Limits) -> int:
    """A part of what writes of clients may use of the map."""
    return (log_map_bytes - limits.headroom_bytes) // _ROOM_PER_KEPT


def _check_positive(part: msgspec.Struct) -> None:
    for name in part.__struct_fields__:
        value = getattr(part, name)
        lowest = 0 if name == "joined_at" else 1
        if isinstance(value, int) and not isinstance(value, bool) and value < lowest:
            raise ConfigError(f"{name} must be positive, not {value}")
