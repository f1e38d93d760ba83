"""The command `kvstore serve`: every setting of a node as an option, and how it is run.

Law: what a setting means, and whether it may be so, is for `config`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import click

from kvstore.address import LOCAL_CLUSTER
from kvstore.cli.options import Command, option, options
from kvstore.config.settings import Settings, settings_from
from kvstore.config.sources import notes_on


def _setting(name: str, metavar: str, section: str, text: str) -> Callable[[Any], Any]:
    return option(f"--{name}", section=section, metavar=metavar, help=text)


@click.command(cls=Command)
@options(
    _setting("id", "N", "Who is who", "This node's id. May be left out when the ports give it."),
    _setting("port", "PORT", "Who is who", "Where this node listens.  [default: 9000 + id]"),
    _setting(
        "peers",
        "LIST",
        "Who is who",
        "The other nodes. Either ports on --host, as 9002,9003: the rank of a port among all "
        "of them is the id. Or with ids, as 2=host:port,3=host:port. '' or none is a cluster "
        f"of one.  [default: the rest of the local cluster {LOCAL_CLUSTER}]",
    ),
    _setting(
        "host",
        "HOST",
        "Who is who",
        "Name or IP address by which the others reach this node.  [default: 127.0.0.1]",
    ),
    _setting(
        "bind",
        "ADDRESS",
        "Who is who",
        "Where this node listens, if not there: in a container, behind NAT. A host or "
        "host:port, as 0.0.0.0.  [default: --host and --port]",
    ),
    _setting(
        "cluster",
        "NAME",
        "Who is who",
        "Name of the cluster; nodes of another one are refused.  [default: from the members]",
    ),
    _setting(
        "data",
        "DIR",
        "Storage",
        "Data directory, made if absent, for this user alone.  [default: data/n<id>]",
    ),
    option(
        "--rejoin",
        section="Storage",
        is_flag=True,
        flag_value="yes",
        default=None,
        help="This node lost its directory: begin with a new one, which counts only once it "
        "has caught up.",
    ),
    _setting("value-bytes-max", "SIZE", "Storage", "Longest value.  [default: 1MiB]"),
    _setting("log-map-bytes", "SIZE", "Storage", "Room for the log.  [default: 64GiB]"),
    _setting("state-map-bytes", "SIZE", "Storage", "Room for the keys.  [default: 64GiB]"),
    _setting(
        "log-kept-bytes",
        "SIZE",
        "Storage",
        "How much of the log stays that is applied: more spares followers that were away a "
        "snapshot.  [default: 32MiB]",
    ),
    _setting("heartbeat-ms", "MS", "Times", "How often a leader is heard.  [default: 100]"),
    _setting(
        "election-ms",
        "MIN-MAX",
        "Times",
        "Silence of the leader before an election, drawn anew each time.  [default: 500-1000]",
    ),
    _setting(
        "request-timeout-ms",
        "MS",
        "Times",
        "After this a waiting request gets an error.  [default: 4000]",
    ),
    _setting("log-format", "text|json", "Other", "Lines of the log.  [default: text]"),
    _setting("config", "FILE", "Other", "TOML file with any of these, as heartbeat_ms = 100."),
)
def serve(**options: str | None) -> int:
    """Run one node until SIGTERM, SIGHUP or Ctrl-C.

    It lets callers in when it can answer them, and says "listening on" then.

    \b
    Examples:
      kvstore serve --id 1
      kvstore serve --id 1 --port 9001 --peers 9002,9003 --data data/n1
      kvstore serve --id 1 --host 10.0.0.1 --peers 2=10.0.0.2:9002,3=10.0.0.3:9003

    Every option can also be set as a variable (--election-ms is KVSTORE_ELECTION_MS)
    or in the file named by --config. The command line comes first, then the
    variables, then the file. A SIZE is a number of bytes, or has a unit: KiB, MiB,
    GiB, TiB.
    """
    # Other commands should not wait for the server's modules to load.
    from kvstore.server import loop

    return loop.serve(partial(_settings, options))


def _settings(options: Mapping[str, str | None]) -> Settings:
    """The settings, by which the log is kept from now on."""
    from kvstore import logs

    settings = settings_from(options, os.environ)
    logs.configure(settings.log_format, node_id=settings.node_id)
    for note in notes_on(os.environ):
        log = logs.logger_for(settings.node_id)
        say = log.warning if note.is_warning else log.info
        say(note.text, code=note.code)
    return settings
