"""Which node this is, and whom a new cluster begins with, from what was given.

Law: every founder of a cluster must come to the same list from what each was told. A node whose
directory has been made knows from it who it is, and who the others are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kvstore.address import (
    BASE_PORT,
    LOCAL_CLUSTER,
    LOCAL_PORTS,
    PORT_MAX,
    Address,
    items_of,
    parse_address,
    parse_port,
)
from kvstore.config.sources import Given
from kvstore.config.values import parse_id, parse_path, read
from kvstore.errors import ConfigError


class Made(NamedTuple):
    """What a data directory that has been made says of its owner."""

    node_id: int
    cluster_id: str


class Identified(NamedTuple):
    """This node, and where the others reach it.

    * `founders`: all nodes of a new cluster, this one too; none for one that joins another, or
      whose directory, as `made` tells of it, says who it is.
    """

    node_id: int
    address: Address
    data_dir: Path
    founders: Mapping[int, Address]
    made: Made | None = None


def identified(
    given: Mapping[str, Given], host: str, find: Callable[[Path], Made | None]
) -> Identified:
    """Which node is told to be here; `find` looks into a directory. Raises ConfigError."""
    node_id = read(given, "id", parse_id, 0) or None
    named = read(given, "data", parse_path, None)
    data_dir = named or (None if node_id is None else _default_directory(node_id))
    if data_dir is not None and (made := find(data_dir)) is not None:
        node_id = node_id or made.node_id
        return Identified(node_id, _own_address(given, host, node_id), data_dir, {}, made)
    if "join" in given:
        node_id = _checked_joiner(given, node_id)
        address = _own_address(given, host, node_id)
        return Identified(node_id, address, data_dir or _default_directory(node_id), {})
    node_id, founders = membership(given, host)
    data_dir = data_dir or _default_directory(node_id)
    if (made := find(data_dir)) is not None:
        return Identified(node_id, founders[node_id], data_dir, {}, made)
    return Identified(node_id, founders[node_id], data_dir, founders)


def _default_directory(node_id: int) -> Path:
    return Path("data") / f"n{node_id}"


def _own_address(given: Mapping[str, Given], host: str, node_id: int) -> Address:
    return Address(host, read(given, "port", parse_port, 0) or _default_port(node_id))


def _checked_joiner(given: Mapping[str, Given], node_id: int | None) -> int:
    if node_id is None:
        raise ConfigError("a node that joins is told by its id: give --id, as in `member add`")
    if "peers" in given:
        raise ConfigError(
            f"{given['peers'].source}: a node that joins asks who the others are: leave the peers "
            "out, or, if this is to be a new cluster, leave --join out"
        )
    return node_id


def membership(given: Mapping[str, Given], host: str) -> tuple[int, dict[int, Address]]:
    """This node's id, and all founders with their addresses."""
    node_id = read(given, "id", parse_id, 0) or None
    port = read(given, "port", parse_port, 0) or None
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
        peer_id, address = parse_id(id_text), parse_address(address_text, default_port=None)
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
