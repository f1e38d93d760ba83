"""Which nodes `kvstore status` and `kvstore health` ask: those of `serve`, unless told otherwise.

Law: what stands on the command line comes first, then variables; of each, nodes that are
named come before settings that name them. What was chosen is one place, never a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kvstore.address import LOCAL_CLUSTER, Address, parse_address, parse_addresses, quoted
from kvstore.config.settings import cluster_from
from kvstore.errors import ConfigError


class Target(NamedTuple):
    """A node to ask; `node_id` if the settings say which it is."""

    address: Address
    node_id: int | None = None


def all_nodes(to: str | None, config: str | None, environ: Mapping[str, str]) -> list[Target]:
    """The nodes of the cluster. Raises ConfigError."""
    if to is not None:
        return _named(to, "--to")
    if config is None and (named := environ.get("KVSTORE_TO")):
        return _named(named, "KVSTORE_TO")
    cluster = cluster_from({"config": config}, environ)
    if cluster is None:
        return _named(LOCAL_CLUSTER, None)
    known = [Target(cluster.members[node_id], node_id) for node_id in sorted(cluster.members)]
    return [*known, *map(Target, cluster.others)]


def are_named(to: str | None, config: str | None, environ: Mapping[str, str]) -> bool:
    """Whether it was said whom to ask, and nobody else is to be."""
    return to is not None or (config is None and bool(environ.get("KVSTORE_TO")))


def _named(nodes: str, source: str | None) -> list[Target]:
    return [Target(address) for address in parse_addresses(nodes, source)]


def this_node(to: str | None, config: str | None, environ: Mapping[str, str]) -> Target:
    """The node that runs here. Raises ConfigError."""
    if to is not None:
        if "," in to:
            raise ConfigError(f"--to: {quoted(to)} is more than one node: name the one to ask")
        return Target(parse_address(to))
    cluster = cluster_from({"config": config}, environ)
    if cluster is None:
        raise ConfigError(
            "say which node: --to 9001, or the settings of serve, as --config FILE, KVSTORE_ID=1 "
            "or KVSTORE_PORT=9001"
        )
    return Target(cluster.reached_here_at, cluster.node_id)
