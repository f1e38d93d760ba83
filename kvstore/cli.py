"""The `kvstore` command: options in, a line or an exit code out.

Law: no logic of its own. Settings are made by config.py, requests by client.py,
output by render.py; here they are wired, and every error becomes one line on
standard error and an exit code that scripts can tell apart.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click
from click.core import ParameterSource

from kvstore import api, patience, render, streams
from kvstore.address import parse_addresses, quoted
from kvstore.client import Client
from kvstore.config import NODE_ID_MAX, VALUE_BYTES_CEILING
from kvstore.errors import (
    ConfigError,
    DamagedError,
    GuardFailedError,
    KvstoreError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from kvstore.exit_codes import (
    BROKEN,
    DONE,
    INTERRUPTED,
    NOT_FOUND,
    PIPE_CLOSED,
    REFUSED,
    STREAM_FAILED,
    UNKNOWN,
    UNREACHABLE,
    USAGE,
)
from kvstore.health import health
from kvstore.inspection import inspect
from kvstore.options import Command, Function, as_json, option, options, timeout, to_nodes
from kvstore.serve import serve
from kvstore.simulate import simulate
from kvstore.status import status

_GROUP_HELP: Final = """A strongly consistent, replicated, persistent key-value store.

\b
Examples:
  kvstore serve --id 1           start node 1 of a local cluster of three
  kvstore put greeting hello     write a key, through whichever node leads
  kvstore get greeting           read it back
  kvstore status                 see who leads
  kvstore inspect data/n1        see what a data directory holds, and check it

\b
Exit codes:
  0  done
  1  the key was not found, or a condition of the write did not hold; of
     simulate: a promise is broken; of inspect and status: something is
     wrong; of health: the node is not ready
  2  wrong usage: an option, an address or a setting
  3  refused, and nothing was changed: not the leader, no leader, busy, an
     invalid request; of serve and inspect: the data directory cannot be used;
     of status: writes are not taken
  4  outcome unknown: the command may or may not take effect
  5  no node could be reached, and nothing was changed
  74  standard input or output failed
  130  Ctrl-C
  141  a closed pipe
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); the exit code."""
    streams.fill_closed()
    words = [*(sys.argv[1:] if argv is None else argv)]
    if words[:1] == ["serve"]:
        return _serve(words)
    try:
        return _run(words)
    except (click.UsageError, KvstoreError) as error:
        text, code = _verdict(error)
        click.echo(f"error: {text}", err=True)
        return code
    except OSError as error:
        # For what nodes and directories do there are errors of kvstore's own.
        _abandon_output()
        what = error.filename or "standard input or output"
        click.echo(f"error: cannot read or write {what}: {error.strerror}", err=True)
        return STREAM_FAILED


def _serve(words: Sequence[str]) -> int:
    """The one command that goes on for long: what it says is read by machines."""
    # Other commands should not wait for what it logs with.
    from kvstore.last_words import LastWords

    with LastWords(words, os.environ) as last_words:
        try:
            return _run(words)
        except (click.UsageError, KvstoreError) as error:
            text, code = _verdict(error)
            is_usage = isinstance(error, click.UsageError)
            last_words.say(click.UsageError if is_usage else type(error), text)
            return code
        except Exception as error:
            last_words.crashed(error)
            return BROKEN


def _run(words: Sequence[str]) -> int:
    try:
        code = commands.main(args=words, prog_name="kvstore", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return INTERRUPTED
    return int(code or DONE)


def _verdict(error: click.UsageError | KvstoreError) -> tuple[str, int]:
    """What an error comes to: a sentence, and an exit code."""
    if isinstance(error, click.NoSuchOption) and error.ctx and error.ctx.info_name == "put":
        return f"{error.message} (write -- before a value or key that begins with a dash)", USAGE
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "kvstore"
        return f"{error.format_message()} (see {where} --help)", USAGE
    if isinstance(error, DamagedError):
        return f"{error}; `kvstore inspect DIR` shows what is damaged", REFUSED
    return str(error), _exit_code(error)


def _exit_code(error: KvstoreError) -> int:
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, OutcomeUnknownError):
        return UNKNOWN
    if isinstance(error, GuardFailedError):
        return NOT_FOUND
    return UNREACHABLE if isinstance(error, UnreachableError) else REFUSED


def _abandon_output() -> None:
    """Python flushes standard output once more at exit, and would complain there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- How click is bent --------------------------------------------------------------------

_ELSEWHERE: Final = {"set": "put", "del": "delete", "rm": "delete"} | dict.fromkeys(
    ("keys", "list", "ls", "dump", "export"), "scan"
)
"""What other stores and tools call a command."""


