"""The settings of a node, as options, for `serve` and commands that make or change its directory.

Law: what a setting means, and whether it may be so, is for `config`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kvstore.address import LOCAL_CLUSTER
from kvstore.cli.options import option
from kvstore.config.limits import BUMP_MAX


def _setting(name: str, metavar: str, section: str, text: str) -> Callable[[Any], Any]:
    return option(f"--{name}", section=section, metavar=metavar, help=text)


ID = _setting("id", "N", "Who is who", "This node's id. May be left out when the ports give it.")
PORT = _setting("port", "PORT", "Who is who", "Where this node listens.  [default: 9000 + id]")
PEERS = _setting(
    "peers",
    "LIST",
    "Who is who",
    "The other nodes of a new cluster. Either ports on --host, as 9002,9003: the rank of a "
    "port among all of them is the id. Or with ids, as 2=host:port,3=host:port. '' or none is "
    f"a cluster of one.  [default: the rest of the local cluster {LOCAL_CLUSTER}]",
)
JOIN = _setting(
    "join",
    "NODES",
    "Who is who",
    "With no directory: join the cluster that some of these nodes are of, as host:port, with "
    "commas, as `kvstore member add` or `replace` lets it. So does a node come back that lost "
    "its directory.",
)
HOST = _setting(
    "host",
    "HOST",
    "Who is who",
    "Name or IP address by which the others reach this node.  [default: 127.0.0.1]",
)
BIND = _setting(
    "bind",
    "ADDRESS",
    "Who is who",
    "Where this node listens, if not there: in a container, behind NAT. A host or "
    "host:port, as 0.0.0.0.  [default: --host and --port]",
)
CLUSTER = _setting(
    "cluster",
    "NAME",
    "Who is who",
    "Name of the cluster; nodes of another one are refused.  [default: from the members]",
)
DATA = _setting(
    "data",
    "DIR",
    "Storage",
    "Data directory, made if absent, for this user alone.  [default: data/n<id>]",
)
VALUE_BYTES_MAX = _setting("value-bytes-max", "SIZE", "Storage", "Longest value.  [default: 1MiB]")
LOG_MAP_BYTES = _setting("log-map-bytes", "SIZE", "Storage", "Room for the log.  [default: 64GiB]")
STATE_MAP_BYTES = _setting(
    "state-map-bytes", "SIZE", "Storage", "Room for the keys.  [default: 64GiB]"
)
LOG_KEPT_BYTES = _setting(
    "log-kept-bytes",
    "SIZE",
    "Storage",
    "How much of the log stays that is applied: more spares followers that were away a "
    "snapshot.  [default: 32MiB]",
)
CHECK_EVERY = _setting(
    "check-every",
    "PERIOD",
    "Times",
    "How often a leader has the data of all nodes compared: a number with its unit (s, m, h, d), "
    "or never.  [default: 1d]",
)
HEARTBEAT_MS = _setting(
    "heartbeat-ms", "MS", "Times", "How often a leader is heard.  [default: 100]"
)
ELECTION_MS = _setting(
    "election-ms",
    "MIN-MAX",
    "Times",
    "Silence of the leader before an election, drawn anew each time.  [default: 500-1000]",
)
REQUEST_TIMEOUT_MS = _setting(
    "request-timeout-ms",
    "MS",
    "Times",
    "After this a waiting request gets an error.  [default: 4000]",
)
LOG_FORMAT = _setting("log-format", "text|json", "Other", "Lines of the log.  [default: text]")
CONFIG = _setting("config", "FILE", "Other", "TOML file with any of these, as heartbeat_ms = 100.")


def stopped_data(text: str) -> Callable[[Any], Any]:
    """For what works on the directory of a node whose server is stopped."""
    path = click.Path(path_type=Path)
    return option("--data", section="Options", metavar="DIR", type=path, required=True, help=text)


def bump_revision(default: int) -> Callable[[Any], Any]:
    """For what makes another cluster of the data of one."""
    return option(
        "--bump-revision",
        section="Options",
        metavar="N",
        type=click.IntRange(1, BUMP_MAX),
        default=default,
        help="By how much the revision goes up, so that all fencing tokens of before stay lower "
        f"than those that come.  [default: {default}]",
    )
