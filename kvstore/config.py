"""Frozen settings and every limit, with the rules by which text becomes settings.

Law: everything that bounds a size, a count or a time stands here, with its unit
last in its name. What comes from a command line, an environment variable or a
file is checked here, once, and refused with a `ConfigError` that says how to mend it.

This module must not know sockets, directories or processes, nor where a text was given:
that is for `sources`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kvstore.address import (
    BASE_PORT,
    LOCAL_CLUSTER,
    LOCAL_PORTS,
    PORT_MAX,
    Address,
    items_of,
    parse_address,
    parse_bind,
    parse_host,
    parse_int,
    parse_port,
    quoted,
)
from kvstore.api import KEYS_MAX
from kvstore.errors import ConfigError
from kvstore.raft.types import RaftSettings
from kvstore.sources import LOG_FORMATS, Given, gather

MEMBERS_MAX: Final = 7
NODE_ID_MAX: Final = 65_535
VALUE_BYTES_CEILING: Final = 4 << 20
"""The most that `Limits.value_bytes_max` may be raised to.

A conditional write carries two, and no turn that handles them may be long enough to cost
an election; `tests/process/test_values.py` holds it to that.
"""
TIME_MS_CEILING: Final = 3_600_000
"""The longest time that any setting may ask for: one hour."""

_YES: Final = ("yes", "true", "on", "1")
_NO: Final = ("no", "false", "off", "0")
MAP_BYTES_FLOOR: Final = 24 << 20
"""The smallest map: in less, nothing could be written beside what is kept free."""
MAP_BYTES_CEILING: Final = 32 << 40
"""The largest map: two of them, and all else, fit into the 128 TiB of a process on x86-64."""
_MAP_BYTES: Final = 64 << 30
_UNITS: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_REQUEST_MARGIN_BYTES: Final = 1 << 20
_T = TypeVar("_T")


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what one peer or client may cost."""

    value_bytes_max: int = 1 << 20
    """A value, and the pairs of one MSET together."""
    request_bytes_max: int = 8 << 20
    """One whole request of a client; a longer one is read to its end and refused."""
    request_keys_max: int = KEYS_MAX
    """Keys that one request reads or writes."""
    request_arguments_max: int = 1 + 2 * KEYS_MAX
    """Arguments of one request, its name included."""
    connections_max: int = 4_096
    """Of clients; fewer, where the system allows this process fewer descriptors."""
    newcomers_max: int = 32
    """Connections beyond that, which may turn out to be peers if they say so within 2 s."""
    pipeline_requests_max: int = 4_096
    """Unanswered requests of one connection; further bytes wait unread."""
    turn_steps_max: int = 20_000
    """Work for all clients in one turn, in steps of about a microsecond (`server/load.py`);
    what is more waits for the next turn, that of peers comes before."""
    slice_steps_max: int = 1_000
    """The same for one connection, before others have theirs."""
    pinned_steps_max: int = 20_000
    """Work for reads before which no further entry may be applied."""
    clients_input_bytes_max: int = 32 << 20
    """Unfinished requests of all clients; beyond it each may hold 8 KiB, and who sends a
    longer one gets BUSY."""
    clients_output_bytes_max: int = 128 << 20
    """Unsent replies of all clients, and places of those to come. One connection may hold an
    eighth of what is free; then its requests wait, and its reads too: as long as the client
    has something to read, otherwise for `request_timeout_ms`."""
    peer_message_bytes_max: int = 32 << 20
    """One message of a peer."""
    peer_backlog_bytes_max: int = 2 << 20
    """Unsent messages to one peer with which it gets no further entries, only heartbeats."""
    peer_output_bytes_max: int = 32 << 20
    """Unsent messages to one peer; further ones are dropped, as a network may."""
    apply_steps_per_turn_max: int = 10_000
    """Work of applying in one turn: a long replay must not keep a node from its peers."""
    pending_writes_max: int = 65_536
    """Entries of the log that wait for a majority; further writes get BUSY."""
    pending_bytes_max: int = 128 << 20
    """Recent entries that the log keeps in memory; beyond it, writes get BUSY too."""
    headroom_bytes: int = 16 << 20
    """Room on disk or in a map that clients' writes leave, or get NOSPACE; followers leave half."""
    reply_bytes_max: int = 16 << 20
    """Values read for one reply; a scan ends its page there, a larger MGET or EXISTS is refused."""
    scan_keys_max: int = 10_000
    """Keys of one page of a scan."""
    scan_cursors_max: int = 8_192
    """SCAN positions remembered for all clients; who has most of them loses one first."""

    @classmethod
    def for_values(cls, value_bytes_max: int) -> Limits:
        """The default limits, raised where they would not let a value that long through.

        A conditional put carries two values, and its reply or the message that
        replicates it must fit into the buffers too.
        """
        frame_bytes = 2 * value_bytes_max + _REQUEST_MARGIN_BYTES
        default = cls()
        return cls(
            value_bytes_max=value_bytes_max,
            request_bytes_max=max(default.request_bytes_max, frame_bytes),
            reply_bytes_max=max(default.reply_bytes_max, value_bytes_max),
            clients_input_bytes_max=max(default.clients_input_bytes_max, 2 * frame_bytes),
            clients_output_bytes_max=max(default.clients_output_bytes_max, 2 * frame_bytes),
            peer_message_bytes_max=max(default.peer_message_bytes_max, frame_bytes),
            peer_output_bytes_max=max(default.peer_output_bytes_max, frame_bytes),
        )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `kvstore serve` needs to know."""

    node_id: int
    members: dict[int, Address]
    """All nodes of the cluster, this one included."""
    bind: Address | None = None
    """Where this node listens, if that is not where the others reach it (NAT, containers)."""
    cluster_id: str
    data_dir: Path
    rejoins: bool = False
    """The node had another directory before: a new one must be admitted before it votes."""
    raft: RaftSettings = RaftSettings()
    limits: Limits = Limits()
    request_timeout_ms: int = 4_000
    """After this a waiting write is answered `outcome unknown`, a waiting read refused; a read
    that waits for room for its reply has the same time once more."""
    checkpoint_interval_ms: int = 500
    """How often the applied key space is made durable."""
    peer_retry_max_ms: int = 200
    """Longest pause between dials: a node that is back must hear its leader before it stands."""
    log_map_bytes: int = _MAP_BYTES
    """How far the log may grow: address space, the file grows as it is needed."""
    state_map_bytes: int = _MAP_BYTES
    log_format: str = "text"

    @property
    def address(self) -> Address:
        """Where the others reach this node."""
        return self.members[self.node_id]

    @property
    def listens_at(self) -> Address:
        """What this node binds."""
        return self.bind or self.address


# --- From text to Settings ----------------------------------------------------------------


def settings_from(options: Mapping[str, str | None], environ: Mapping[str, str]) -> Settings:
    """Build checked settings: `options` win over KVSTORE_* variables, those over the file.

    `options` holds the command line under the long options' names with
    underscores; None means not given. The file is the `config` option's or
    KVSTORE_CONFIG's. Raises ConfigError.
    """
    given = gather(options, environ)
    host = _read(given, "host", parse_host, "127.0.0.1")
    node_id, members = _membership(given, host)
    election_min_ms, election_max_ms = _read(given, "election_ms", _parse_range_ms, (500, 1_000))
    settings = Settings(
        node_id=node_id,
        members=members,
        bind=_read(given, "bind", partial(parse_bind, port=members[node_id].port), None),
        cluster_id=_read(given, "cluster", _parse_cluster, default_cluster_id(members)),
        data_dir=_read(given, "data", _parse_path, Path("data") / f"n{node_id}"),
        rejoins=_read(given, "rejoin", _parse_yes_or_no, False),
        raft=RaftSettings(
            heartbeat_interval_ms=_read(given, "heartbeat_ms", _parse_time_ms, 100),
            election_timeout_min_ms=election_min_ms,
            election_timeout_max_ms=election_max_ms,
        ),
        limits=Limits.for_values(_read(given, "value_bytes_max", _parse_value_bytes, 1 << 20)),
        request_timeout_ms=_read(given, "request_timeout_ms", _parse_time_ms, 4_000),
        log_map_bytes=_read(given, "log_map_bytes", _parse_map_bytes, _MAP_BYTES),
        state_map_bytes=_read(given, "state_map_bytes", _parse_map_bytes, _MAP_BYTES),
        log_format=_read(given, "log_format", _parse_log_format, "text"),
    )
    check(settings)
    return settings


class ClusterSettings(msgspec.Struct, frozen=True):
    """What settings say of the nodes; `reached_here_at`: this node, from its own machine."""

    node_id: int
    members: dict[int, Address]
    reached_here_at: Address


def cluster_from(
    options: Mapping[str, str | None], environ: Mapping[str, str]
) -> ClusterSettings | None:
    """The nodes that the settings of `serve` name, None if they name none. Raises ConfigError."""
    given = gather(options, environ)
    if not given.keys() & {"id", "port", "peers"}:
        return None
    node_id, members = _membership(given, _read(given, "host", parse_host, "127.0.0.1"))
    address = members[node_id]
    bound = _read(given, "bind", partial(parse_bind, port=address.port), address)
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is asked there, not bound
    here = Address(loopback.get(bound.host, bound.host), bound.port)
    return ClusterSettings(node_id, members, here)


def default_cluster_id(members: Mapping[int, Address]) -> str:
    """A name that differs when the member lists differ, so that a mix-up is noticed."""
    text = ",".join(f"{node_id}={members[node_id]}" for node_id in sorted(members))
    return f"kvstore-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check(settings: Settings) -> None:
    """Raise ConfigError unless the settings hold together, however they were made."""
    if not 1 <= len(settings.members) <= MEMBERS_MAX:
        raise ConfigError(
            f"a cluster has 1 to {MEMBERS_MAX} nodes, not {len(settings.members)}: correct --peers"
        )
    if settings.node_id not in settings.members:
        raise ConfigError(f"node {settings.node_id} is not among the members of its cluster")
    if len(set(settings.members.values())) != len(settings.members):
        raise ConfigError("two nodes have the same address: give each its own in --peers")
    if settings.rejoins and len(settings.members) == 1:
        raise ConfigError("--rejoin needs other nodes, which hold what this one lost")
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


def _check_positive(part: msgspec.Struct) -> None:
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, int) and not isinstance(value, bool) and value <= 0:
            raise ConfigError(f"{name} must be positive, not {value}")


# --- Single values ------------------------------------------------------------------------


def _read(given: Mapping[str, Given], name: str, parse: Callable[[str], _T], default: _T) -> _T:
    if name not in given:
        return default
    try:
        return parse(given[name].text)
    except ConfigError as error:
        raise ConfigError(f"{given[name].source}: {error}") from None


def _parse_id(text: str) -> int:
    return parse_int(text, 1, NODE_ID_MAX, "a node id")


def _parse_time_ms(text: str) -> int:
    return parse_int(text, 1, TIME_MS_CEILING, "a time in milliseconds")


def _parse_range_ms(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not dash:
        raise ConfigError(f"{text!r} is not a range: write the shortest and longest, as 500-1000")
    return _parse_time_ms(low), _parse_time_ms(high)


def _parse_value_bytes(text: str) -> int:
    return _parse_bytes(text, 1, VALUE_BYTES_CEILING)


def _parse_map_bytes(text: str) -> int:
    return _parse_bytes(text, MAP_BYTES_FLOOR, MAP_BYTES_CEILING)


def _parse_bytes(text: str, low: int, high: int) -> int:
    """A number of bytes, as it is or in binary units."""
    match = re.fullmatch(rf"([0-9]{{1,19}}) ?({'|'.join(_UNITS)})?", text.strip())
    size = int(match[1]) * _UNITS.get(match[2], 1) if match else -1
    if not low <= size <= high:
        raise ConfigError(
            f"{quoted(text)} is not a size that is allowed here: give a number of bytes from "
            f"{_in_units(low)} to {_in_units(high)}, plain or in {', '.join(_UNITS)} (as 8GiB)"
        )
    return size


def _in_units(size_bytes: int) -> str:
    for unit, unit_bytes in reversed(_UNITS.items()):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)


def _parse_yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*_YES, *_NO):
        raise ConfigError(f"{quoted(text)} is neither yes nor no: say true or false")
    return word in _YES


def _parse_cluster(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ConfigError(f"{text!r} is not a cluster name: use 1 to 64 of A-Z a-z 0-9 . _ -")
    return text


def _parse_path(text: str) -> Path:
    if not text:
        raise ConfigError("a directory is needed, for instance data/n1")
    return Path(text)


def _parse_log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise ConfigError(f"{text!r} is not a log format: say {' or '.join(LOG_FORMATS)}")
    return text


# --- Members ------------------------------------------------------------------------------


def _membership(given: Mapping[str, Given], host: str) -> tuple[int, dict[int, Address]]:
    """This node's id, and all members with their addresses."""
    node_id = _read(given, "id", _parse_id, 0) or None
    port = _read(given, "port", parse_port, 0) or None
    if node_id is None and port is None and "peers" not in given:
        raise ConfigError(
            f"say which node this is: --id 1 is node 1 of the local cluster {LOCAL_CLUSTER}; "
            "or give --port and --peers"
        )
    if "peers" not in given:
        return _local_cluster(host, node_id, port)
    peers = [] if given["peers"].text.strip() == "none" else items_of(given["peers"].text)
    if not peers:
        node_id = node_id or 1
        return node_id, {node_id: Address(host, port or _default_port(node_id))}
    try:
        if any("=" in item for item in peers):
            node_id, members = _members_with_ids(peers, host, node_id, port)
            if "host" not in given:
                _check_all_local(members)
            return node_id, members
        if any(":" in item for item in peers):
            raise ConfigError(
                "addresses do not tell who is who: write each as 2=host:port, or give bare ports"
            )
        ports = [parse_port(item) for item in peers]
    except ConfigError as error:
        raise ConfigError(f"{given['peers'].source}: {error}") from None
    return _members_by_rank(ports, host, node_id, port)


