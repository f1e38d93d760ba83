"""The command `kvstore serve`: every setting of a node as an option, and how it is run.

Law: what a setting means, and whether it may be so, is for `config`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from kvstore.cli import node_options as given
from kvstore.cli.options import Command, options
from kvstore.config.members import Made
from kvstore.config.settings import Settings, settings_from
from kvstore.config.sources import notes_on


@click.command(cls=Command)
@options(
    given.ID,
    given.PORT,
    given.PEERS,
    given.JOIN,
    given.HOST,
    given.BIND,
    given.CLUSTER,
    given.DATA,
    given.VALUE_BYTES_MAX,
    given.LOG_MAP_BYTES,
    given.STATE_MAP_BYTES,
    given.LOG_KEPT_BYTES,
    given.CHECK_EVERY,
    given.HEARTBEAT_MS,
    given.ELECTION_MS,
    given.REQUEST_TIMEOUT_MS,
    given.LOG_FORMAT,
    given.CONFIG,
)
def serve(**options: str | None) -> int:
    """Run one node until SIGTERM, SIGHUP or Ctrl-C.

    It lets callers in when it can answer them, and says "listening on" then.

    \b
    Examples:
      kvstore serve --id 1
      kvstore serve --id 1 --port 9001 --peers 9002,9003 --data data/n1
      kvstore serve --id 1 --host 10.0.0.1 --peers 2=10.0.0.2:9002,3=10.0.0.3:9003
      kvstore serve --id 4 --host 10.0.0.4 --join 10.0.0.1:9001

    A node whose directory has been made knows from it which cluster and members it has: --peers
    and --join are not looked at then. At each start it is told its address anew, by --host
    and --port.

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
    from kvstore.cli import joining

    settings = settings_from(options, os.environ, _made)
    logs.configure(settings.log_format, node_id=settings.node_id)
    for note in notes_on(os.environ):
        log = logs.logger_for(settings.node_id)
        say = log.warning if note.is_warning else log.info
        say(note.text, code=note.code)
    return (
        joining.admitted(settings, logs.logger_for(settings.node_id)) if settings.join else settings
    )


def _made(data_dir: Path) -> Made | None:
    """What a data directory says of its owner, if it has been made."""
    from kvstore.storage.whose import whose

    owner = whose(data_dir)
    return None if owner is None else Made(owner.node_id, owner.cluster_id)
