"""The `kvstore` command: options in, a line or an exit code out.

Law: no logic of its own. Settings are made by config/, requests by client/,
output by render.py, errors are told by outcomes.py; here they are wired.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from kvstore.api.base import NODE_ID_MAX
from kvstore.cli import outcomes, render, streams
from kvstore.cli.asking import with_client
from kvstore.cli.backups import backup, verify
from kvstore.cli.check import check
from kvstore.cli.defrag import defrag
from kvstore.cli.groups import Group
from kvstore.cli.health import health
from kvstore.cli.history import history
from kvstore.cli.inspection import inspect
from kvstore.cli.keys import count, delete, get, increment, put, scan
from kvstore.cli.member import member
from kvstore.cli.options import Command, option
from kvstore.cli.recover import recover
from kvstore.cli.restore import restore
from kvstore.cli.serve import serve
from kvstore.cli.simulate import simulate
from kvstore.cli.status import status
from kvstore.cli.streams import OutputFailedError, PipeClosedError
from kvstore.cli.txn import txn
from kvstore.cli.watch import watch
from kvstore.client.blocking import Client
from kvstore.errors import KvstoreError
from kvstore.exit_codes import BROKEN, DONE, INTERRUPTED, PIPE_CLOSED
from kvstore.version import version

_GROUP_HELP: Final = """A strongly consistent, replicated, persistent key-value store.

\b
Examples:
  kvstore serve --id 1           start node 1 of a local cluster of three
  kvstore put greeting hello     write a key, through whichever node leads
  kvstore get greeting           read it back
  kvstore status                 see who leads
  kvstore member list            see who the members are, and who votes
  kvstore inspect data/n1        see what a data directory holds, and check it
  kvstore check                  compare what the nodes hold, while they serve
  kvstore backup monday.backup   save all data, while the nodes serve

\b
Exit codes:
  0  done
  1  the key was not found, or a condition of the write did not hold; of
     simulate: a promise is broken; of inspect, status and check:
     something is wrong; of health: the node is not ready
  2  wrong usage: an option, an address or a setting
  3  refused, and nothing was changed: not the leader, no leader, busy, an
     invalid request; of commands with a data directory: it cannot be used;
     of status: writes are not taken; of verify and restore: the backup is
     no good
  4  outcome unknown: the command may or may not take effect; of check:
     too few nodes could be compared
  5  no node could be reached, and nothing was changed
  74  standard input or output failed
  130  Ctrl-C
  141  a closed pipe
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); the exit code."""
    streams.fill_closed()
    words = [*(sys.argv[1:] if argv is None else argv)]
    try:
        return _serve(words) if words[:1] == ["serve"] else _run_for_people(words)
    finally:
        streams.abandon(sys.stdout)
        streams.abandon(sys.stderr)


def is_for_node(words: Sequence[str]) -> bool:
    """Whether a node is to run, which has its own way with signals."""
    return words[:1] == ["serve"] and "--help" not in words


def _run_for_people(words: Sequence[str]) -> int:
    as_json = outcomes.are_json(words)
    try:
        return _run(words)
    except PipeClosedError:
        return PIPE_CLOSED
    except click.Abort:
        return outcomes.tell(outcomes.BROKEN_OFF, as_json) if as_json else INTERRUPTED
    except (click.UsageError, KvstoreError) as error:
        return outcomes.tell(outcomes.of(error), as_json)
    except OutputFailedError as error:
        return outcomes.tell(outcomes.of(error), as_json=False)
    except OSError as error:
        # For what nodes and directories do there are errors of kvstore's own. Without a name it
        # is standard output, in which half an answer may stand.
        return outcomes.tell(outcomes.of_file(error), as_json and error.filename is not None)


def _serve(words: Sequence[str]) -> int:
    """The one command that goes on for long: what it says is read by machines."""
    # Other commands should not wait for what it logs with.
    from kvstore.cli.last_words import LastWords

    with LastWords(words, os.environ) as last_words:
        try:
            return _run(words)
        except PipeClosedError:
            return PIPE_CLOSED
        except click.Abort:
            return INTERRUPTED
        except (click.UsageError, KvstoreError, OutputFailedError) as error:
            outcome = outcomes.of(error)
            is_usage = isinstance(error, click.UsageError)
            last_words.say(click.UsageError if is_usage else type(error), outcome.message)
            return outcome.exit_code
        except Exception as error:
            last_words.crashed(error)
            return BROKEN


def _run(words: Sequence[str]) -> int:
    code = commands.main(args=words, prog_name="kvstore", standalone_mode=False)
    sys.stdout.flush()
    return int(code or DONE)


_ELSEWHERE: Final = {
    "set": "put",
    "del": "delete",
    "rm": "delete",
    "incr": "increment",
    "dbsize": "count",
    "multi": "txn",
    "subscribe": "watch",
    **dict.fromkeys(("keys", "list", "ls", "dump", "export"), "scan"),
}
"""What other stores and tools call a command."""


# --- Commands -----------------------------------------------------------------------------


def _tell_version(ctx: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"kvstore {version()}")
        ctx.exit()


@click.group(cls=Group, help=_GROUP_HELP, invoke_without_command=True, elsewhere=_ELSEWHERE)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in (
    *(serve, put, get, delete, increment, txn, scan, count, history),
    *(watch, status, health, check, inspect),
    *(backup, verify, restore, recover, defrag),
):
    commands.add_command(_command)


@commands.command(cls=Command, short_help="Have another node lead.")
@option(
    "--to-node",
    section="Options",
    metavar="N",
    type=click.IntRange(1, NODE_ID_MAX),
    help="Id of the node that is to lead.  [default: the one that lags least]",
)
@with_client
def transfer_leader(client: Client, to_node: int | None, as_json: bool) -> int:
    """Have another node lead, without waiting for an election timeout.

    It gets what it lacks first, so nothing is lost. Writes are refused in the meantime,
    and the clients try again; if it does not take over in an election's time, the leader
    leads on.
    """
    result = client.transfer_leader(to_node)
    if as_json:
        click.echo(render.json_line({"leader": result.leader_id, "term": result.term}))
    else:
        click.echo(f"node {result.leader_id} leads term {result.term}")
    return DONE


commands.add_command(member)


@commands.command(cls=Command, short_help="Watch a paused leader being fenced.")
def demo() -> int:
    """Start three nodes, pause the leader, and watch it being fenced when it wakes."""
    from kvstore import demo as film

    return film.run()


commands.add_command(simulate)