def _default_port(node_id: int) -> int:
    port = BASE_PORT + node_id
    if port > PORT_MAX:
        raise ConfigError(f"node {node_id} has no default port: give --port")
    return port


def _local_cluster(
    host: str, node_id: int | None, port: int | None
) -> tuple[int, dict[int, Address]]:
    own = port or _default_port(node_id or 1)
    if own not in LOCAL_PORTS:
        raise ConfigError(
            f"port {own} is not in the local cluster {LOCAL_CLUSTER}, which is what stands when "
            "no peers are given: name the other nodes with --peers (--peers '' for a single node)"
        )
    return _members_by_rank([other for other in LOCAL_PORTS if other != own], host, node_id, own)


def _members_by_rank(
    peers: Sequence[int], host: str, node_id: int | None, port: int | None
) -> tuple[int, dict[int, Address]]:
    """Bare ports: all on `host`, and the rank of each among all of them is its id."""
    if port is None and node_id is None:
        raise ConfigError("say which node this is: give --port, or --id for the port 9000 + id")
    own = port or _default_port(node_id or 1)
    if own in peers:
        raise ConfigError(f"port {own} is this node's own: leave it out of --peers")
    if len(set(peers)) != len(peers):
        raise ConfigError("a port stands in --peers twice: each node needs its own")
    ports = sorted([own, *peers])
    rank = ports.index(own) + 1
    if node_id not in (None, rank):
        raise ConfigError(
            f"--id {node_id} does not match the ports: {own} is number {rank} of {_joined(ports)}, "
            f"so this is node {rank}. Say --id {rank} or leave --id out, correct --port and "
            "--peers, or give ids with --peers 2=host:port"
        )
    return rank, {index: Address(host, item) for index, item in enumerate(ports, start=1)}


