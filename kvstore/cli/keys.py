"""The commands that write and read keys.

Law: one request of `client` each, and what came of it as one line, or one a key. What is wrong
with the words of a command line is told before anybody is asked.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import click

from kvstore import api
from kvstore.address import quoted
from kvstore.cli import render
from kvstore.cli.asking import with_client
from kvstore.cli.options import Command, option, options
from kvstore.cli.standard_input import read_all
from kvstore.client.blocking import Client
from kvstore.exit_codes import DONE, NOT_FOUND

stale_option = option(
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
from_any_option = option(
    "--from-any",
    section="Options",
    is_flag=True,
    help="Ask the nodes in the order of --to, leader or not; what they say is as fresh as "
    "what the leader would.",
)


@click.command(cls=Command)
@click.argument("key")
@click.argument("value", required=False)
@option("--if-absent", section="Options", is_flag=True, help="Write only a key that is new.")
@option("--if-present", section="Options", is_flag=True, help="Write only a key that exists.")
@option(
    "--if-value", section="Options", metavar="V", help="Write only if the value now is exactly V."
)
@_if_revision
@with_client
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


def _from_stdin(value: str | None) -> bytes:
    otherwise = "give one, or - to type it and end with Ctrl-D"
    return read_all("value", otherwise, is_asked_for=value == "-")


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


@click.command(cls=Command)
@click.argument("key")
@options(stale_option, from_any_option)
@with_client
def get(client: Client, key: str, stale: bool, from_any: bool, as_json: bool) -> int:
    """Print the value of KEY.

    The bytes come out as they are; on a terminal a line end follows.
    """
    check_reads(stale, from_any)
    record = client.get(os.fsencode(key), stale=stale)
    if as_json:
        missing = {"key": os.fsencode(key), "mod_revision": 0}
        fields = missing if record is None else render.record_fields(record)
        click.echo(render.json_line({"found": record is not None, **fields}))
    elif record is not None:
        sys.stdout.buffer.write(record.value + (b"\n" if sys.stdout.isatty() else b""))
    else:
        _not_found(key)
    return NOT_FOUND if record is None else DONE


@click.command(cls=Command)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@_if_revision
@with_client
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


@click.command(cls=Command)
@click.argument("key")
@click.argument("by", required=False, default="1")
@_if_revision
@with_client
def increment(client: Client, key: str, by: str, guard: str | None, as_json: bool) -> int:
    """Add BY (1 by default) to the whole number under KEY, and print the sum.

    A key that does not exist counts as 0; a number has 64 bits and a sign. Write -- before
    a BY below 0.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", by):
        raise click.UsageError(f"{quoted(by)} is not a whole number of 64 bits")
    value = client.increment(os.fsencode(key), int(by), guard=_parse_guard(guard, (key,)))
    click.echo(render.json_line({"value": value}) if as_json else str(value))
    return DONE


@click.command(cls=Command)
@options(stale_option, from_any_option)
@with_client
def count(client: Client, stale: bool, from_any: bool, as_json: bool) -> int:
    """Print the number of keys."""
    check_reads(stale, from_any)
    number = client.count(stale=stale)
    click.echo(render.json_line({"count": number}) if as_json else str(number))
    return DONE


@click.command(cls=Command, short_help="List keys and values.")
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
@options(stale_option, from_any_option)
@with_client
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
    written as \n, \t, \r, \\ or \xNN. With --json a line is the object of one key; if the
    scan fails half way, the last line is that of the error.
    """
    check_reads(stale, from_any)
    for record in client.scan(
        os.fsencode(prefix),
        limit=limit,
        reverse=reverse,
        with_values=not keys_only,
        stale=stale,
    ):
        if as_json:
            click.echo(render.json_line(render.record_fields(record, not keys_only)))
        else:
            value = "" if keys_only else "\t" + render.shown(record.value)
            click.echo(render.shown(record.key) + value)
    return DONE


def check_reads(stale: bool, from_any: bool) -> None:
    if stale and from_any:
        raise click.UsageError(
            "--stale reads what one node has, --from-any what is current: choose"
        )


def _not_found(*keys: str) -> None:
    click.echo(f"not found: {' '.join(map(_name, keys))}", err=True)


def _name(key: str) -> str:
    return render.shown(os.fsencode(key))