class _Group(click.Group):
    """Suggests the nearest command, and ends quietly when its reader has gone."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            other = _ELSEWHERE.get(args[0])
            near = [other] if other else difflib.get_close_matches(args[0], self.commands, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.commands)}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _abandon_output()
            return PIPE_CLOSED
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


_no_follow = option(
    "--no-follow",
    section="Cluster",
    is_flag=True,
    help="Show a node's NOTLEADER as an error instead of following it.",
)
_stale = option(
    "--stale",
    section="Options",
    is_flag=True,
    help="Read what the asked node has, leader or not; it may be old.",
)
_if_revision = option(
    "--if-revision",
    "guard",
    section="Options",
    metavar="[K=]N",
    help="Only if the key K (without it, the KEY itself) has mod_revision N; "
    "0 stands for no such key.",
)
_from_any = option(
    "--from-any",
    section="Options",
    is_flag=True,
    help="Ask the nodes in the order of --to, leader or not; what they say is as fresh as "
    "what the leader would.",
)


def _with_client(function: Function) -> Function:
    """Give the command a client, made from the common options."""

    @options(to_nodes, _no_follow, timeout, as_json)
    @functools.wraps(function)
    def run(to: str, no_follow: bool, timeout_ms: int, **options: Any) -> int:
        parse_addresses(to, _source_of_nodes())
        client = Client(
            to,
            timeout_ms,
            follow=not no_follow,
            on_redirect=_tell_redirect,
            reads_from_any=options.get("from_any", False),
        )
        with client, patience.told(client.waiting):
            code: int = function(client, **options)
            return code

    return run


def _source_of_nodes() -> str | None:
    source = click.get_current_context().get_parameter_source("to")
    return {ParameterSource.COMMANDLINE: "--to", ParameterSource.ENVIRONMENT: "KVSTORE_TO"}.get(
        source or ParameterSource.DEFAULT
    )


def _tell_redirect(asked: str, leader: str) -> None:
    click.echo(
        f"node at {asked} is not the leader; following to node at {leader}",
        err=True,
    )


# --- Commands -----------------------------------------------------------------------------


@click.group(cls=_Group, help=_GROUP_HELP, invoke_without_command=True)
@click.version_option(package_name="kvstore", message="kvstore %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


commands.add_command(serve)


@commands.command(cls=Command)
@click.argument("key")
@click.argument("value", required=False)
@option("--if-absent", section="Options", is_flag=True, help="Write only a key that is new.")
@option("--if-present", section="Options", is_flag=True, help="Write only a key that exists.")
@option(
    "--if-value", section="Options", metavar="V", help="Write only if the value now is exactly V."
)
@_if_revision
@_with_client
def put(
    client: Client,
    key: str,
    value: str | None,
    if_absent: bool,
    if_present: bool,
    if_value: str | None,
    guard: str | None,
    as_json: bool,
) -> int:
    """Write VALUE under KEY.

    Without VALUE, or with -, the value is read from standard input, byte for byte;
    at a terminal, only with -.
    Write -- before a VALUE that begins with a dash.

    \b
    The revision of a lock is a fencing token. Give it to every write made under
    the lock: once that has changed hands, they are refused.
      kvstore put lock me --if-absent              prints OK (revision 17)
      kvstore put foo bar --if-revision lock=17
      kvstore delete lock --if-revision 17         gives the lock back
    """
    if if_absent + if_present + (if_value is not None) > 1:
        raise click.UsageError("give at most one of --if-absent, --if-present and --if-value")
    result = client.put(
        os.fsencode(key),
        _from_stdin(value) if value in (None, "-") else os.fsencode(value or ""),
        if_absent=if_absent,
        if_present=if_present,
        if_value=None if if_value is None else os.fsencode(if_value),
        guard=_parse_guard(guard, (key,)),
    )
    if as_json:
        click.echo(render.json_line({"written": result.written, "revision": result.revision}))
    elif result.written:
        click.echo(f"OK (revision {result.revision})")
    else:
        click.echo(f"not written: the condition does not hold for {_name(key)}", err=True)
    return DONE if result.written else NOT_FOUND


def _parse_guard(text: str | None, keys: Sequence[str]) -> tuple[bytes, int] | None:
    if text is None:
        return None
    key, equals, revision = text.rpartition("=")
    # Not int() at once: it takes digits of other scripts, and refuses thousands of them in words
    # of its own.
    number = int(revision) if re.fullmatch(r"[0-9]{1,19}", revision) else -1
    if not 0 <= number <= api.REVISION_MAX:
        raise click.UsageError(
            f"{quoted(text)} is not a revision: write 17, or lock=17 for another key"
        )
    if not equals and len(keys) > 1:
        raise click.UsageError("--if-revision with several keys needs one: write lock=17")
    return os.fsencode(key if equals else keys[0]), number


def _from_stdin(value: str | None) -> bytes:
    # Standard input is None when the caller has closed it.
    if not sys.stdin or (value is None and sys.stdin.isatty()):
        raise click.UsageError("no value: give one, or - to type it and end with Ctrl-D")
    if sys.stdin.isatty():
        click.echo("type the value, and end it with Ctrl-D at the beginning of a line", err=True)
    since = time.monotonic()
    with patience.told(
        lambda: (since, "standard input has no end yet, and all of it is the value")
    ):
        text = sys.stdin.buffer.read(VALUE_BYTES_CEILING + 1)
    if len(text) > VALUE_BYTES_CEILING:
        raise RefusedError(
            f"the value is longer than any node takes ({VALUE_BYTES_CEILING} bytes)"
            ": split it over several keys"
        )
    return text


@commands.command(cls=Command)
@click.argument("key")
@options(_stale, _from_any)
@_with_client
def get(client: Client, key: str, stale: bool, from_any: bool, as_json: bool) -> int:
    """Print the value of KEY.

    The bytes come out as they are; on a terminal a line end follows.
    """
    _check_reads(stale, from_any)
    record = client.get(os.fsencode(key), stale=stale)
    if record is None:
        return _not_found(key)
    if as_json:
        click.echo(render.record_json(record))
    else:
        sys.stdout.buffer.write(record.value + (b"\n" if sys.stdout.isatty() else b""))
    return DONE


@commands.command(cls=Command)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@_if_revision
@_with_client
def delete(client: Client, keys: tuple[str, ...], guard: str | None, as_json: bool) -> int:
    """Remove one or more KEYs in one step.

    The exit code is 1 if none of them existed, or --if-revision does not hold.
    """
    result = client.delete(*map(os.fsencode, keys), guard=_parse_guard(guard, keys))
    if as_json:
        click.echo(render.json_line({"deleted": result.deleted, "revision": result.revision}))
    elif result.deleted:
        click.echo(f"deleted {result.deleted} of {len(keys)} (revision {result.revision})")
    else:
        _not_found(*keys)
    return DONE if result.deleted else NOT_FOUND


@commands.command(cls=Command, short_help="List keys and values.")
@click.argument("prefix", default="")
@option("--keys-only", section="Options", is_flag=True, help="Print no values.")
@option(
    "--limit",
    section="Options",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop after N keys.",
)
@option("--reverse", section="Options", is_flag=True, help="From the last key to the first.")
@options(_stale, _from_any)
@_with_client
def scan(
    client: Client,
    prefix: str,
    keys_only: bool,
    limit: int | None,
    reverse: bool,
    stale: bool,
    from_any: bool,
    as_json: bool,
) -> int:
    r"""List the keys that begin with PREFIX (all keys by default), in byte order.

    A line is the key, a tab and the value. In both, what is not printable text is
    written as \n, \t, \r, \\ or \xNN.
    """
    _check_reads(stale, from_any)
    for record in client.scan(
        os.fsencode(prefix),
        limit=limit,
        reverse=reverse,
        with_values=not keys_only,
        stale=stale,
    ):
        if as_json:
            click.echo(render.record_json(record, with_value=not keys_only))
        else:
            value = "" if keys_only else "\t" + render.shown(record.value)
            click.echo(render.shown(record.key) + value)
    return DONE


commands.add_command(status)
commands.add_command(health)
commands.add_command(inspect)


@commands.command(cls=Command, short_help="Have another node lead.")
@option(
    "--to-node",
    section="Options",
    metavar="N",
    type=click.IntRange(1, NODE_ID_MAX),
    help="Id of the node that is to lead.  [default: the one that lags least]",
)
@_with_client
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


@commands.command(cls=Command, short_help="Watch a paused leader being fenced.")
def demo() -> int:
    """Start three nodes, pause the leader, and watch it being fenced when it wakes."""
    from kvstore import demo as film

    return film.run()


commands.add_command(simulate)


def _check_reads(stale: bool, from_any: bool) -> None:
    if stale and from_any:
        raise click.UsageError(
            "--stale reads what one node has, --from-any what is current: choose"
        )


def _not_found(*keys: str) -> int:
    click.echo(f"not found: {' '.join(map(_name, keys))}", err=True)
    return NOT_FOUND


def _name(key: str) -> str:
    return render.shown(os.fsencode(key))