def _members_with_ids(
    peers: Sequence[str], host: str, node_id: int | None, port: int | None
) -> tuple[int, dict[int, Address]]:
    if node_id is None:
        raise ConfigError("peers with ids do not tell this node's own: give --id")
    members = {node_id: Address(host, port or _default_port(node_id))}
    for item in peers:
        id_text, equals, address_text = item.partition("=")
        if not equals:
            raise ConfigError(f"{item!r} has no id: write every peer as 2=host:port, or as a port")
        peer_id, address = _parse_id(id_text), parse_address(address_text, default_port=None)
        if peer_id == node_id:
            raise ConfigError(f"{item!r} has this node's own id: leave this node out of the peers")
        if peer_id in members:
            raise ConfigError(f"id {peer_id} stands there twice: each node needs its own")
        if address in members.values():
            raise ConfigError(f"{address} stands there twice: each node needs its own address")
        members[peer_id] = address
    return node_id, members


def _check_all_local(members: Mapping[int, Address]) -> None:
    """The default host is for clusters on one machine: nobody else can connect there."""
    for address in members.values():
        if not (address.host in ("localhost", "::1") or address.host.startswith("127.")):
            raise ConfigError(
                f"{address} is on another machine: give with --host the name or IP address "
                "by which the others reach this node"
            )


def _joined(ports: Sequence[int]) -> str:
    return ",".join(map(str, ports))
